"""The way out for every event: put here in the transaction that decides it, sent when that has committed."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import TRACEPARENT, CloudEvent, serialize, to_structured
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.publishing.lead_constants import require_lead_constants
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.outbox import NewOutboxRecord

SOURCE: Final = "urn:rtcc-bridge"
LARGEST_EVENT_BYTES: Final = 900_000
"""A topic takes 1 MiB by default (`max.message.bytes`), with what the broker adds to the value."""


class LatencyMetric(StrEnum):
    """The histogram in which an event is counted when it gets its place on the feed."""

    EVENT_TO_FLOOR = "event_to_floor_seconds"
    PROBE_TO_CANDIDATES = "probe_to_candidates_seconds"


@dataclass(frozen=True, slots=True)
class Latency:
    """What to observe when the event gets its place on the feed: the time since `since`, under this label."""

    metric: LatencyMetric
    label: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEvent:
    """An event to send. Without a topic it goes to the floor's feed only; `urgent` ones are published before others.

    `key` is the Kafka key and the CloudEvents `partitionkey`. All events of one key should be urgent, or none:
    urgent ones overtake. `traceparent`: the place in its trace at which the event was decided; it goes out with it.
    """

    event_type: str
    topic: str | None
    key: str | None
    subject: str | None
    data: Mapping[str, Any]
    on_feed: bool
    urgent: bool = False
    latency: Latency | None = None
    traceparent: str | None = None


class Outbox:
    """Writes outgoing events as CloudEvents 1.0 into the outbox table."""

    def __init__(self, clock: Clock, source: str = SOURCE) -> None:
        self._clock = clock
        self._source = source

    async def put(self, tx: Transaction, event: OutgoingEvent) -> str:
        """As `put_all`, for one event; returns its id."""
        return (await self.put_all(tx, (event,)))[0]

    async def put_all(self, tx: Transaction, events: Sequence[OutgoingEvent]) -> list[str]:
        """Adds the events to the transaction and returns their ids, which every publication of them will carry.

        Raises IntegrityError for a lead event without its constants (P15): this is the last door. Raises
        InvalidInputError (`too_large`) for one that no topic would take: it would hold up all that follow it.
        """
        records = [self._record(event) for event in events]
        await outbox.put_all(tx, records)
        return [record.event_id for record in records]

    def _record(self, event: OutgoingEvent) -> NewOutboxRecord:
        require_lead_constants(event.event_type, event.data)
        now = self._clock.now()
        cloud_event = CloudEvent(
            id=secrets.token_urlsafe(16),
            source=self._source,
            type=event.event_type,
            time=now,
            subject=event.subject,
            partitionkey=event.key,
            data=dict(event.data),
            extensions={} if event.traceparent is None else {TRACEPARENT: event.traceparent},
        )
        if event.topic is not None and (size_bytes := len(serialize(cloud_event))) > LARGEST_EVENT_BYTES:
            message = f"the event would have {size_bytes} bytes, more than the {LARGEST_EVENT_BYTES} that topics take"
            raise InvalidInputError(message, "too_large")
        latency = event.latency
        return NewOutboxRecord(
            event_id=cloud_event.id,
            event_type=event.event_type,
            topic=event.topic,
            key=event.key,
            event=to_structured(cloud_event),
            on_feed=event.on_feed,
            urgent=event.urgent,
            latency_metric=None if latency is None else latency.metric.value,
            latency_label=None if latency is None else latency.label,
            latency_since=None if latency is None else latency.since,
            created_at=now,
        )
