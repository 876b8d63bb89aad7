"""Incidents, pure: what an event from dispatch makes of what is known.

Each field of an incident belongs to the newest event that named it. That rule does not depend on the order in which
events arrive, nor on how often (`docs/decisions/0010-newest-state-wins.md`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import ConflictError, InvalidInputError
from rtcc_bridge.incidents.present import is_ahead
from rtcc_bridge.policy.purposes import absolute_refusal
from rtcc_bridge.policy.rules import AUTHORITY_ENDED
from rtcc_bridge.storage.incidents import BoardIncident, IncidentRecord

MOST_FIELDS: Final = 512
MOST_BYTES: Final = 1_000_000
"""What an incident may gather over all its events in fields that the program does not read, as JSON."""

UNKNOWN_TYPE: Final = "UNKNOWN"
THREAT_TYPE: Final = "THREAT"
"""The type of an incident that a threat opened by itself. It is no APCO code; the policy file may name it."""


_UNSAID: Final = ("", 0, "")
"""The version of what no event said: every event wins over it."""


class Status(StrEnum):
    """The states of an incident, in the order in which they win when two events bear the same time."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"
    CANCELLED = "cancelled"
    UNFOUNDED = "unfounded"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS: Final[Mapping[Status, int]] = {status: rank for rank, status in enumerate(Status)}


class Field(StrEnum):
    """Names on the wire that the program itself reads; all others are kept as they are."""

    ID = "incidentId"
    TYPE = "incidentTypeCommonRegistryText"
    STATUS = "incidentStatusCommonRegistryText"
    PRIORITY = "incidentCommonPriorityNumber"
    AGENCY = "agencyId"
    CASE_NUMBER = "caseNumber"
    LOCATION = "location"
    OPENED_AT = "openedAt"
    LAST_UPDATE = "lastUpdateTimeStamp"
    MERGED_INTO = "mergedInto"
    EXERCISE = "exercise"


READ_FIELDS: Final = frozenset(field.value for field in Field)
"""On the wire, the fields that the program itself reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEvent:
    """What an event says, already checked.

    event: source and id, which break ties.
    at: the sender's time of this state.
    fields: the fields that the event names, as JSON; times in RFC 3339 and UTC, the status one of `Status`.
    """

    incident_id: str
    event: str
    at: datetime
    fields: Mapping[str, Any]

    @property
    def status(self) -> Status | None:
        named = self.fields.get(Field.STATUS)
        return None if named is None else Status(named)

    @property
    def named(self) -> set[str]:
        """The incident, and the one that it is said to be merged into."""
        return {self.incident_id, self.fields.get(Field.MERGED_INTO) or self.incident_id}


def apply_event(known: IncidentRecord | None, event: IncidentEvent, now: datetime) -> IncidentRecord:
    """The incident after the event; `known` itself when the event says nothing new.

    Raises InvalidInputError for an event from the future and for one that makes the incident too large, ConflictError
    for a merge into nothing or into itself. An event that takes authority away is never too large: it is applied
    without the fields that the program does not read.
    """
    _check(event, now)
    fields = {**event.fields, Field.ID.value: event.incident_id, Field.LAST_UPDATE.value: rfc3339(event.at)}
    data, versions = _merged(known, fields, _version(event))
    if _is_too_large(data):
        if not _restricts(event):
            raise InvalidInputError(
                f"the incident would have more than {MOST_FIELDS} other fields or {MOST_BYTES} bytes of them",
                "too_large",
            )
        data, versions = _merged(
            known, {name: value for name, value in fields.items() if name in READ_FIELDS}, _version(event)
        )
    refused_type = _refused_type(known, event)
    if known is not None and versions == dict(known.versions) and refused_type == known.refused_type:
        return known
    return replace(_record(known, data, versions, now), refused_type=refused_type)


def placeholder(incident_id: str, incident_type: str, *, exercise: bool, at: datetime, now: datetime) -> IncidentRecord:
    """An open incident that only a threat has told of yet: whatever dispatch says of it later wins."""
    data = {
        Field.ID.value: incident_id,
        Field.TYPE.value: incident_type,
        Field.STATUS.value: Status.OPEN.value,
        Field.EXERCISE.value: exercise,
        Field.OPENED_AT.value: rfc3339(at),
        Field.LAST_UPDATE.value: rfc3339(at),
    }
    return _record(None, data, dict.fromkeys(data, _UNSAID), now)


def is_placeholder(incident: IncidentRecord) -> bool:
    """Whether dispatch has said nothing of this incident yet."""
    return all(not version[0] for version in incident.versions.values())


def with_status(
    incident: IncidentRecord, status: Status, now: datetime, merged_into: str | None = None
) -> IncidentRecord:
    """A placeholder in another state. Its versions stay, so that dispatch still wins."""
    data = {**incident.data, Field.STATUS.value: status.value, Field.MERGED_INTO.value: merged_into}
    versions = {name: incident.versions.get(name, _UNSAID) for name in data}
    return _record(incident, data, versions, now)


def authority_ended(incident: BoardIncident) -> bool:
    """Whether the incident permits no search and no lead any more (P08)."""
    return incident.status in AUTHORITY_ENDED


def _check(event: IncidentEvent, now: datetime) -> None:
    if is_ahead(event.at, now):
        raise InvalidInputError(f"{Field.LAST_UPDATE} is in the future: correct the sender's clock", "from_the_future")
    target = event.fields.get(Field.MERGED_INTO)
    if event.status is Status.MERGED and not target:
        raise ConflictError(f"status merged needs {Field.MERGED_INTO}, the incident that goes on")
    if target == event.incident_id:
        raise ConflictError("an incident cannot be merged into itself")


def _refused_type(known: IncidentRecord | None, event: IncidentEvent) -> str | None:
    """The absolutely refused type (P02) that any event named, this one or an earlier one, in whatever order they came.

    No event takes it back: what was coded as a protest is not laundered by coding it anew.
    """
    before = None if known is None else known.refused_type
    named = absolute_refusal(event.fields.get(Field.TYPE) or "")
    return min((code for code in (before, named) if code is not None), default=None)


def _merged(
    known: IncidentRecord | None, fields: Mapping[str, Any], version: tuple[str, int, str]
) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """The data and versions of `known` with each field that this version is the newest to name."""
    data: dict[str, Any] = {} if known is None else dict(known.data)
    versions: dict[str, Sequence[Any]] = {} if known is None else dict(known.versions)
    for name, value in fields.items():
        if version > tuple(versions.get(name, ())):
            data[name], versions[name] = value, version
    return data, versions


def _is_too_large(data: Mapping[str, Any]) -> bool:
    others = {name: value for name, value in data.items() if name not in READ_FIELDS}
    return len(others) > MOST_FIELDS or len(json.dumps(others, ensure_ascii=False).encode()) > MOST_BYTES


def _restricts(event: IncidentEvent) -> bool:
    """Whether the event takes authority away: by its status (P08) or by a type that is absolutely refused (P02)."""
    return event.status in AUTHORITY_ENDED or absolute_refusal(event.fields.get(Field.TYPE) or "") is not None


def _version(event: IncidentEvent) -> tuple[str, int, str]:
    """Compared element by element: the sender's time, then the state that ends more, then the event's own name."""
    rank = 0 if event.status is None else event.status.rank
    return event.at.isoformat(timespec="microseconds"), rank, event.event


def _record(
    known: IncidentRecord | None, data: Mapping[str, Any], versions: Mapping[str, Sequence[Any]], now: datetime
) -> IncidentRecord:
    status = Status(data.get(Field.STATUS) or Status.OPEN)
    target = data.get(Field.MERGED_INTO)
    if status is Status.MERGED and target is None:
        status = Status.OPEN  # a newer event took the merge back without naming a status
    opened_at = data.get(Field.OPENED_AT)
    return IncidentRecord(
        incident_id=data[Field.ID],
        incident_type=data.get(Field.TYPE) or UNKNOWN_TYPE,
        status=status.value,
        priority=data.get(Field.PRIORITY),
        agency_id=data.get(Field.AGENCY),
        case_number=data.get(Field.CASE_NUMBER),
        merged_into=target if status is Status.MERGED else None,
        exercise=bool(data.get(Field.EXERCISE)),
        opened_at=None if opened_at is None else datetime.fromisoformat(opened_at),
        last_update_at=datetime.fromisoformat(data[Field.LAST_UPDATE]),
        data=data,
        versions=versions,
        created_at=now if known is None else known.created_at,
        updated_at=now,
        refused_type=None if known is None else known.refused_type,
        traceparent=None if known is None else known.traceparent,
    )
