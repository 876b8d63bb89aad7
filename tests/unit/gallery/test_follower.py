"""The follower searches what the database says: it catches up, drops the removed, and stops when it cannot know."""

import asyncio
import gc
import shutil
import threading
import weakref
from functools import partial
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from rtcc_bridge.errors import ConfigurationError, IntegrityError, UnavailableError
from rtcc_bridge.gallery.follower import Followed, GalleryFollower
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.storage import galleries, object_keys
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import galleries as gallery_table
from rtcc_bridge.storage.tables import gallery_images, gallery_segments
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit, template_of
from tests.vault_kit import stored_files


async def enroll(kit: GalleryKit, pictures: Path) -> None:
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)


@pytest.fixture
async def enrolled(kit: GalleryKit, pictures: Path) -> GalleryKit:
    await enroll(kit, pictures)
    return kit


async def best(kit: GalleryKit, follower: GalleryFollower, words: str) -> str | None:
    """The reference of the best candidate for the very template of this picture, if there is one."""
    (found,) = follower.current.index.search(template_of(words)[None], 1, 0.99)
    if not found:
        return None
    async with kit.database.read() as tx:
        return (await galleries.subject_refs(tx, [found[0].subject_id]))[found[0].subject_id]


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"rtcc_bridge_{name}", labels)


async def test_a_gallery_is_loaded_and_searched(enrolled: GalleryKit) -> None:
    follower = enrolled.follower()
    with pytest.raises(UnavailableError, match="not loaded"):
        _ = follower.current
    await follower.follow_once()
    current = follower.current
    assert (current.kind, current.snapshot.version, current.snapshot.image_count) == (GalleryKind.DEMO, 1, 4)
    assert current.snapshot.subject_count == 3
    assert [await best(enrolled, follower, words) for words in ("ann-2", "bob-1", "nobody")] == ["ann", "bob", None]
    registry = enrolled.metrics.registry
    assert value(registry, "gallery_templates", gallery="city") == 4
    assert value(registry, "gallery_version", gallery="city") == 1
    assert value(registry, "expunge_effective_seconds_count") == 0


async def test_the_age_of_the_head_is_told(enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = enrolled.follower()
    enrolled.clock.advance(3)
    age = partial(value, enrolled.metrics.registry, "gallery_head_age_seconds", gallery="city")
    assert age() == 3, "since it was opened"
    await follower.follow_once()
    assert age() == 0
    enrolled.clock.advance(11)
    assert age() == 11


async def test_new_images_are_appended_to_what_is_loaded(enrolled: GalleryKit, pictures: Path) -> None:
    follower = enrolled.follower()
    await follower.follow_once()
    before = follower.current
    (pictures / "dan").mkdir()
    (pictures / "dan" / "1").write_text("dan-1")
    await enroll(enrolled, pictures)
    first_segment = min(stored_files(enrolled.folder / "gallery-segment"), key=lambda path: path.stat().st_mtime_ns)
    first_segment.unlink()  # it is not read again
    await follower.follow_once()
    assert (follower.current.snapshot.version, follower.current.snapshot.image_count) == (2, 5)
    assert await best(enrolled, follower, "dan-1") == "dan"
    assert await best(enrolled, follower, "ann-1") == "ann"
    assert before.snapshot.version == 1
    assert before.index.search(template_of("dan-1")[None], 1, 0.99) == [[]]


async def test_p25_a_removed_person_is_dropped_and_the_time_is_measured(enrolled: GalleryKit) -> None:
    follower = enrolled.follower()
    await follower.follow_once()
    await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    enrolled.clock.advance(0.4)
    await follower.follow_once()
    assert (follower.current.snapshot.version, follower.current.snapshot.image_count) == (2, 2)
    assert await best(enrolled, follower, "ann-1") is None
    assert await best(enrolled, follower, "bob-1") == "bob"
    registry = enrolled.metrics.registry
    assert value(registry, "expunge_effective_seconds_count") == 1
    assert value(registry, "expunge_effective_seconds_sum") == pytest.approx(0.4)
    assert value(registry, "gallery_templates", gallery="city") == 2


async def test_p25_a_removed_person_is_not_loaded_after_a_restart_either(enrolled: GalleryKit) -> None:
    await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    follower = enrolled.follower()
    await follower.follow_once()
    assert await best(enrolled, follower, "ann-1") is None
    assert await best(enrolled, follower, "cat-1") == "cat"


async def test_everybody_removed_is_an_empty_gallery_and_no_error(enrolled: GalleryKit) -> None:
    follower = enrolled.follower()
    await follower.follow_once()
    for ref in ("ann", "bob", "cat"):
        await enrolled.expunger().expunge_subject("city", ref, "court order 7", ADMINISTRATOR)
    fresh = enrolled.follower()
    for one in (follower, fresh):
        await one.follow_once()
        assert one.current.snapshot.image_count == 0
        assert await best(enrolled, one, "ann-1") is None
    assert value(enrolled.metrics.registry, "expunge_effective_seconds_count") == 3


async def test_p25_a_head_that_was_not_confirmed_in_time_stops_the_search(enrolled: GalleryKit) -> None:
    follower = enrolled.follower()
    await follower.follow_once()
    enrolled.clock.advance(10)
    assert follower.current
    enrolled.clock.advance(0.1)
    with pytest.raises(UnavailableError, match="P25"):
        _ = follower.current
    await follower.follow_once()
    assert follower.current
    enrolled.clock.advance(-1)  # a clock that was set back proves nothing
    with pytest.raises(UnavailableError, match="P25"):
        _ = follower.current


async def test_p25_a_database_that_does_not_answer_confirms_nothing(
    enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = enrolled.follower()
    await follower.follow_once()

    def refuse(_: Database) -> None:
        raise UnavailableError("no")

    monkeypatch.setattr(Database, "read", refuse)
    enrolled.clock.advance(6)
    await follower.follow_once()
    assert follower.current
    enrolled.clock.advance(6)
    await follower.follow_once()
    with pytest.raises(UnavailableError):
        _ = follower.current
    monkeypatch.undo()
    await follower.follow_once()
    assert follower.current


async def test_a_gallery_of_another_pack_is_not_searched_and_the_remedy_is_named(enrolled: GalleryKit) -> None:
    follower = enrolled.follower(PackIdentity("other", "cd" * 32, 16))
    await follower.follow_once()
    with pytest.raises(ConfigurationError, match=r"matching\.pack.*gallery of another name"):
        _ = follower.current


@pytest.fixture
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logger that no test before has bound to another output."""
    monkeypatch.setattr("rtcc_bridge.gallery.follower._log", structlog.get_logger("follower"))


@pytest.mark.usefixtures("fresh_log")
async def test_an_unusable_gallery_is_said_once_counts_as_empty_and_its_return_is_said(
    enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = enrolled.follower()
    await follower.follow_once()
    registry = enrolled.metrics.registry
    with capture_logs() as logs:
        monkeypatch.setattr(follower, "_pack", PackIdentity("other", "cd" * 32, 16))
        await follower.follow_once()
        await follower.follow_once()
        assert value(registry, "gallery_templates", gallery="city") == 0
        monkeypatch.undo()
        await follower.follow_once()
    assert [line["event"] for line in logs] == ["gallery_unusable", "gallery_usable_again", "gallery_followed"]
    assert "matching.pack" in logs[0]["cause"]
    assert value(registry, "gallery_templates", gallery="city") == 4


async def test_a_gallery_that_does_not_exist_yet_is_followed_once_it_does(kit: GalleryKit, pictures: Path) -> None:
    follower = kit.follower()
    await follower.follow_once()
    with pytest.raises(ConfigurationError, match="there is no gallery city"):
        _ = follower.current
    await enroll(kit, pictures)
    await follower.follow_once()
    assert follower.current.snapshot.image_count == 4


async def test_a_tampered_segment_is_a_breach_of_integrity(enrolled: GalleryKit) -> None:
    (file,) = stored_files(enrolled.folder / "gallery-segment")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(IntegrityError, match="altered"):
        await enrolled.follower().follow_once()


async def test_a_truncated_or_missing_segment_is_a_breach_of_integrity(enrolled: GalleryKit) -> None:
    (file,) = stored_files(enrolled.folder / "gallery-segment")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(IntegrityError, match="not what was sealed"):
        await enrolled.follower().follow_once()
    file.unlink()
    with pytest.raises(IntegrityError, match=r"not in the object store.*No version does without it.*from a backup"):
        await enrolled.follower().follow_once()


async def test_a_damaged_segment_names_the_version_to_go_back_to(enrolled: GalleryKit, pictures: Path) -> None:
    before = stored_files(enrolled.folder / "gallery-segment")
    (pictures / "dan").mkdir()
    (pictures / "dan" / "1").write_text("dan-1")
    await enroll(enrolled, pictures)
    (added,) = set(stored_files(enrolled.folder / "gallery-segment")) - set(before)
    added.write_bytes(added.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=rf"Version 1 and earlier.*Copy objects/gallery-segment/{added.name} from"):
        await enrolled.follower().follow_once()


async def test_a_destroyed_key_is_a_breach_of_integrity(enrolled: GalleryKit) -> None:
    async with enrolled.database.write() as tx:
        (segment,) = await galleries.segments(tx, "city", after=0, up_to=1)
        await object_keys.remove(tx, [segment.object_key])
    with pytest.raises(IntegrityError, match=r"key .* was destroyed"):
        await enrolled.follower().follow_once()


async def test_a_gallery_of_one_is_searched(kit: GalleryKit, tmp_path: Path) -> None:
    (tmp_path / "one" / "ann").mkdir(parents=True)
    (tmp_path / "one" / "ann" / "1").write_text("ann-1")
    await enroll(kit, tmp_path / "one")
    follower = kit.follower()
    await follower.follow_once()
    assert (follower.current.snapshot.image_count, follower.current.snapshot.subject_count) == (1, 1)
    assert [await best(kit, follower, words) for words in ("ann-1", "bob-1")] == ["ann", None]


async def test_searches_go_on_while_a_newer_version_is_loaded(
    enrolled: GalleryKit, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that builds the next index is kept from ending; searches meanwhile have the present one."""
    follower = enrolled.follower()
    await follower.follow_once()
    (pictures / "dan").mkdir()
    (pictures / "dan" / "1").write_text("dan-1")
    await enroll(enrolled, pictures)
    building, may_end = threading.Event(), threading.Event()
    build = follower._build

    def slow(*arguments: object) -> Followed:
        building.set()
        assert may_end.wait(20)
        return build(*arguments)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(follower, "_build", slow)
    catching_up = asyncio.create_task(follower.follow_once())
    assert await asyncio.to_thread(building.wait, 20)
    for _ in range(3):
        assert [await best(enrolled, follower, words) for words in ("ann-1", "dan-1")] == ["ann", None]
        assert not catching_up.done()
    may_end.set()
    await catching_up
    assert await best(enrolled, follower, "dan-1") == "dan"


async def test_the_memory_of_the_version_before_is_given_back(enrolled: GalleryKit) -> None:
    follower = enrolled.follower()
    await follower.follow_once()
    (chunk,) = follower.current.snapshot.chunks
    before = weakref.ref(follower.current.index), weakref.ref(chunk.templates.high)
    del chunk
    await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    await follower.follow_once()
    gc.collect()
    assert [one() for one in before] == [None, None], "half of the rows are gone, so the rest was copied together"


async def test_a_segment_put_in_the_place_of_another_is_refused(enrolled: GalleryKit, pictures: Path) -> None:
    (pictures / "dan").mkdir()
    (pictures / "dan" / "1").write_text("dan-1")
    await enroll(enrolled, pictures)
    async with enrolled.database.write() as tx:
        first, second = await galleries.segments(tx, "city", after=0, up_to=2)
        where = gallery_segments.c.segment_id == second.segment_id
        await tx.execute(gallery_segments.update().where(where).values(object_key=first.object_key))
    with pytest.raises(IntegrityError, match="other rows"):
        await enrolled.follower().follow_once()


@pytest.mark.parametrize(("column", "number"), [("segment_row", 99), ("segment_row", -1), ("segment_row", 0)])
async def test_an_image_that_points_to_no_row_of_its_own_is_refused(
    enrolled: GalleryKit, column: str, number: int
) -> None:
    async with enrolled.database.write() as tx:
        last = max(image.image_id for image in await galleries.living_images(tx, "city"))
        await tx.execute(gallery_images.update().where(gallery_images.c.image_id == last).values({column: number}))
    with pytest.raises(IntegrityError, match="point outside"):
        await enrolled.follower().follow_once()


async def test_rows_are_read_by_their_place_in_the_segment_and_not_by_their_number(enrolled: GalleryKit) -> None:
    """Merging moves images, so the order in which the database meets them says nothing."""
    async with enrolled.database.write() as tx:
        (segment,) = await galleries.segments(tx, "city", after=0, up_to=1)
        before = await galleries.placements(tx, segment.segment_id, up_to=1)
        await tx.execute(gallery_images.update().values(segment_row=len(before) - 1 - gallery_images.c.segment_row))
        after = await galleries.placements(tx, segment.segment_id, up_to=1)
        nobody = await galleries.placements(tx, segment.segment_id, after=1, up_to=9)
    assert before.segment_rows.tolist() == after.segment_rows.tolist() == [0, 1, 2, 3]
    assert after.image_ids.tolist() == before.image_ids.tolist()[::-1]
    assert after.subject_ids.tolist() == before.subject_ids.tolist()[::-1]
    assert len(nobody) == 0


async def test_p25_a_removal_that_was_undone_in_the_database_finds_no_template(enrolled: GalleryKit) -> None:
    await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    async with enrolled.database.write() as tx:
        await tx.execute(gallery_images.update().values(removed_version=None))
    with pytest.raises(IntegrityError, match="length is not 1"):
        await enrolled.follower().follow_once()


async def test_p25_a_database_that_went_back_is_not_followed(enrolled: GalleryKit) -> None:
    follower = enrolled.follower()
    await follower.follow_once()
    async with enrolled.database.write() as tx:
        await tx.execute(gallery_table.update().values(version=0))
    with pytest.raises(IntegrityError, match="went back"):
        await follower.follow_once()


async def test_a_segment_that_is_scrubbed_between_two_reads_is_read_again(
    enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = enrolled.follower()
    load = follower._load

    async def overtaken(*arguments: object) -> None:
        monkeypatch.undo()
        await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
        await load(*arguments)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(follower, "_load", overtaken)
    await follower.follow_once()
    assert (follower.current.snapshot.version, follower.current.snapshot.image_count) == (2, 2)


async def test_the_task_follows_by_itself_until_it_is_cancelled(
    enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = enrolled.follower()
    follower._settings = follower._settings.model_copy(update={"gallery_poll_seconds": 0.01})
    versions: asyncio.Queue[int] = asyncio.Queue()
    swap = follower._swap

    def swapped(followed: Followed, changes: object) -> None:
        swap(followed, changes)  # type: ignore[arg-type]  # passed on as it came
        versions.put_nowait(followed.snapshot.version)

    monkeypatch.setattr(follower, "_swap", swapped)
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(20):
        assert await versions.get() == 1
        await enrolled.expunger().expunge_subject("city", "bob", "court order 7", ADMINISTRATOR)
        assert await versions.get() == 2
    assert await best(enrolled, follower, "bob-1") is None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_breach_ends_the_task(enrolled: GalleryKit) -> None:
    shutil.rmtree(enrolled.folder / "gallery-segment")
    async with asyncio.timeout(20):
        with pytest.raises(IntegrityError):
            await enrolled.follower().run()


async def test_two_galleries_do_not_mix(enrolled: GalleryKit, pictures: Path) -> None:
    other = pictures.parent / "others"
    (other / "zoe").mkdir(parents=True)
    (other / "zoe" / "1").write_text("zoe-1")
    source = FolderSource(other, **SOURCE_WORDS)
    await enrolled.enroller().enroll(source, "training", GalleryKind.TRAINING, account=ADMINISTRATOR)
    follower = enrolled.follower()
    await follower.follow_once()
    assert follower.current.snapshot.image_count == 4
    assert await best(enrolled, follower, "zoe-1") is None
