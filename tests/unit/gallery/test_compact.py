"""Small segments become large ones, nobody is lost on the way, and no follower notices."""

import asyncio
from pathlib import Path

import pytest

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.gallery import enroll as enroll_module
from rtcc_bridge.gallery.compact import SEGMENTS_TO_MERGE, SegmentCompactor
from rtcc_bridge.gallery.follower import GalleryFollower
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.segment_watch import SegmentWatch
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.galleries import SegmentRecord
from rtcc_bridge.storage.tables import audit_entries, object_keys
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit, template_of
from tests.vault_kit import stored_files

OLD_ENOUGH = 700.0
ORDER = ("court order 7", ADMINISTRATOR)


async def book(kit: GalleryKit, root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "1").write_text(name)
    source = FolderSource(root, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)


@pytest.fixture
async def booked(kit: GalleryKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GalleryKit:
    """Sixteen people, each in a segment of one row, as bookings make them; their rows are read in four pieces."""
    monkeypatch.setattr(enroll_module, "IMAGES_PER_BATCH", 1)
    monkeypatch.setattr("rtcc_bridge.gallery.compact._ROWS_AT_ONCE", 5)
    await book(kit, tmp_path / "people", *(f"p{number:02}" for number in range(SEGMENTS_TO_MERGE)))
    kit.clock.advance(OLD_ENOUGH)
    return kit


async def segments(kit: GalleryKit) -> list[SegmentRecord]:
    async with kit.database.read() as tx:
        return list(await galleries.segments(tx, "city", after=-1, up_to=10_000))


async def found(kit: GalleryKit, follower: GalleryFollower) -> list[str]:
    """Who is found by the very template of each of the sixteen, and of those who came later."""
    await follower.follow_once()
    names: list[str] = []
    for number in range(SEGMENTS_TO_MERGE + 4):
        (candidates,) = follower.current.index.search(template_of(f"p{number:02}")[None], 1, 0.99)
        async with kit.database.read() as tx:
            names += (await galleries.subject_refs(tx, [one.subject_id for one in candidates])).values()
    return names


EVERYBODY = [f"p{number:02}" for number in range(SEGMENTS_TO_MERGE)]


async def test_sixteen_segments_become_one_and_everybody_is_still_found(booked: GalleryKit) -> None:
    before = await segments(booked)
    assert len(before) == SEGMENTS_TO_MERGE
    assert await booked.compactor().compact("city") == SEGMENTS_TO_MERGE
    (after,) = await segments(booked)
    assert (after.rows, after.added_version) == (SEGMENTS_TO_MERGE, before[-1].added_version)
    assert await found(booked, booked.follower()) == EVERYBODY
    files = {f"{path.parent.name}/{path.name}" for path in stored_files(booked.folder)}
    async with booked.database.read() as tx:
        keys = set((await tx.execute(object_keys.select())).scalars())
        head = await galleries.find(tx, "city")
        entries = [row.entry for row in await tx.execute(audit_entries.select())]
    assert files == keys, "old bytes and old keys are gone"
    assert len(keys) == SEGMENTS_TO_MERGE + 1
    assert head is not None
    assert head.version == SEGMENTS_TO_MERGE, "the rows are the same, so the version is"
    (merged,) = [entry for entry in entries if entry["action"] == "gallery.compacted"]
    assert (merged["details"]["segments"], merged["details"]["rows"]) == (SEGMENTS_TO_MERGE, SEGMENTS_TO_MERGE)
    assert await booked.compactor().compact("city") == 0


async def test_young_segments_and_too_few_are_left(
    booked: GalleryKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await booked.compactor().compact("city")
    await book(booked, tmp_path / "more", *(f"m{number:02}" for number in range(SEGMENTS_TO_MERGE - 1)))
    assert await booked.compactor().compact("city") == 0, "they are young"
    booked.clock.advance(OLD_ENOUGH)
    assert await booked.compactor().compact("city") == 0, "fifteen, and the merged one is as large as sixteen"
    await book(booked, tmp_path / "one", "last")
    booked.clock.advance(OLD_ENOUGH)
    assert await booked.compactor().compact("city") == SEGMENTS_TO_MERGE
    assert sorted(segment.rows for segment in await segments(booked)) == [SEGMENTS_TO_MERGE] * 2


async def test_removed_rows_are_left_behind_and_a_segment_of_nobody_goes(booked: GalleryKit) -> None:
    """Whether anybody can read it any more or not."""
    for name in ("p03", "p07"):
        await booked.expunger().expunge_subject("city", name, *ORDER)
    async with booked.database.read() as tx:
        used = await gallery_upkeep.segments_in_use(tx, "city")
    damaged, _ = (one.segment for one in used if not one.living)
    (booked.folder / damaged.object_key).write_bytes(b"damaged")
    assert await booked.compactor().compact("city") == 2, "two segments of nobody; fourteen are too few to merge"
    assert {segment.rows for segment in await segments(booked)} == {1}
    assert await found(booked, booked.follower()) == [name for name in EVERYBODY if name not in {"p03", "p07"}]


async def test_a_follower_that_has_some_of_the_rows_reads_only_the_others(booked: GalleryKit, tmp_path: Path) -> None:
    """It follows version 16; then come bookings and a merge that mixes old rows and new ones."""
    follower = booked.follower()
    assert await found(booked, follower) == EVERYBODY
    later = [f"p{number:02}" for number in range(SEGMENTS_TO_MERGE, SEGMENTS_TO_MERGE + 4)]
    await book(booked, tmp_path / "later", *later)
    booked.clock.advance(OLD_ENOUGH)
    used = await segments(booked)
    compactor = booked.compactor()
    assert await compactor._merge("city", used)
    (merged,) = await segments(booked)
    assert merged.rows == len(used)
    assert await found(booked, follower) == [*EVERYBODY, *later]
    assert follower.current.snapshot.image_count == len(used)
    assert await found(booked, booked.follower()) == [*EVERYBODY, *later]


async def test_a_follower_in_the_middle_of_reading_reads_again(
    booked: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = booked.follower()
    load = follower._load
    loads = 0

    async def overtaken(*arguments: object) -> None:
        nonlocal loads
        loads += 1
        if loads == 3:
            assert await booked.compactor().compact("city") == SEGMENTS_TO_MERGE
        await load(*arguments)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(follower, "_load", overtaken)
    assert await found(booked, follower) == EVERYBODY


async def test_p25_whoever_is_removed_while_segments_are_merged_is_gone(
    booked: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reading of the rows and the switch: the template went along, and is taken out at once."""
    compactor = booked.compactor()
    seal = compactor._seal

    async def overtaken(group: object) -> object:
        sealed = await seal(group)  # type: ignore[arg-type]  # passed on as it came
        with monkeypatch.context() as patched:
            patched.setattr("rtcc_bridge.gallery.expunge.Expunger._remove_bytes", _later)
            await booked.expunger().expunge_subject("city", "p05", *ORDER)
        return sealed

    monkeypatch.setattr(compactor, "_seal", overtaken)
    assert await compactor.compact("city") == SEGMENTS_TO_MERGE
    left = [name for name in EVERYBODY if name != "p05"]
    assert await found(booked, booked.follower()) == left
    async with booked.database.read() as tx:
        assert len(await galleries.segments_to_scrub(tx, "city")) == 1
    assert await booked.scrubber().scrub("city") == 1
    assert await found(booked, booked.follower()) == left


async def _later(*_: object) -> bool:
    return False


async def test_a_segment_that_is_scrubbed_while_it_is_merged_is_left_to_the_next_time(
    booked: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactor = booked.compactor()
    seal = compactor._seal

    async def overtaken(group: object) -> object:
        sealed = await seal(group)  # type: ignore[arg-type]  # passed on as it came
        monkeypatch.undo()
        await booked.expunger().expunge_subject("city", "p05", *ORDER)
        return sealed

    monkeypatch.setattr(compactor, "_seal", overtaken)
    files = len(stored_files(booked.folder))
    assert await compactor.compact("city") == 0
    assert len(await segments(booked)) == SEGMENTS_TO_MERGE
    assert len(stored_files(booked.folder)) == files - 1, "a picture less; what was sealed for nothing is taken back"
    assert await found(booked, booked.follower()) == [name for name in EVERYBODY if name != "p05"]


async def test_a_damaged_segment_keeps_its_group_as_it_is_and_nothing_is_lost(booked: GalleryKit) -> None:
    (damaged, *_) = await segments(booked)
    file = booked.folder / damaged.object_key
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert await booked.compactor().compact("city") == 0
    with pytest.raises(IntegrityError):
        await booked.follower().follow_once()
    file.write_bytes(whole)
    assert await booked.compactor().compact("city") == SEGMENTS_TO_MERGE
    assert await found(booked, booked.follower()) == EVERYBODY


async def test_two_compactors_at_once_lose_nothing(booked: GalleryKit) -> None:
    gone = await asyncio.gather(booked.compactor().compact("city"), booked.compactor().compact("city"))
    assert sum(gone) == SEGMENTS_TO_MERGE
    assert await found(booked, booked.follower()) == EVERYBODY


async def test_the_task_waits_for_an_upgrade_to_be_over(booked: GalleryKit, monkeypatch: pytest.MonkeyPatch) -> None:
    merged = asyncio.Event()
    compact_all = SegmentCompactor.compact_all

    async def seen(self: SegmentCompactor, *arguments: object) -> int:
        done = await compact_all(self, *arguments)  # type: ignore[arg-type]  # passed on as it came
        merged.set()
        return done

    monkeypatch.setattr(SegmentCompactor, "compact_all", seen)
    running = asyncio.create_task(booked.compactor().run())
    await asyncio.sleep(0)
    assert not merged.is_set()
    running.cancel()
    await asyncio.wait([running])
    monkeypatch.setattr("rtcc_bridge.gallery.compact._FIRST_AFTER_SECONDS", 0)
    monkeypatch.setattr("rtcc_bridge.gallery.compact._EVERY_SECONDS", 0.01)
    running = asyncio.create_task(booked.compactor().run())
    await asyncio.wait_for(merged.wait(), 10)
    running.cancel()
    await asyncio.wait([running])
    await SegmentWatch(booked.database, booked.metrics).look()
    value = booked.metrics.registry.get_sample_value
    assert value("rtcc_bridge_gallery_segments", {"gallery": "city"}) == 1
