"""What the load has sent and what it was told: the only source of what should be true afterwards."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

MARKER_PREFIX: Final = "poison-"
"""What the mark in a record that nobody can read begins with; sixteen hexadecimal digits follow."""


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event from dispatch or an alert. `at` is the sender's time of an incident's state, as it is on the wire."""

    topic: str
    source: str
    event_id: str
    incident_id: str
    is_threat: bool
    at: str
    status: str | None = None
    priority: int | None = None

    @property
    def identity(self) -> tuple[str, str]:
        return self.source, self.event_id


@dataclass(slots=True)
class Ledger:
    """events: in the order of sending. acknowledged: identities that the broker has acknowledged.

    probes: of these a person was told that the search has its authority, or saw it. cancelled: incidents that dispatch
    has taken back. poison: the marks of records that cannot be read. refused_requests: for searches, refused since a
    process's clock was wrong; the reconciler makes others.
    """

    events: list[SentEvent] = field(default_factory=list)
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    probes: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)
    refused_requests: set[tuple[str, str]] = field(default_factory=set)

    @property
    def effective(self) -> list[SentEvent]:
        """The events that have to have had their effect, in the order of sending."""
        return [event for event in self.events if event.identity in self.acknowledged]

    def newest_states(self) -> dict[str, SentEvent]:
        """The event that decides the state of each incident: the last one, since the sender's times grow."""
        return {event.incident_id: event for event in self.effective if not event.is_threat}


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A row of the outbox, as it stands in the database."""

    event_id: str
    event_type: str
    topic: str | None
    on_feed: bool
    feed_position: int | None
    is_done: bool
    event: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.event["data"]
        return data


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """A record of a topic whose value is a CloudEvent."""

    topic: str
    partition: int
    offset: int
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LeadRow:
    """A lead, as it stands in the database."""

    lead_id: str
    probe_id: str
    incident_id: str
    sequence: int
    review_state: str


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """A probe whose search had its authority at one time, as it stands in the database."""

    probe_id: str
    incident_id: str
    state: str

    @property
    def is_taken_away(self) -> bool:
        return self.state in {"refused", "withdrawn"}


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. Of its record the mark, if it was poisoned, else the event's identity and type."""

    marker: str | None = None
    identity: tuple[str, str] | None = None
    event_type: str | None = None


@dataclass(frozen=True, slots=True)
class HeardEvent:
    """An event in its place on the live feed, as a client heard it. digest: see `digest_of`."""

    place: int
    digest: bytes


def digest_of(event: dict[str, Any]) -> bytes:
    """Tells one CloudEvent from another: whole ones of a long run would fill the memory."""
    return hashlib.sha256(json.dumps(event, sort_keys=True).encode()).digest()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an independent reader found in the database and on the topics.

    noted: identities of input events, as often as they are noted. incidents: the stored data by incident.
    without_object: object keys whose object is not in the store. letters: all that lies on the dead-letter topic.
    heard: what a client of the live feed heard, in its order.
    """

    noted: tuple[tuple[str, str], ...]
    incidents: dict[str, dict[str, Any]]
    outbox: tuple[OutboxRow, ...]
    probes: tuple[ProbeRow, ...]
    leads: tuple[LeadRow, ...]
    audit_leaves: frozenset[str]
    without_object: tuple[str, ...]
    records: tuple[TopicRecord, ...]
    input_identities: frozenset[tuple[str, str]]
    letters: tuple[Letter, ...]
    heard: tuple[HeardEvent, ...]
