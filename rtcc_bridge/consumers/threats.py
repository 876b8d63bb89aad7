"""Handles the threats topic: alerts, updates and cancels (CAP 1.2)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.consumers.input_handler import InputHandler
from rtcc_bridge.consumers.messages import InfoMessage, ThreatMessage, referenced_identifiers, validated
from rtcc_bridge.errors import InvalidInputError, RejectedError
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.threat import MessageType, ThreatEvent, ThreatInfo
from rtcc_bridge.incidents.threat_desk import ThreatDesk
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage.engine import Database, Transaction

TYPES: Final[Mapping[str, MessageType]] = MappingProxyType(
    {
        "rtcc.threat.alert": MessageType.ALERT,
        "rtcc.threat.update": MessageType.UPDATE,
        "rtcc.threat.cancel": MessageType.CANCEL,
    }
)


class ThreatsHandler(InputHandler[ThreatEvent]):
    """Hands alerts, updates and cancels to the threat desk.

    A batch keeps all its incidents from the incidents topic until its end. Messages on the same incident, and those
    that end or merge one, take statements of their own, so a batch of many would hold that topic up.
    """

    most_at_once = 16
    span_name = "threat.event"

    def __init__(self, database: Database, desk: ThreatDesk, clock: Clock, kafka: KafkaSettings) -> None:
        super().__init__(database, clock, kafka)
        self._desk = desk

    def _translate(self, event: CloudEvent) -> ThreatEvent:
        return to_threat_event(event, self._kafka.type_mapping)

    def _incident_of(self, event: ThreatEvent) -> str | None:
        return next(iter(event.incident_ids), None)

    async def _apply(self, tx: Transaction, arrivals: Sequence[Arrival[ThreatEvent]]) -> Sequence[RejectedError | None]:
        return await self._desk.apply_threats(tx, arrivals)


def to_threat_event(event: CloudEvent, type_mapping: Mapping[str, str]) -> ThreatEvent:
    """The checked message. Raises InvalidInputError.

    Where the event's type and `msgType` disagree, the one that ends more counts.
    """
    event_type = type_mapping.get(event.type, event.type)
    if event_type not in TYPES:
        raise InvalidInputError(
            f"the type {event.type[:128]!r} is not known: map it in kafka.type_mapping", "unknown_type"
        )
    message = validated(ThreatMessage, event.data)
    message_type = max(message.message_type, TYPES[event_type], key=lambda kind: kind.rank)
    references = referenced_identifiers(message.references)
    if message.identifier in references:
        raise InvalidInputError("references: a message cannot speak about itself", "invalid_fields")
    if message_type is not MessageType.CANCEL and not message.info:
        raise InvalidInputError("info: an alert or update has to say what it is about", "invalid_fields")
    return ThreatEvent(
        identifier=message.identifier,
        sender=message.sender,
        sent=message.sent,
        status=message.status,
        message_type=message_type,
        references=references,
        incident_ids=tuple(dict.fromkeys(message.incidents)),
        infos=tuple(_info(info) for info in message.info),
        data=event.data,
        event=f"{event.source} {event.id}",
    )


def _info(info: InfoMessage) -> ThreatInfo:
    return ThreatInfo(
        categories=frozenset(info.category),
        event=info.event,
        urgency=info.urgency,
        severity=info.severity,
        certainty=info.certainty,
        expires=info.expires,
        headline=info.headline,
    )
