"""The way out for every event: put here in the transaction that decides it, sent when that has committed."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import CloudEvent, to_structured
from rtcc_bridge.publishing.lead_constants import require_lead_constants
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Transaction

SOURCE: Final = "urn:rtcc-bridge"


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
    urgent ones overtake.
    """

    event_type: str
    topic: str | None
    key: str | None
    subject: str | None
    data: Mapping[str, Any]
    on_feed: bool
    urgent: bool = False
    latency: Latency | None = None


class Outbox:
    """Writes outgoing events as CloudEvents 1.0 into the outbox table."""

    def __init__(self, clock: Clock, source: str = SOURCE) -> None:
        self._clock = clock
        self._source = source

    async def put(self, tx: Transaction, event: OutgoingEvent) -> str:
        """Adds the event to the transaction and returns its id, which every publication of it will carry.

        Raises IntegrityError for a lead event without its constants (P15): this is the last door.
        """
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
        )
        latency = event.latency
        await outbox.put(
            tx,
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
        return cloud_event.id
