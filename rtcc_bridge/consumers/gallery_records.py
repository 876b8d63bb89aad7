"""Handles the topic of gallery records: bookings, sealing and expungement orders of the record system.

A batch carries out its orders first: whoever is sealed or expunged is kept out of the galleries whichever came first,
and no order waits for the pictures of a booking. Both services find their own effect again (`gallery.records`), so no
event is noted: a repetition changes nothing however late it comes, which no memory of events could promise.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.consumers.cloud_events import parse
from rtcc_bridge.consumers.messages import BookingMessage, RemovalMessage, validated
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import InvalidInputError, RejectedError
from rtcc_bridge.gallery.checked_rows import retention_from, taken_from
from rtcc_bridge.gallery.identity import normal_ref
from rtcc_bridge.gallery.records import Booking, BookingDesk, OrderKind, RemovalDesk, RemovalOrder
from rtcc_bridge.gallery.set_aside import SetAsideError
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.telemetry.tracing import Facts, RecordSpans

BOOKED: Final = "rtcc.gallery.booked"
ORDERS: Final[Mapping[str, OrderKind]] = MappingProxyType(
    {"rtcc.gallery.sealed": OrderKind.SEALED, "rtcc.gallery.expunged": OrderKind.EXPUNGED}
)
TYPES: Final = (BOOKED, *ORDERS)


class GalleryRecordsHandler:
    """Hands orders and bookings to their desks."""

    most_at_once = 32
    """An order behind a batch of bookings waits for their pictures: some seconds."""

    def __init__(self, kafka: KafkaSettings, removals: RemovalDesk, bookings: BookingDesk | None) -> None:
        """bookings: None where none are taken (`records.pictures_url` is not set)."""
        self._kafka = kafka
        self._removals = removals
        self._bookings = bookings

    async def handle_batch(self, records: Sequence[ConsumedRecord]) -> list[RejectedError | None]:
        """As `BatchHandler` says. Raises UnavailableError."""
        outcomes: list[RejectedError | None] = [None] * len(records)
        orders: list[RemovalOrder] = []
        booked: list[tuple[int, Booking]] = []
        with RecordSpans("gallery.record") as spans:
            for place, record in enumerate(records):
                try:
                    event = parse(record, max_bytes=self._kafka.max_record_bytes)
                    said = to_record(event, self._kafka.type_mapping, record.timestamp)
                except RejectedError as refusal:
                    outcomes[place] = refusal
                    continue
                facts: Facts = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
                spans.begin(place, event.traceparent, facts)
                if isinstance(said, RemovalOrder):
                    orders.append(said)
                else:
                    booked.append((place, said))
            await self._removals.carry_out(orders)
            answers = await self._book([booking for _, booking in booked])
            for (place, _), answer in zip(booked, answers, strict=True):
                outcomes[place] = answer
            for place, outcome in enumerate(outcomes):
                if outcome is not None:
                    spans.refused(place, outcome)
        return outcomes

    async def _book(self, bookings: Sequence[Booking]) -> list[RejectedError | None]:
        """A picture that is left out is a result: the booking was handled."""
        if self._bookings is None:
            message = "bookings are not taken: set records.pictures_url, and replay the dead letters"
            return [InvalidInputError(message, "bookings_off") for _ in bookings]
        outcomes = await self._bookings.book(bookings)
        return [outcome if isinstance(outcome, RejectedError) else None for outcome in outcomes]


def to_record(event: CloudEvent, type_mapping: Mapping[str, str], sent_at: datetime) -> Booking | RemovalOrder:
    """The checked record. sent_at: when it was said, where the event itself has no time. Raises InvalidInputError."""
    event_type = type_mapping.get(event.type, event.type)
    if event_type == BOOKED:
        return _booking(validated(BookingMessage, event.data), event.time or sent_at)
    if event_type not in ORDERS:
        raise InvalidInputError(
            f"the type {event.type[:128]!r} is not known: map it in kafka.type_mapping", "unknown_type"
        )
    message = validated(RemovalMessage, event.data)
    ref = normal_ref(message.subject_ref)
    return RemovalOrder(ORDERS[event_type], ref, message.picture_sha256, message.order)


def _booking(message: BookingMessage, said_at: datetime) -> Booking:
    try:
        retain_until = retention_from(message.retain_until)
    except SetAsideError as error:
        raise InvalidInputError(f"retainUntil: {error.detail}", "invalid_fields") from error
    try:
        taken_on = None if message.taken_on is None else taken_from(message.taken_on, said_at)
    except SetAsideError as error:
        raise InvalidInputError(f"takenOn: {error.detail}", "invalid_fields") from error
    return Booking(
        subject_ref=normal_ref(message.subject_ref),
        picture=message.picture,
        sha256=message.picture_sha256,
        provenance=message.provenance,
        lawful_basis=message.lawful_basis,
        retain_until=retain_until,
        is_adult=message.adult,
        said_at=said_at,
        taken_on=taken_on,
    )
