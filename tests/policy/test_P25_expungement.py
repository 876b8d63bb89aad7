"""P25: whoever is removed is out from that transaction on, stays out, takes live leads along, and the bytes go."""

from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import pytest
from sqlalchemy import update

from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.consumers.gallery_records import GalleryRecordsHandler
from rtcc_bridge.errors import ConflictError
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.storage import tables
from tests.gallery_kit import ADMINISTRATOR, PACK, SENT_WORDS, SOURCE_WORDS, GalleryKit, WordReader
from tests.life_kit import REQUESTOR, LifeKit
from tests.records_kit import KAFKA, RecordSystem, booking_desk, handled, people, records_handler, removal
from tests.vault_kit import stored_files


@pytest.fixture
def records(tmp_path: Path) -> RecordSystem:
    (tmp_path / "store").mkdir()
    return RecordSystem(tmp_path / "store")


@pytest.fixture
def handler(galleries: GalleryKit, records: RecordSystem) -> GalleryRecordsHandler:
    return records_handler(galleries, booking_desk(galleries, records.store), KAFKA)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("event_type", ["rtcc.gallery.expunged", "rtcc.gallery.sealed"])
async def test_whoever_is_removed_is_out_in_every_order_and_after_every_repetition(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem, event_type: str, *, together: bool
) -> None:
    for number, order in enumerate(permutations(range(3))):
        ref = f"ann-{number}"
        said = [
            records.booked(ref, f"{ref}-a"),
            records.booked(ref, f"{ref}-b"),
            removal(ref, event_type=event_type),
        ]
        events = [said[place] for place in order] + said
        if together:
            assert await handled(handler, *events) == [None] * 6
        else:
            for one in events:
                assert await handled(handler, one) == [None]
        assert await people(galleries) == {}
    await galleries.scrubber().scrub_all()
    follower = galleries.follower()
    await follower.follow_once()
    assert follower.current.snapshot.image_count == 0


@pytest.mark.parametrize("waits", [True, False], ids=["while the picture waits", "before it is sent"])
async def test_who_was_removed_comes_in_by_no_page(
    galleries: GalleryKit, handler: GalleryRecordsHandler, *, waits: bool
) -> None:
    await GalleryAdditions(galleries.parts(), PACK).open_gallery("city", GalleryKind.DEMO, "somebody")
    reader = WordReader()

    async def picture() -> AsyncIterator[bytes]:
        yield b"ann-1"

    desk = galleries.sent_pictures(reader)
    if waits:
        await desk.take(ADMINISTRATOR, "city", SENT_WORDS, picture())
    assert await handled(handler, removal("ann")) == [None]
    if not waits:
        await desk.take(ADMINISTRATOR, "city", SENT_WORDS, picture())
        assert reader.seen == [], "nobody looks at it"
    await galleries.sent_enroller().enroll_some()
    [settled] = await desk.newest(ADMINISTRATOR, "city")
    assert (settled.reason, settled.version) == ("removed", None)
    assert await people(galleries) == {}
    assert {file.parent.name for file in stored_files(galleries.folder)}.isdisjoint({"sent-picture", "sent-face"})


async def test_a_removed_person_has_no_bytes_left_and_the_order_is_on_record(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    await handled(handler, records.booked("ann", "ann-1"), records.booked("bob", "bob-1"))
    galleries.withdrawals.count = 1
    await handled(handler, removal("ann"))
    assert await people(galleries) == {"bob": 1}
    assert len(stored_files(galleries.folder)) == 2, "bob's picture and the segment"
    assert await galleries.scrubber().scrub_all() == 1, "which a matcher does"
    assert [(reason, actor) for _, reason, actor in galleries.withdrawals.asked] == [("expunged: 7/2026", "system")]
    counted = galleries.metrics.registry.get_sample_value
    assert counted("rtcc_bridge_gallery_removals_total", {"why": "expunged"}) == 1
    async with galleries.database.read() as tx:
        rows = (await tx.execute(tables.gallery_removals.select())).all()
    assert all(row.bytes_gone_at is not None for row in rows)
    assert "ann" not in {row.digest for row in rows}


@pytest.mark.parametrize("order", [removal("ann"), removal("ann", "ann-1")])
async def test_what_was_said_of_a_removed_person_who_was_never_enrolled_is_kept_no_longer(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem, order: CloudEvent
) -> None:
    minors = [records.booked(name, f"{name}-1", adult=False) for name in ("ann", "bob")]

    async def words() -> int:
        async with galleries.database.read() as tx:
            return len((await tx.execute(tables.retention_words.select())).all())

    await handled(handler, *minors)
    assert await words() == 2
    await handled(handler, order)
    await handled(handler, *minors)
    assert await words() == 1, "bob's, whose picture must not come in by an older booking"


async def test_the_same_subject_and_the_same_bytes_never_come_back(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem, tmp_path: Path
) -> None:
    """Not by a folder, under another name or in another file; not by a booking; and nobody else is harmed."""
    folder = tmp_path / "people"
    for name, words in {"ann/1": "ann-1", "ann/2": "ann-2", "bob/1": "bob-1"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(words)
    source = FolderSource(folder, **SOURCE_WORDS)
    await galleries.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    await galleries.expunger().expunge_subject("city", " ann ", "court order 7", ADMINISTRATOR)
    (folder / "ann" / "3").write_text("ann-3")
    (folder / "eve").mkdir()
    (folder / "eve" / "1").write_text("ann-1")
    (folder / "ann" / "1").unlink()
    receipt = await galleries.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    assert receipt.set_aside == {Reason.REMOVED: 3}
    booked = [records.booked("ann", "ann-4"), records.booked("eve", "ann-2"), records.booked("cat", "cat-1")]
    assert await handled(handler, *booked) == [None, None, None]
    assert await people(galleries) == {"bob": 1, "cat": 1}
    counted = galleries.metrics.registry.get_sample_value
    assert counted("rtcc_bridge_gallery_bookings_total", {"outcome": "removed"}) == 2


async def test_a_removed_person_takes_the_released_lead_along(life: LifeKit) -> None:
    lead_id = await life.released()
    [row, *_] = await life.kit.rows(tables.lead_candidates, lead_id=lead_id)
    async with life.kit.database.write() as tx:
        table = tables.gallery_images
        where = table.c.subject_id == row["subject_id"]
        await tx.execute(update(table).where(where).values(removed_version=9, removed_reason="test"))
        assert await life.leads.withdraw_for_subject(tx, row["subject_id"], "court order", "administrator") == 1
    with pytest.raises(ConflictError, match="taken back"):
        await life.life.release.received(lead_id, REQUESTOR)
