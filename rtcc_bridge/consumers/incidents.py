"""Handles the incidents topic: dispatch events become the newest state of an incident."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import CloudEvent, rfc3339
from rtcc_bridge.consumers.input_handler import InputHandler
from rtcc_bridge.consumers.messages import IncidentMessage, validated
from rtcc_bridge.errors import InvalidInputError, RejectedError
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.desk import IncidentDesk
from rtcc_bridge.incidents.incident import READ_FIELDS, Field, IncidentEvent, Status
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage.engine import Database, Transaction

TYPES: Final[Mapping[str, Status | None]] = MappingProxyType(
    {
        "rtcc.incident.reported": None,
        "rtcc.incident.updated": None,
        "rtcc.incident.closed": Status.CLOSED,
        "rtcc.incident.cancelled": Status.CANCELLED,
    }
)
"""The accepted event types and the state that each implies."""


class IncidentsHandler(InputHandler[IncidentEvent]):
    """Hands what dispatch reports to the incident desk."""

    span_name = "incident.event"

    def __init__(self, database: Database, desk: IncidentDesk, clock: Clock, kafka: KafkaSettings) -> None:
        super().__init__(database, clock, kafka)
        self._desk = desk

    def _translate(self, event: CloudEvent) -> IncidentEvent:
        return to_incident_event(event, self._kafka.type_mapping, self._kafka.incident_status_mapping)

    def _incident_of(self, event: IncidentEvent) -> str | None:
        return event.incident_id

    async def _apply(
        self, tx: Transaction, arrivals: Sequence[Arrival[IncidentEvent]]
    ) -> Sequence[RejectedError | None]:
        return await self._desk.apply_incidents(tx, arrivals)


def to_incident_event(
    event: CloudEvent, type_mapping: Mapping[str, str], status_mapping: Mapping[str, str]
) -> IncidentEvent:
    """The checked event. A site's own types and status codes are translated; unknown ones raise InvalidInputError.

    Where the event's type and its status disagree, the one that ends more counts: authority must not outlive a call
    that was cancelled because another field is stale (P08). A null in a field that the program reads says nothing: an
    exercise must not become a live incident because a sender fills in nulls.
    """
    event_type = type_mapping.get(event.type, event.type)
    if event_type not in TYPES:
        raise InvalidInputError(
            f"the type {event.type[:128]!r} is not known: map it in kafka.type_mapping", "unknown_type"
        )
    message = validated(IncidentMessage, event.data)
    fields = {name: value for name, value in event.data.items() if value is not None or name not in READ_FIELDS}
    said = None if message.status is None else _status(message.status, status_mapping)
    states = [state for state in (said, TYPES[event_type]) if state is not None]
    if event_type == "rtcc.incident.reported":
        states = states or [Status.OPEN]
        fields.setdefault(Field.EXERCISE.value, False)
    if states:
        fields[Field.STATUS.value] = max(states, key=lambda state: state.rank).value
    fields |= _normalised(message)
    return IncidentEvent(
        incident_id=message.incident_id, event=f"{event.source} {event.id}", at=message.last_update_at, fields=fields
    )


def _status(code: str, mapping: Mapping[str, str]) -> Status:
    translated = mapping.get(code, code).strip().lower()
    try:
        return Status(translated)
    except ValueError as error:
        message = f"the status {code[:64]!r} is not known: map it in kafka.incident_status_mapping"
        raise InvalidInputError(message, "unknown_status") from error


def _normalised(message: IncidentMessage) -> dict[str, Any]:
    """The fields that are stored in one form however they were written."""
    forms = {
        Field.TYPE.value: message.incident_type,
        Field.MERGED_INTO.value: message.merged_into,
        Field.OPENED_AT.value: None if message.opened_at is None else rfc3339(message.opened_at),
    }
    return {name: value for name, value in forms.items() if value is not None}
