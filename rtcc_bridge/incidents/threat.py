"""Threats, pure: what makes one imminent, and which message of a thread is in force.

The fields are those of the Common Alerting Protocol (OASIS CAP 1.2, section 3.2).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeAlias

from rtcc_bridge.errors import ConflictError, InvalidInputError
from rtcc_bridge.incidents.incident import authority_ended
from rtcc_bridge.incidents.present import is_ahead
from rtcc_bridge.storage.incidents import BoardIncident
from rtcc_bridge.storage.threats import ThreadMessage, ThreatRecord

LONGEST_IN_FORCE: Final = timedelta(hours=24)
"""CAP leaves `expires` optional and unlimited; a threat that does not end by itself would defer approvals (P14) for as
long. One that goes on is told again by an update."""

_OWN_INCIDENT: Final = "threat:"
_IMMINENT_CATEGORIES: Final = frozenset({"Safety", "Security", "CBRNE"})
_IMMINENT_SEVERITIES: Final = frozenset({"Extreme", "Severe"})
_IMMINENT_CERTAINTIES: Final = frozenset({"Observed", "Likely"})


class MessageType(StrEnum):
    """What a message is, in the order in which they win when two versions bear the same time."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS: Final[Mapping[MessageType, int]] = {kind: rank for rank, kind in enumerate(MessageType)}


class MessageStatus(StrEnum):
    """For whom a message is meant."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


NOT_FOR_PEOPLE: Final = frozenset({MessageStatus.SYSTEM, MessageStatus.DRAFT})
"""Messages for the network's own working and drafts that nobody may act on (CAP): they are left without effect."""


class ThreatState(StrEnum):
    """Whether a message is in force. Expiry is no state: it is judged when the threat is read."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreatInfo:
    """What one `info` block says."""

    categories: frozenset[str]
    event: str
    urgency: str
    severity: str
    certainty: str
    expires: datetime | None
    headline: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreatEvent:
    """One message, already checked. `data` is all that came, as JSON; `event` is the CloudEvent's source and id."""

    identifier: str
    sender: str
    sent: datetime
    status: MessageStatus
    message_type: MessageType
    references: tuple[str, ...]
    incident_ids: tuple[str, ...]
    infos: tuple[ThreatInfo, ...]
    data: Mapping[str, Any]
    event: str

    @property
    def exercise(self) -> bool:
        """Anything but an actual message (P07)."""
        return self.status is not MessageStatus.ACTUAL


def says_imminent(event: ThreatEvent, imminent_senders: Collection[str]) -> bool:
    """The rule of P14: an actual message of a listed sender about something immediate, grave and likely."""
    return (
        event.status is MessageStatus.ACTUAL
        and event.sender in imminent_senders
        and any(_is_grave(info) for info in event.infos)
    )


def is_imminent(incident: BoardIncident, threats: Iterable[ThreatRecord], now: datetime) -> bool:
    """Whether the incident stands under an imminent threat at this moment.

    threats: those of the incident and of incidents that were merged into it (`storage.threats.of_incident`). An
    exercise is never imminent, whatever a threat says of it, nor is an incident whose authority has ended.
    """
    if incident.exercise or authority_ended(incident):
        return False
    return any(threat.imminent and in_force(threat, now) for threat in threats)


def in_force(threat: ThreatRecord, now: datetime) -> bool:
    """Whether the message is neither superseded nor cancelled nor expired."""
    return threat.state == ThreatState.ACTIVE and (threat.expires_at is None or now < threat.expires_at)


def own_incident_id(identifier: str) -> str:
    """The incident that a threat opens when it names none."""
    return f"{_OWN_INCIDENT}{identifier}"


def is_own_incident_id(incident_id: str) -> bool:
    return incident_id.startswith(_OWN_INCIDENT)


def check(event: ThreatEvent, known: ThreatRecord | None, now: datetime) -> None:
    """Raises InvalidInputError for a message from the future, ConflictError for one that is not its sender's to write.

    An identifier is unique for its sender only (CAP 3.2.1), but incidents cite it alone.
    """
    if is_ahead(event.sent, now):
        raise InvalidInputError("sent is in the future: correct the sender's clock", "from_the_future")
    if known is not None and known.sender != event.sender:
        raise ConflictError("another sender already uses this identifier")
    if known is not None and known.exercise != event.exercise:
        raise ConflictError("the identifier belongs to a message of another status (exercise and actual never mix)")


def is_newer(event: ThreatEvent, known: ThreatRecord) -> bool:
    """Whether this version of a message replaces the one that is known."""
    before = (known.sent_at, MessageType(known.message_type).rank, known.event_id)
    return (event.sent, event.message_type.rank, event.event) > before


def to_record(
    event: ThreatEvent,
    known: ThreatRecord | None,
    incident_id: str,
    imminent_senders: Collection[str],
    now: datetime,
) -> ThreatRecord:
    """The row of this message. Its state is settled with its thread (`thread_states`)."""
    return ThreatRecord(
        identifier=event.identifier,
        incident_id=incident_id,
        sender=event.sender,
        sent_at=event.sent,
        message_type=event.message_type.value,
        event_id=event.event,
        state=ThreatState.ACTIVE.value,
        imminent=says_imminent(event, imminent_senders),
        exercise=event.exercise,
        expires_at=_expires_at(event),
        data=event.data,
        created_at=now if known is None else known.created_at,
        updated_at=now,
    )


def thread_states(messages: Collection[ThreadMessage]) -> dict[str, ThreatState]:
    """The state of each message of one thread; it depends on the messages, not on the order in which they came.

    A cancel ends the messages that it references and the updates that continue them; an update supersedes those that
    it references. Neither reaches a message that was sent later, that is another sender's, or that differs in being an
    exercise.
    """
    updates = [message for message in messages if message.record.message_type == MessageType.UPDATE]
    cancels = [message for message in messages if message.record.message_type == MessageType.CANCEL]
    continued_by: defaultdict[str, list[str]] = defaultdict(list)
    for update in updates:
        for name in update.references:
            continued_by[name].append(update.record.identifier)
    superseded = _latest_reaching(updates, {})
    cancelled = _latest_reaching(cancels, continued_by)

    def state(message: ThreadMessage) -> ThreatState:
        place, sent = _place(message, message.record.identifier), message.record.sent_at
        if message.record.message_type == MessageType.CANCEL or (place in cancelled and cancelled[place] >= sent):
            return ThreatState.CANCELLED
        return ThreatState.SUPERSEDED if place in superseded and superseded[place] >= sent else ThreatState.ACTIVE

    return {message.record.identifier: state(message) for message in messages}


_Place: TypeAlias = tuple[str, bool, str]
"""A message of that name, as far as that sender speaks of it, in exercises or in earnest."""


def _place(speaker: ThreadMessage, name: str) -> _Place:
    return speaker.record.sender, speaker.record.exercise, name


def _latest_reaching(
    speakers: Iterable[ThreadMessage], continued_by: Mapping[str, Sequence[str]]
) -> dict[_Place, datetime]:
    """When the latest of these messages was sent that reaches a place, by its references and what continues those.

    The latest speaker goes first. Where one was, no earlier one has to go, so each place is entered once only.
    """
    latest: dict[_Place, datetime] = {}
    for speaker in sorted(speakers, key=lambda speaker: speaker.record.sent_at, reverse=True):
        pending = list(speaker.references - {speaker.record.identifier})
        while pending:
            name = pending.pop()
            place = _place(speaker, name)
            if place not in latest:
                latest[place] = speaker.record.sent_at
                pending.extend(continued_by.get(name, ()))
    return latest


def _is_grave(info: ThreatInfo) -> bool:
    return (
        bool(info.categories & _IMMINENT_CATEGORIES)
        and info.urgency == "Immediate"
        and info.severity in _IMMINENT_SEVERITIES
        and info.certainty in _IMMINENT_CERTAINTIES
    )


def _expires_at(event: ThreatEvent) -> datetime:
    """When the message's weightiest block expires, `LONGEST_IN_FORCE` after it was sent at the latest."""
    latest = event.sent + LONGEST_IN_FORCE
    decisive = [info for info in event.infos if _is_grave(info)] or event.infos
    return max((min(info.expires or latest, latest) for info in decisive), default=latest)
