"""What tests of the record system's events have in common: a store of pictures, events about them, the handler."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rtcc_bridge.cloud_event import CloudEvent, serialize
from rtcc_bridge.consumers.gallery_records import GalleryRecordsHandler
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity
from rtcc_bridge.gallery.picture_batch import PictureBatches
from rtcc_bridge.gallery.records import BookingDesk, RemovalDesk
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.picture_store import PictureStore
from tests.doubles import ManualClock
from tests.gallery_kit import PACK, GalleryKit, WordPortraits

GALLERY = "city"
KAFKA = KafkaSettings()
HEADERS = (("content-type", b"application/cloudevents+json"),)


@dataclass
class RecordSystem:
    """Writes pictures to its store and says so."""

    store: Path

    def booked(self, ref: str, words: str, *, at: datetime | None = None, **changes: Any) -> CloudEvent:
        """A booking, whose picture is put into the store first."""
        name = f"{ref}/{words.replace(' ', '_')}.jpg"
        (self.store / ref).mkdir(parents=True, exist_ok=True)
        (self.store / name).write_text(words)
        return booking(ref, name, words.encode(), at=at, **changes)


def booking(ref: str, name: str, content: bytes, /, *, at: datetime | None = None, **changes: Any) -> CloudEvent:
    """The event about a picture that lies in the store under that name."""
    data = {
        "subjectRef": ref,
        "picture": name,
        "pictureSha256": hashlib.sha256(content).hexdigest(),
        "provenance": "booking desk",
        "lawfulBasis": "statute 12",
        "retainUntil": "2030-12-31",
        "adult": True,
        **changes,
    }
    return event("rtcc.gallery.booked", data, at)


def event(event_type: str, data: dict[str, Any], at: datetime | None = None) -> CloudEvent:
    return CloudEvent(
        id=secrets.token_hex(6),
        source="urn:records",
        type=event_type,
        time=at,
        data=data,
        partitionkey=data.get("subjectRef"),
    )


def removal(ref: str, words: str | None = None, event_type: str = "rtcc.gallery.expunged") -> CloudEvent:
    """An order about a person, or about the one picture that says these words."""
    data = {"subjectRef": ref, "order": "7/2026"}
    return event(event_type, data if words is None else {**data, "pictureSha256": sha256_of(words)})


def sha256_of(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def booking_desk(kit: GalleryKit, store: Path, pack: PackIdentity = PACK) -> BookingDesk:
    parts = kit.parts()
    additions = GalleryAdditions(parts, pack)
    return BookingDesk(
        parts,
        additions,
        PictureBatches(parts, WordPortraits(), additions, 2),
        PictureStore(store.as_uri(), 10.0, 1_000_000).read,
        pack,
        GALLERY,
        GalleryKind.DEMO,
        kit.metrics,
    )


def records_handler(kit: GalleryKit, bookings: BookingDesk | None, kafka: KafkaSettings) -> GalleryRecordsHandler:
    opening = None if bookings is None else bookings.open_gallery
    removals = RemovalDesk(kit.parts(), kit.expunger(), GALLERY, opening, kit.metrics)
    return GalleryRecordsHandler(kafka, removals, bookings)


async def handled(handler: GalleryRecordsHandler, *events: CloudEvent | bytes) -> list[str | None]:
    """Why each was refused, or None."""
    values = [one if isinstance(one, bytes) else serialize(one) for one in events]
    now = ManualClock().now()
    outcomes = await handler.handle_batch(
        [
            ConsumedRecord(KAFKA.topics.gallery_records, 0, offset, b"k", value, HEADERS, now)
            for offset, value in enumerate(values)
        ]
    )
    return [None if one is None else one.reason for one in outcomes]


async def people(kit: GalleryKit, gallery: str = GALLERY) -> dict[str, int]:
    """How many pictures of whom are searched."""
    async with kit.database.read() as tx:
        images = await galleries.living_images(tx, gallery)
        refs = await galleries.subject_refs(tx, {image.subject_id for image in images})
    found = [refs[image.subject_id] for image in images]
    return {ref: found.count(ref) for ref in sorted(set(found))}
