"""P06: an image comes in with its grounds or not at all, follows the record system, and goes at its date."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.consumers.gallery_records import GalleryRecordsHandler
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.gallery import retention
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.gallery.sources import FolderSource, ManifestSource
from rtcc_bridge.storage import galleries as stored
from rtcc_bridge.storage.tables import audit_entries
from tests.gallery_kit import ADMINISTRATOR, PACK, SENT_WORDS, SOURCE_WORDS, GalleryKit, WordReader
from tests.records_kit import KAFKA, RecordSystem, booking_desk, handled, people, records_handler
from tests.vault_kit import stored_files

DAY = 86_400.0


@pytest.fixture
def records(tmp_path: Path) -> RecordSystem:
    (tmp_path / "store").mkdir()
    return RecordSystem(tmp_path / "store")


@pytest.fixture
def handler(galleries: GalleryKit, records: RecordSystem) -> GalleryRecordsHandler:
    return records_handler(galleries, booking_desk(galleries, records.store), KAFKA)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of ann, one of bob, one of cat."""
    root = tmp_path / "pictures"
    for name, words in {"ann/1": "ann-1", "ann/2": "ann-2", "bob/1": "bob-1", "cat/1": "cat-1"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(words)
    return root


async def test_a_manifest_row_without_its_grounds_is_left_out(galleries: GalleryKit, pictures: Path) -> None:
    manifest = pictures / "manifest.csv"
    manifest.write_text(
        "image,subject_ref,provenance,lawful_basis,retain_until,attested_adult\n"
        "ann/1,R-1,booking desk,statute 12,2030-12-31,true\n"
        "ann/2,R-5,booking desk,,2030-12-31,true\n"
        "bob/1,R-2,,statute 12,2030-12-31,true\n"
        "cat/1,R-3,booking desk,statute 12,2020-12-31,true\n"
        "dan/1,R-6,booking desk,statute 12,2030-12-31,\n"
        "../objects/x,R-4,booking desk,statute 12,2030-12-31,true\n"
    )
    receipt = await galleries.enroller().enroll(
        ManifestSource(manifest), "city", GalleryKind.DEMO, account=ADMINISTRATOR
    )
    assert await people(galleries) == {"R-1": 1}
    assert receipt.set_aside == {
        Reason.NO_PROVENANCE: 1,
        Reason.NO_LAWFUL_BASIS: 1,
        Reason.RETENTION_PASSED: 1,
        Reason.NOT_ADULT: 1,
        Reason.OUTSIDE_FOLDER: 1,
    }


@pytest.mark.parametrize(("kind", "fed"), [(GalleryKind.LIVE, None), (GalleryKind.DEMO, "city")])
async def test_no_page_adds_to_a_live_gallery_or_to_one_that_the_record_system_fills(
    galleries: GalleryKit, kind: GalleryKind, fed: str | None
) -> None:
    await GalleryAdditions(galleries.parts(), PACK).open_gallery("city", kind, "somebody")
    reader = WordReader()

    pieces = iter([b"ann-1"])

    async def picture() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    with pytest.raises(PolicyRefusalError) as refused:
        await galleries.sent_pictures(reader, fed).take(ADMINISTRATOR, "city", SENT_WORDS, picture())
    assert refused.value.rule == "P06"
    assert list(pieces), "nothing was read of it"
    assert await galleries.sent_enroller().enroll_some() == 0
    assert await people(galleries) == {}
    async with galleries.database.read() as tx:
        entries = [row.entry for row in await tx.execute(audit_entries.select()) if row.outcome == "refused"]
    assert [entry["action"] for entry in entries] == ["gallery.send_picture"]


async def test_no_page_adds_to_a_gallery_that_the_record_system_has_booked_for(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    """Also where the web was not told by its settings."""

    async def picture() -> AsyncIterator[bytes]:
        yield b"ann-2"

    await handled(handler, records.booked("ann", "ann-1"))
    assert await people(galleries) == {"ann": 1}
    with pytest.raises(PolicyRefusalError, match="follows the record system"):
        await galleries.sent_pictures().take(ADMINISTRATOR, "city", SENT_WORDS, picture())


@pytest.mark.parametrize(
    ("words", "changes", "outcome"),
    [
        ("ann-1", {"adult": False}, "not_adult"),
        ("ann-1", {"retainUntil": "2020-12-31"}, "retention_passed"),
        ("ann-1 bob-1", {}, "several_faces"),
        (" ", {}, "no_face"),
        ("poor", {}, "poor_quality"),
    ],
)
async def test_a_picture_that_may_not_be_enrolled_is_a_result_and_no_dead_letter(
    galleries: GalleryKit,
    handler: GalleryRecordsHandler,
    records: RecordSystem,
    words: str,
    changes: dict[str, Any],
    outcome: str,
) -> None:
    events = [records.booked("ann", words, **changes), records.booked("bob", "bob-1")]
    assert await handled(handler, *events) == [None, None]
    assert await people(galleries) == {"bob": 1}
    counted = galleries.metrics.registry.get_sample_value
    assert counted("rtcc_bridge_gallery_bookings_total", {"outcome": outcome}) == 1
    assert len(stored_files(galleries.folder)) == 2, "nothing of it is kept"


async def test_what_is_past_its_date_is_removed_and_nothing_else(
    galleries: GalleryKit, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four pictures may be kept until the end of the day; dan's for years."""
    brief = FolderSource(pictures, **{**SOURCE_WORDS, "retain_until": "2026-11-23"})
    (pictures.parent / "long" / "dan").mkdir(parents=True)
    (pictures.parent / "long" / "dan" / "1").write_text("dan-1")
    for source in (brief, FolderSource(pictures.parent / "long", **SOURCE_WORDS)):
        await galleries.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    monkeypatch.setattr(retention, "IMAGES_AT_ONCE", 3)  # so that it takes two transactions
    keeper = galleries.retention_keeper()
    assert await keeper.remove_all() == 0
    galleries.clock.advance(DAY)
    follower = galleries.follower()
    await follower.follow_once()
    assert await keeper.expire(ADMINISTRATOR) == 4, "as `gallery expire` does, and the daemon each minute"
    async with galleries.database.read() as tx:
        asked = await tx.execute(audit_entries.select().where(audit_entries.c.action == "gallery.expire"))
        assert [(row.actor, row.entry["details"]) for row in asked] == [(ADMINISTRATOR.name, {"due": 4})]
    assert await people(galleries) == {"dan": 1}
    await follower.follow_once()
    assert (follower.current.snapshot.version, follower.current.snapshot.image_count) == (4, 1)
    value = galleries.metrics.registry.get_sample_value
    assert value("rtcc_bridge_gallery_removals_total", {"why": "retention"}) == 4
    assert value("rtcc_bridge_expunge_effective_seconds_count") == 2
    assert len(stored_files(galleries.folder)) == 3, "dan's picture and two segments: the other pictures are gone"
    assert await keeper.remove_all() == 0


async def kept_until(galleries: GalleryKit) -> list[str]:
    async with galleries.database.read() as tx:
        images = await stored.living_images(tx, "city")
    return [image.retain_until.date().isoformat() for image in images]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("together", [True, False])
async def test_the_record_systems_last_word_on_the_date_counts_in_whatever_order_it_comes(
    galleries: GalleryKit,
    handler: GalleryRecordsHandler,
    records: RecordSystem,
    order: tuple[int, ...],
    *,
    together: bool,
) -> None:
    """A later word may lengthen or shorten; repetitions, and older words that come late, change nothing."""
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    said = [
        records.booked("ann", "ann-1", at=noon + timedelta(hours=hour), retainUntil=until)
        for hour, until in enumerate(("2029-12-31", "2031-12-31", "2030-06-30"))
    ]
    events = [said[place] for place in order] + said
    for some in [events] if together else [[one] for one in events]:
        assert await handled(handler, *some) == [None] * len(some)
    assert await kept_until(galleries) == ["2030-07-01"], "the end of the day that was named"
    assert len(await moved(galleries)) <= 2


async def moved(galleries: GalleryKit) -> list[dict[str, Any]]:
    async with galleries.database.read() as tx:
        rows = await tx.execute(audit_entries.select().where(audit_entries.c.action == "gallery.retention_moved"))
        return [row.entry for row in rows]


async def test_of_two_words_of_one_moment_the_earlier_date_counts(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    for until in ("2031-12-31", "2029-12-31", "2030-12-31"):
        await handled(handler, records.booked("ann", "ann-1", at=noon, retainUntil=until))
    assert await kept_until(galleries) == ["2030-01-01"]


@pytest.mark.parametrize("changes", [{"retainUntil": "2026-11-01"}, {"adult": False}])
async def test_a_person_whom_the_record_system_takes_back_is_gone_at_the_next_look(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem, changes: dict[str, Any]
) -> None:
    now = galleries.clock.now()
    await handled(handler, records.booked("ann", "ann-1", at=now), records.booked("bob", "bob-1", at=now))
    galleries.clock.advance(60)
    await handled(handler, records.booked("ann", "ann-1", at=galleries.clock.now(), **changes))
    [entry] = await moved(galleries)
    assert (entry["actor"], entry["outcome"], entry["details"]["images"]) == ("system", "moved", 1)
    assert await galleries.retention_keeper().remove_all() == 1
    assert await people(galleries) == {"bob": 1}


@pytest.mark.parametrize("changes", [{"retainUntil": "2026-11-01"}, {"adult": False}])
@pytest.mark.parametrize("way", ["together", "later", "folder"])
async def test_whom_the_record_system_closed_before_the_picture_came_does_not_come_in(
    galleries: GalleryKit,
    handler: GalleryRecordsHandler,
    records: RecordSystem,
    pictures: Path,
    changes: dict[str, Any],
    way: str,
) -> None:
    """What says otherwise is older, however late it comes; only a newer word lets the picture in."""
    now = galleries.clock.now()
    closed = records.booked("ann", "ann-1", at=now, **changes)
    before = records.booked("ann", "ann-1", at=now - timedelta(hours=1))
    if way == "together":
        await handled(handler, closed, before)
    else:
        await handled(handler, closed)
        await handled(handler, before)
    if way == "folder":
        source = FolderSource(pictures, **SOURCE_WORDS)
        receipt = await galleries.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
        assert receipt.set_aside == {Reason.RETENTION_PASSED: 1}
        assert await people(galleries) == {"ann": 1, "bob": 1, "cat": 1}, "ann's other picture was not spoken of"
        return
    assert await people(galleries) == {}
    assert stored_files(galleries.folder) == [], "nothing of it is kept"
    await handled(handler, records.booked("ann", "ann-1", at=now + timedelta(hours=1), retainUntil="2030-06-30"))
    await handled(handler, before, closed)
    assert (await people(galleries), await kept_until(galleries)) == ({"ann": 1}, ["2030-07-01"])


async def test_a_minor_is_not_let_in_by_a_clock_that_is_ahead(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    tomorrow = galleries.clock.now() + timedelta(days=1)
    await handled(handler, records.booked("ann", "ann-1", at=tomorrow, adult=False), records.booked("ann", "ann-1"))
    assert await people(galleries) == {}


async def test_the_date_that_was_said_while_the_picture_was_missing_counts(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    now = galleries.clock.now()
    older = records.booked("ann", "ann-1", at=now - timedelta(hours=1))
    newer = records.booked("ann", "ann-1", at=now, picture="ann/nowhere.jpg", retainUntil="2029-12-31")
    assert await handled(handler, newer) == ["not_found"]
    assert await handled(handler, older) == [None]
    assert await kept_until(galleries) == ["2030-01-01"]
    assert await moved(galleries) == [], "it came in with that date"


async def test_a_booking_of_somebody_else_moves_no_date(
    galleries: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    """The bytes are ann's: another reference with them is a duplicate, and says nothing of ann."""
    now = galleries.clock.now()
    await handled(handler, records.booked("ann", "ann-1", at=now))
    await handled(handler, records.booked("bob", "ann-1", at=now + timedelta(hours=1), retainUntil="2029-12-31"))
    assert await kept_until(galleries) == ["2031-01-01"]
