"""Bookings come into the gallery, and whoever is sealed or expunged stays out, in whatever order it is told."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.consumers.gallery_records import GalleryRecordsHandler, to_record
from rtcc_bridge.errors import InvalidInputError, UnavailableError
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity
from rtcc_bridge.gallery.records import Booking, OrderKind, RemovalOrder
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, GalleryKit, open_kit
from tests.records_kit import (
    KAFKA,
    RecordSystem,
    booking_desk,
    event,
    handled,
    people,
    records_handler,
    removal,
    sha256_of,
)
from tests.vault_kit import stored_files

NOON = ManualClock().now()


@pytest.fixture
async def kit(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[GalleryKit]:
    async with open_kit(database, tmp_path / "objects", clock, metrics) as opened:
        yield opened


@pytest.fixture
def records(tmp_path: Path) -> RecordSystem:
    (tmp_path / "store").mkdir()
    return RecordSystem(tmp_path / "store")


@pytest.fixture
def handler(kit: GalleryKit, records: RecordSystem) -> GalleryRecordsHandler:
    return records_handler(kit, booking_desk(kit, records.store), KAFKA)


def counted(kit: GalleryKit, name: str, **labels: str) -> float | None:
    return kit.metrics.registry.get_sample_value(f"rtcc_bridge_{name}", labels)


async def test_bookings_of_a_batch_are_enrolled_together(
    kit: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    events = [records.booked("ann", "ann-1"), records.booked("ann", "ann-2"), records.booked("bob", "bob-1")]
    assert await handled(handler, *events) == [None, None, None]
    assert await people(kit) == {"ann": 2, "bob": 1}
    async with kit.database.read() as tx:
        (segment,) = await galleries.segments(tx, "city", after=-1, up_to=100)
        (image, *_) = await galleries.living_images(tx, "city")
    assert (segment.rows, image.provenance, image.lawful_basis) == (3, "booking desk", "statute 12")
    assert image.retain_until.isoformat() == "2031-01-01T00:00:00+00:00"
    assert counted(kit, "gallery_bookings_total", outcome="enrolled") == 3


async def test_a_booking_says_when_its_picture_was_taken(
    kit: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    without = records.booked("ann", "ann-1")
    dated = event(without.type, {**without.data, "takenOn": "2019-05-30"})
    assert await handled(handler, without, records.booked("bob", "bob-1")) == [None, None]
    assert await handled(handler, dated) == [None]
    async with kit.database.read() as tx:
        found = [image.taken_on for image in await galleries.living_images(tx, "city")]
    assert sorted(found, key=str) == ["2019-05-30", None]


async def test_a_repetition_changes_nothing(
    kit: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    booking, order = records.booked("ann", "ann-1"), removal("bob")
    await handled(handler, booking, order)
    files = stored_files(kit.folder)
    async with kit.database.read() as tx:
        before = await galleries.find(tx, "city")
    assert await handled(handler, booking, order, booking) == [None, None, None]
    async with kit.database.read() as tx:
        assert await galleries.find(tx, "city") == before
    assert stored_files(kit.folder) == files
    assert counted(kit, "gallery_bookings_total", outcome="already_enrolled") == 2


async def test_one_picture_is_removed_and_the_person_stays(
    kit: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    first, second = records.booked("ann", "ann-1"), records.booked("ann", "ann-2")
    await handled(handler, removal("ann", "ann-1"), first, second)
    assert await people(kit) == {"ann": 1}
    await handled(handler, first)
    assert await people(kit) == {"ann": 1}
    assert await handled(handler, removal("ann", "ann-2")) == [None]
    assert await people(kit) == {}


async def test_an_order_acts_in_every_gallery(
    kit: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem, pictures: Path
) -> None:
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "training", GalleryKind.TRAINING, account=ADMINISTRATOR)
    await handled(handler, removal("ann"), records.booked("bob", "bob-9"))
    assert await people(kit, "training") == {"bob": 1, "cat": 1}
    assert await people(kit) == {"bob": 1}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for name in ("ann", "bob", "cat"):
        (root / name).mkdir(parents=True)
        (root / name / "1").write_text(f"{name}-1")
    return root


@pytest.mark.parametrize("shows", ["ann-1", "ann-1 bob-1", "poor"])
async def test_a_picture_that_is_not_the_one_that_was_named_is_left_out_and_nobody_looks_at_it(
    kit: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem, shows: str
) -> None:
    assert await handled(handler, records.booked("ann", shows, pictureSha256=sha256_of("other"))) == [None]
    assert counted(kit, "gallery_bookings_total", outcome="unreadable") == 1
    assert await people(kit) == {}


async def test_what_is_in_error_is_refused_and_harms_no_other(
    kit: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    missing = records.booked("ann", "ann-1", picture="ann/nowhere.jpg")
    wrong = removal("ann")
    events: list[CloudEvent | bytes] = [
        missing,
        records.booked("bob", "bob-1"),
        b"nothing",
        event("rtcc.gallery.unsealed", wrong.data),
        records.booked("cat", "cat-1", picture="../cat.jpg"),
    ]
    assert await handled(handler, *events) == ["not_found", None, "not_json", "unknown_type", "invalid_fields"]
    assert await people(kit) == {"bob": 1}
    (records.store / "ann" / "nowhere.jpg").write_text("ann-1")
    assert await handled(handler, missing) == [None], "as a replay of the dead letter does"
    assert await people(kit) == {"ann": 1, "bob": 1}


async def test_without_a_store_of_pictures_orders_are_carried_out_all_the_same(
    kit: GalleryKit, records: RecordSystem, pictures: Path
) -> None:
    handler = records_handler(kit, None, KAFKA)
    with pytest.raises(UnavailableError, match="no gallery city"):
        await handled(handler, removal("ann"))
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    assert await handled(handler, records.booked("dan", "dan-1"), removal("ann")) == ["bookings_off", None]
    assert await people(kit) == {"bob": 1, "cat": 1}


async def test_a_gallery_of_another_pack_holds_bookings_up_and_loses_none(
    kit: GalleryKit, handler: GalleryRecordsHandler, records: RecordSystem
) -> None:
    await handled(handler, records.booked("ann", "ann-1"))
    longer = PackIdentity("other", PACK.template_hash, 32)
    other = records_handler(kit, booking_desk(kit, records.store, longer), KAFKA)
    with pytest.raises(UnavailableError, match="Enrol the same pictures"):
        await handled(other, records.booked("bob", "bob-1"))


def test_what_an_event_says() -> None:
    order = to_record(removal(" ann ", "ann-1", "mine.sealed"), {"mine.sealed": "rtcc.gallery.sealed"}, NOON)
    assert order == RemovalOrder(OrderKind.SEALED, "ann", sha256_of("ann-1"), "7/2026")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subjectRef", ""),
        ("subjectRef", " "),
        ("subjectRef", "x" * 257),
        ("subjectRef", "a\tb"),
        ("subjectRef", 5),
        ("picture", "/etc/passwd"),
        ("picture", "a/../b"),
        ("picture", ".hidden"),
        ("picture", "a//b"),
        ("pictureSha256", "AB" * 32),
        ("pictureSha256", "ab"),
        ("provenance", " "),
        ("provenance", None),
        ("lawfulBasis", ""),
        ("lawfulBasis", "x" * 1025),
        ("retainUntil", "soon"),
        ("retainUntil", "2030-12-31T12:00:00"),
        ("retainUntil", None),
        ("takenOn", "2019-5-30"),
        ("takenOn", "2019-02-30"),
        ("takenOn", "2999-01-01"),
        ("takenOn", 2019),
        ("adult", None),
        ("adult", "yes"),
    ],
)
def test_p06_a_wrong_field_of_a_booking_is_named(tmp_path: Path, field: str, value: Any) -> None:
    said = RecordSystem(tmp_path).booked("ann", "ann-1")
    assert isinstance(to_record(said, {}, NOON), Booking)
    changed = event(said.type, {**said.data, field: value})
    with pytest.raises(InvalidInputError, match=field) as refused:
        to_record(changed, {}, NOON)
    assert refused.value.reason == "invalid_fields"


@pytest.mark.parametrize(
    ("field", "value"),
    [("subjectRef", ""), ("order", ""), ("order", "x" * 201), ("order", None), ("pictureSha256", "x")],
)
def test_a_wrong_field_of_an_order_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=field):
        to_record(event("rtcc.gallery.sealed", {**removal("ann").data, field: value}), {}, NOON)
