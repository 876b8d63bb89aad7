"""What the load has sent and what it was told: the only source of what should be true afterwards."""

from dataclasses import dataclass, field
from typing import Any


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

    probes: of these a person was told that the search has its authority, or saw it.
    """

    events: list[SentEvent] = field(default_factory=list)
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    probes: set[str] = field(default_factory=set)

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
    sequence: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an independent reader found in the database and on the topics.

    noted: identities of input events, as often as they are noted. incidents: the stored data by incident.
    authorized: probes with authority for a search that was not taken away. without_object: object keys whose object is
    not in the store. given_up: events that were put to the dead letters, and perhaps replayed since.
    """

    noted: tuple[tuple[str, str], ...]
    incidents: dict[str, dict[str, Any]]
    outbox: tuple[OutboxRow, ...]
    authorized: frozenset[str]
    leads: tuple[LeadRow, ...]
    audit_leaves: frozenset[str]
    without_object: tuple[str, ...]
    records: tuple[TopicRecord, ...]
    input_identities: frozenset[tuple[str, str]]
    given_up: frozenset[tuple[str, str]]
