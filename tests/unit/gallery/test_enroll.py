"""Enrolment: who gets in, who is left out and why, and that a run can be interrupted anywhere."""

import asyncio
import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, UnavailableError
from rtcc_bridge.gallery import enroll as enroll_module
from rtcc_bridge.gallery.additions import GalleryAdditions, NewImage
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity
from rtcc_bridge.gallery.portraits import Portrait
from rtcc_bridge.gallery.receipts import EnrollReceipt, Progress
from rtcc_bridge.gallery.segments import SegmentHeader, decode_segment
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.gallery.sources import FolderSource, ManifestSource
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.galleries import GalleryImageRecord, SegmentRecord
from rtcc_bridge.storage.objects import SMALL_BYTES
from rtcc_bridge.storage.tables import audit_entries, outbox
from tests.gallery_kit import (
    ADMINISTRATOR,
    PACK,
    SOURCE_WORDS,
    GalleryKit,
    WordPortraits,
    stored_template_of,
    template_of,
    templates_of,
)
from tests.vault_kit import stored_files

RETAIN = datetime(2031, 1, 1, tzinfo=UTC)


async def enroll(kit: GalleryKit, source: FolderSource | ManifestSource | Path, **options: object) -> EnrollReceipt:
    source = FolderSource(source, **SOURCE_WORDS) if isinstance(source, Path) else source
    enroller = kit.enroller(options.pop("portraits", None))  # type: ignore[arg-type]
    kind = GalleryKind.DEMO
    return await enroller.enroll(source, "city", kind, account=ADMINISTRATOR, **options)  # type: ignore[arg-type]  # each of its own type


async def content(kit: GalleryKit) -> tuple[list[GalleryImageRecord], list[SegmentRecord]]:
    async with kit.database.read() as tx:
        head = await galleries.find(tx, "city")
        assert head is not None
        segments = await galleries.segments(tx, "city", after=0, up_to=head.version)
        return list(await galleries.living_images(tx, "city")), list(segments)


async def refs(kit: GalleryKit) -> Counter[str]:
    images, _ = await content(kit)
    async with kit.database.read() as tx:
        names = await galleries.subject_refs(tx, {image.subject_id for image in images})
    return Counter(names[image.subject_id] for image in images)


async def test_a_folder_is_enrolled_with_everything_that_p06_asks_for(kit: GalleryKit, pictures: Path) -> None:
    receipt = await enroll(kit, pictures)
    assert receipt == EnrollReceipt("city", 1, total=4, enrolled=4, already_enrolled=0, set_aside={})
    images, (segment,) = await content(kit)
    assert await refs(kit) == {"ann": 2, "bob": 1, "cat": 1}
    for image in images:
        assert (image.provenance, image.lawful_basis, image.retain_until) == ("booking desk", "statute 12", RETAIN)
        assert (image.quality_score, image.added_version, image.segment_id) == (80, 1, segment.segment_id)


async def test_the_day_of_a_picture_is_kept_and_told_later_where_it_was_not_known(
    kit: GalleryKit, pictures: Path
) -> None:
    def dated(**days: str) -> ManifestSource:
        rows = [f"{name[:3]}/{name[3:]},{name[:3]},desk,statute,2030-12-31,true,{day}" for name, day in days.items()]
        file = pictures / "manifest.csv"
        file.write_text(
            "\n".join(["image,subject_ref,provenance,lawful_basis,retain_until,attested_adult,taken_on", *rows])
        )
        return ManifestSource(file)

    first, second = sorted(path.name for path in (pictures / "ann").iterdir())
    await enroll(kit, dated(**{f"ann{first}": "2019-05-30", f"ann{second}": ""}))
    images, _ = await content(kit)
    assert sorted(str(image.taken_on) for image in images) == ["2019-05-30", "None"]
    for _ in range(2):
        again = await enroll(kit, dated(**{f"ann{first}": "2001-01-01", f"ann{second}": "2024-02-29"}))
        assert (again.enrolled, again.already_enrolled, again.version) == (0, 2, 1)
    images, _ = await content(kit)
    assert sorted(str(image.taken_on) for image in images) == ["2019-05-30", "2024-02-29"], "what is known stays"
    async with kit.database.read() as tx:
        told = [row.entry for row in await tx.execute(audit_entries.select()) if row.action == "gallery.dated"]
    assert [entry["details"] for entry in told] == [{"images": 1}]


async def test_the_day_of_a_picture_is_not_that_of_the_same_picture_under_another_name(
    kit: GalleryKit, pictures: Path
) -> None:
    await enroll(kit, pictures)
    [first, *_] = sorted(path for path in (pictures / "ann").iterdir())
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    additions = GalleryAdditions(kit.parts(), PACK)
    await additions.tell_dates("city", {digest: ("bob", date(2019, 5, 30))}, "somebody")
    await additions.tell_dates("city", {}, "somebody")
    images, _ = await content(kit)
    assert {image.taken_on for image in images} == {None}


async def test_template_and_picture_of_an_image_are_its_own_and_sealed(kit: GalleryKit, pictures: Path) -> None:
    """Also where many are sealed together, and one is too large for that."""
    (pictures / "dan").mkdir()
    for number in range(20):
        (pictures / f"dan/{number}").write_text(f"dan-{number}")
    (pictures / "eve").mkdir()
    (pictures / "eve/1").write_text("eve-1" + " " * SMALL_BYTES)
    assert (await enroll(kit, pictures)).enrolled == 25
    images, (segment,) = await content(kit)
    header = SegmentHeader("city", segment.segment_id, PACK.template_hash, segment.rows, PACK.template_length)
    async with kit.database.read() as tx:
        keys = {
            key: await kit.vault.key_of(tx, key)
            for key in [segment.object_key, *[i.image_object for i in images if i.image_object]]
        }
    rows = decode_segment(header, await kit.vault.unseal(segment.object_key, keys[segment.object_key])).as_float32()
    for image in images:
        assert image.image_object is not None
        words = (await kit.vault.unseal(image.image_object, keys[image.image_object])).decode().strip()
        assert np.array_equal(rows[image.segment_row], stored_template_of(words))
    for file in stored_files(kit.folder):
        assert b"ann-1" not in file.read_bytes()
        assert StoredTemplates.of(template_of("ann-1")[None]).high.tobytes() not in file.read_bytes()


async def test_each_batch_is_audited_and_announced_in_its_transaction(kit: GalleryKit, pictures: Path) -> None:
    await enroll(kit, pictures)
    async with kit.database.read() as tx:
        entries = [row.entry for row in await tx.execute(audit_entries.select().order_by(audit_entries.c.at))]
        notices = [(row.topic, row.key, row.event["data"]) for row in await tx.execute(outbox.select())]
    assert [entry["action"] for entry in entries] == ["gallery.created", "gallery.enrolled"]
    assert "ann" not in str(entries)
    assert notices == [("rtcc-bridge.gallery", "city", {"gallery": "city", "version": 1})]


async def test_bad_pictures_are_reported_by_reason_and_stop_nothing(
    kit: GalleryKit, pictures: Path, tmp_path: Path
) -> None:
    for name, words in {"empty": "", "two": "x y", "poor": "poor", "again": "bob-1"}.items():
        (pictures / "dan").mkdir(exist_ok=True)
        (pictures / "dan" / name).write_text(words)
    report = tmp_path / "report.csv"
    receipt = await enroll(kit, pictures, report=report)
    assert receipt.enrolled == 4
    assert receipt.set_aside == {
        Reason.NO_FACE: 1,
        Reason.SEVERAL_FACES: 1,
        Reason.POOR_QUALITY: 1,
        Reason.DUPLICATE: 1,
    }
    with report.open(newline="") as opened:
        rows = {row["image"]: (row["subject_ref"], row["reason"]) for row in csv.DictReader(opened)}
    assert rows == {
        "dan/empty": ("dan", "no_face"),
        "dan/two": ("dan", "several_faces"),
        "dan/poor": ("dan", "poor_quality"),
        "dan/again": ("dan", "duplicate"),
    }
    assert report.stat().st_mode & 0o777 == 0o600
    assert len(stored_files(kit.folder)) == 5


async def test_a_second_run_skips_what_is_enrolled_without_looking_at_it(kit: GalleryKit, pictures: Path) -> None:
    await enroll(kit, pictures)
    (pictures / "dan").mkdir()
    (pictures / "dan" / "1").write_text("dan-1")
    portraits = WordPortraits()
    receipt = await enroll(kit, pictures, portraits=portraits)
    assert (receipt.enrolled, receipt.already_enrolled, receipt.set_aside) == (1, 4, {})
    assert portraits.read_pictures == [b"dan-1"]
    assert len(await refs(kit)) == 4


async def test_a_folder_may_be_a_link_itself(kit: GalleryKit, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(pictures)
    receipt = await enroll(kit, tmp_path / "link")
    assert (receipt.enrolled, receipt.set_aside) == (4, {})


async def test_a_picture_of_somebody_else_is_a_duplicate_and_not_resumed_work(kit: GalleryKit, pictures: Path) -> None:
    await enroll(kit, pictures)
    (pictures / "eve").mkdir()
    (pictures / "eve" / "1").write_text("bob-1")
    receipt = await enroll(kit, pictures)
    assert receipt.set_aside == {Reason.DUPLICATE: 1}
    assert "eve" not in await refs(kit)


def people_in(folder: Path, count: int, filled_up_by: int = 0) -> Path:
    """The folder, with one picture of each; filled_up_by: bytes of a picture that say nothing."""
    for number in range(count):
        (folder / f"p{number}").mkdir(parents=True)
        (folder / f"p{number}" / "1").write_text(f"face-{number}" + " " * filled_up_by)
    return folder


class Dies(WordPortraits):
    """Fails for good at one picture, as a process that is killed there."""

    def __init__(self, at: bytes) -> None:
        super().__init__()
        self.at = at

    async def read(self, data: bytes) -> Portrait:
        if data.strip() == self.at:
            raise MemoryError
        return await super().read(data)


async def test_an_interrupted_run_is_resumed_where_it_stopped(
    kit: GalleryKit, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enroll_module, "IMAGES_PER_BATCH", 2)
    with pytest.raises(MemoryError):
        await enroll(kit, pictures, portraits=Dies(b"cat-1"))
    assert await refs(kit) == {"ann": 2}
    files_after_failure = stored_files(kit.folder)
    assert len(files_after_failure) == 3  # two pictures and a segment: nothing of the second batch
    portraits = WordPortraits()
    receipt = await enroll(kit, pictures, portraits=portraits)
    assert (receipt.enrolled, receipt.already_enrolled) == (2, 2)
    assert sorted(portraits.read_pictures) == [b"bob-1", b"cat-1"]
    assert await refs(kit) == {"ann": 2, "bob": 1, "cat": 1}


async def test_a_batch_that_fails_for_good_leaves_none_of_its_pictures(kit: GalleryKit, tmp_path: Path) -> None:
    """The last fails, when most of the others are sealed already: they are so large that each is sealed by itself."""
    with pytest.raises(MemoryError):
        await enroll(kit, people_in(tmp_path / "people", 20, filled_up_by=SMALL_BYTES), portraits=Dies(b"face-9"))
    assert stored_files(kit.folder) == []


class DiesBehind(WordPortraits):
    """Fails for good at one picture, once all that was read ahead of its batch is sealed and done with."""

    def __init__(self, at: str, ahead: int) -> None:
        super().__init__()
        self.at, self.ahead = at, ahead

    async def read(self, data: bytes) -> Portrait:
        if data.decode().strip() == self.at:
            async with asyncio.timeout(60):
                while not self._is_ahead():  # noqa: ASYNC110  nobody tells when a task of the enroller's has ended
                    await asyncio.sleep(0)
            raise MemoryError
        return await super().read(data)

    def _is_ahead(self) -> bool:
        names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
        return len(self.read_pictures) == self.ahead and names.count("Enroller._read") == 1


async def test_what_was_read_ahead_of_a_batch_that_fails_is_not_kept(
    kit: GalleryKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures so large that each is sealed as soon as it was looked at."""
    monkeypatch.setattr(enroll_module, "IMAGES_PER_BATCH", 2)
    people = people_in(tmp_path / "eight", 8, filled_up_by=SMALL_BYTES)
    with pytest.raises(MemoryError):
        await enroll(kit, people, portraits=DiesBehind("face-2", ahead=5))
    assert await refs(kit) == {"p0": 1, "p1": 1}
    assert len(stored_files(kit.folder)) == 3  # two pictures and a segment


class SlowToAdd(WordPortraits):
    """Makes no template before `ahead` pictures were read; notes how many were when it made some."""

    def __init__(self, ahead: int) -> None:
        super().__init__()
        self.ahead = ahead
        self.read_when_added: list[int] = []
        self._enough = asyncio.Event()

    async def read(self, data: bytes) -> Portrait:
        portrait = await super().read(data)
        if len(self.read_pictures) == self.ahead:
            self._enough.set()
        return portrait

    async def templates(self, portraits: Sequence[Portrait]) -> Float32Array:
        async with asyncio.timeout(60):
            await self._enough.wait()
        self.read_when_added.append(len(self.read_pictures))
        return await super().templates(portraits)


async def test_while_a_batch_is_added_the_next_two_are_read_and_no_more(
    kit: GalleryKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enroll_module, "IMAGES_PER_BATCH", 2)
    people = people_in(tmp_path / "ten", 10)
    portraits = SlowToAdd(ahead=6)
    assert (await enroll(kit, people, portraits=portraits)).enrolled == 10
    assert portraits.read_when_added[0] == 6
    assert all(read <= 2 * (added + 3) for added, read in enumerate(portraits.read_when_added))
    assert sorted(portraits.read_pictures) == [f"face-{number}".encode() for number in range(10)]


class CountsAtOnce(WordPortraits):
    """Looks at pictures once so many are being looked at, and notes how many they are at most."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.expected, self.under_way, self.most = expected, 0, 0
        self._met = asyncio.Event()

    async def read(self, data: bytes) -> Portrait:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == self.expected:
            self._met.set()
        async with asyncio.timeout(60):
            await self._met.wait()
        await asyncio.sleep(0)  # whoever else may begin does
        self.under_way -= 1
        return await super().read(data)


async def test_so_many_pictures_are_held_at_a_time_and_no_more(kit: GalleryKit, tmp_path: Path) -> None:
    at_once = Settings().matching.threads + enroll_module.BESIDE_FACE_WORK
    portraits = CountsAtOnce(at_once)
    assert (await enroll(kit, people_in(tmp_path / "people", 30), portraits=portraits)).enrolled == 30
    assert portraits.most == at_once


class Overwrites(WordPortraits):
    """Changes another picture while it reads its first one, as a copy that is still running does."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    async def read(self, data: bytes) -> Portrait:
        if not self.read_pictures:
            self.file.write_text("somebody-else")
        return await super().read(data)


async def test_a_picture_that_changes_under_the_enrolment_is_set_aside_if_it_has_to_be_read_again(
    kit: GalleryKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the last of twenty, and not read yet when the first is looked at."""
    monkeypatch.setattr(enroll_module, "KEPT_BYTES", 1)
    people = people_in(tmp_path / "people", 20)
    portraits = Overwrites(people / "p9" / "1")
    receipt = await enroll(kit, people, portraits=portraits)
    assert (receipt.enrolled, receipt.set_aside) == (19, {Reason.UNREADABLE: 1})
    assert len(await refs(kit)) == 19
    assert b"somebody-else" not in portraits.read_pictures, "nobody looks at what was not checked"


async def test_a_small_picture_that_changes_under_the_enrolment_is_enrolled_as_it_was_checked(
    kit: GalleryKit, pictures: Path
) -> None:
    portraits = Overwrites(pictures / "cat" / "1")
    assert (await enroll(kit, pictures, portraits=portraits)).enrolled == 4
    assert sorted(portraits.read_pictures) == [b"ann-1", b"ann-2", b"bob-1", b"cat-1"]


async def test_a_cancelled_run_leaves_whole_batches_only(
    kit: GalleryKit, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enroll_module, "IMAGES_PER_BATCH", 2)
    first = asyncio.Event()
    task = asyncio.create_task(enroll(kit, pictures, on_progress=lambda _: first.set()))
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await refs(kit) == {"ann": 2}
    assert (await enroll(kit, pictures)).enrolled == 2
    assert await refs(kit) == {"ann": 2, "bob": 1, "cat": 1}


async def test_a_failed_transaction_leaves_no_object_and_no_row(
    kit: GalleryKit, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise UnavailableError("the database is full")

    monkeypatch.setattr(galleries, "insert_images", full)
    with pytest.raises(UnavailableError, match="full"):
        await enroll(kit, pictures)
    monkeypatch.undo()
    assert stored_files(kit.folder) == []
    assert await content(kit) == ([], [])
    assert (await enroll(kit, pictures)).enrolled == 4


async def test_progress_counts_every_row_once(kit: GalleryKit, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enroll_module, "IMAGES_PER_BATCH", 2)
    (pictures / "bob" / "2").write_text("two faces")
    steps: list[Progress] = []
    await enroll(kit, pictures, on_progress=steps.append)
    assert [(step.done, step.total, step.enrolled, step.set_aside) for step in steps] == [
        (2, 5, 2, 0),
        (4, 5, 3, 1),
        (5, 5, 4, 1),
    ]


async def test_p25_an_image_removed_between_screening_and_transaction_is_not_in_the_segment(
    kit: GalleryKit, pictures: Path
) -> None:
    """The template of somebody who may not come back must not lie in a sealed segment either."""
    await enroll(kit, pictures)
    await kit.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    additions = kit.enroller()._additions
    gallery = await additions.open_gallery("city", GalleryKind.DEMO, "administrator")

    def new(ref: str, number: int) -> NewImage:
        return NewImage(ref, f"{number:064x}", None, "desk", "statute", RETAIN, None)

    added = await additions.add(gallery, [new("ann", 1), new("eve", 2)], templates_of(["ann", "eve"]), "administrator")
    assert added.images == 1
    assert {sha256: reason for sha256, (reason, _) in added.refused.items()} == {f"{1:064x}": Reason.REMOVED}
    _, segments = await content(kit)
    newest = segments[-1]
    assert newest.rows == 1
    nobody = await additions.add(gallery, [new("ann", 3)], templates_of(["ann"]), "administrator")
    assert (nobody.images, len(stored_files(kit.folder))) == (0, 4)


async def test_another_model_pack_is_refused_and_told_how_to_go_on(kit: GalleryKit, pictures: Path) -> None:
    await enroll(kit, pictures)
    source = FolderSource(pictures, **SOURCE_WORDS)
    for other in (PackIdentity("new", "cd" * 32, 16), PackIdentity("test-pack", PACK.template_hash, 32)):
        with pytest.raises(ConflictError, match=r"cannot be compared.*gallery of another name"):
            await kit.enroller(pack=other).enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    with pytest.raises(ConflictError, match="a demo gallery"):
        await kit.enroller().enroll(source, "city", GalleryKind.TRAINING, account=ADMINISTRATOR)


async def test_a_report_that_cannot_be_written_is_said_before_anything_is_done(
    kit: GalleryKit, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="report"):
        await enroll(kit, pictures, report=tmp_path / "nowhere" / "report.csv")
    assert stored_files(kit.folder) == []


async def enroll_filler(kit: GalleryKit, count: int, **changes: object) -> EnrollReceipt:
    given = {
        "templates": templates_of([f"filler-{number}" for number in range(count)]),
        "subject_refs": [f"filler-{number}" for number in range(count)],
        **changes,
    }
    values: dict[str, object] = {
        "templates": [(given.pop("templates"), given.pop("subject_refs"))],
        "total": count,
        "provenance": "filler drawn from the pack's impostor distribution: nobody",
        "lawful_basis": "demonstration",
        "retain_until": RETAIN,
        "account": ADMINISTRATOR,
        **given,
    }
    return await kit.enroller().enroll_templates("city", GalleryKind.DEMO, **values)  # type: ignore[arg-type]


async def test_filler_is_enrolled_without_pictures_and_says_what_it_is(
    kit: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enroll_module, "TEMPLATES_PER_SEGMENT", 40)
    receipt = await enroll_filler(kit, 100)
    assert (receipt.enrolled, receipt.version, receipt.set_aside) == (100, 3, {})
    images, segments = await content(kit)
    assert {image.image_object for image in images} == {None}
    assert all("filler" in image.provenance for image in images)
    assert [segment.rows for segment in segments] == [40, 40, 20]
    again = await enroll_filler(kit, 100)
    assert (again.enrolled, again.already_enrolled, again.version) == (0, 100, 3)


async def test_a_filler_template_twice_counts_once(kit: GalleryKit) -> None:
    receipt = await enroll_filler(kit, 3, templates=templates_of(["a", "a", "b"]))
    assert (receipt.enrolled, receipt.set_aside) == (2, {Reason.DUPLICATE: 1})
    assert await refs(kit) == {"filler-0": 1, "filler-2": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"templates": templates_of(range(3)) * 2},
        {"templates": templates_of(range(3))[:, :8]},
        {"templates": np.full((3, 16), np.nan, np.float32)},
        {"templates": np.zeros((3, 16), np.float32)},
        {"templates": templates_of(range(2))},
        {"subject_refs": ["a", " ", "c"]},
        {"provenance": " "},
        {"lawful_basis": ""},
        {"retain_until": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
async def test_unusable_templates_are_refused_as_a_whole(kit: GalleryKit, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        await enroll_filler(kit, 3, **changes)
    assert stored_files(kit.folder) == []
