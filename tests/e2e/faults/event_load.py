"""Dispatch and the alerting system: events at a rate, by another Kafka client than the daemon's."""

import asyncio
import json
import random
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from tests.e2e.faults.ledger import MARKER_PREFIX, Ledger, SentEvent
from tests.e2e.faults.pace import paced

INCIDENTS: Final = "rtcc.incidents"
THREATS: Final = "rtcc.threats"
DISPATCH: Final = "urn:rtcc-bridge:test:dispatch"
ALERTING: Final = "urn:rtcc-bridge:test:alerting"
SENDER: Final = "urn:rtcc-bridge:demo:watch-desk"
"""The sender that the demonstration policy lists."""

_KINDS: Final = ("ROBBERY", "ASSAULT", "SHOOT", "TRAUMA", "OD", "DEATH")
_MOST_OPEN: Final = 60
_POISON_SHARE: Final = 0.02
_HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("content-type", b"application/cloudevents+json")]


class EventLoad:
    """Sends events and notes in the ledger what the broker has acknowledged.

    The producer is idempotent and never gives up, as a careful sender's is: nothing is lost on the way in, and the
    order of one incident's events stays. A share of the events is sent twice, as careful senders also do, and some
    sender's records cannot be read.
    """

    def __init__(self, bootstrap: str, ledger: Ledger, seed: int) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        self._ledger = ledger
        self._random = random.Random(seed)
        self._run = secrets.token_hex(3)
        self._opened = 0
        self._threats = 0
        self._open: list[dict[str, Any]] = []
        self._last_at = datetime.now(UTC)

    async def run(self, events_per_second: float, *, until: asyncio.Event) -> None:
        """Sends at a pace until told to stop. Returns without waiting for the broker."""
        async for _ in paced(events_per_second, until):
            self.step()
            if self._random.random() < _POISON_SHARE:
                self.poison()
            self._producer.poll(0)

    def step(self) -> None:
        """Sends one event: a new incident, another state of an open one, its end, or an alert."""
        draw = self._random.random()
        if self._open and draw < 0.08:
            self.alert(self._random.choice(self._open)["incidentId"])
        elif self._open and (draw < 0.7 or len(self._open) >= _MOST_OPEN):
            self._go_on(self._random.choice(self._open))
        else:
            self._open.append(self.report(self._random.choice(_KINDS)))

    def report(self, kind: str) -> dict[str, Any]:
        """A new incident; returns its data."""
        self._opened += 1
        at = self._next_moment()
        data: dict[str, Any] = {
            "incidentId": f"F-{self._run}-{self._opened:05d}",
            "incidentTypeCommonRegistryText": kind,
            "incidentStatusCommonRegistryText": "open",
            "incidentCommonPriorityNumber": 2,
            "agencyId": "faults.example",
            "location": {"text": "Test square"},
            "openedAt": at,
            "lastUpdateTimeStamp": at,
            "exercise": False,
        }
        self._incident("reported", data)
        return data

    def alert(self, incident_id: str) -> None:
        """An imminent threat on an incident."""
        self._threats += 1
        now = datetime.now(UTC)
        data = {
            "identifier": f"T-{self._run}-{self._threats:05d}",
            "sender": SENDER,
            "sent": _written(now),
            "status": "Actual",
            "msgType": "Alert",
            "references": [],
            "incidents": [incident_id],
            "info": {
                "category": ["Safety"],
                "event": "Armed person",
                "urgency": "Immediate",
                "severity": "Extreme",
                "certainty": "Observed",
                "expires": _written(now + timedelta(hours=12)),
                "headline": "Armed person",
                "area": "Test square",
            },
        }
        sent = SentEvent(THREATS, ALERTING, secrets.token_urlsafe(12), incident_id, is_threat=True, at=_written(now))
        self._send(sent, "rtcc.threat.alert", data)

    def cancel(self, incident: dict[str, Any]) -> None:
        """Dispatch takes an incident back: what hangs on it loses its authority. data: as `report` returned it."""
        self._ledger.cancelled.add(incident["incidentId"])
        incident["lastUpdateTimeStamp"] = self._next_moment()
        incident["incidentStatusCommonRegistryText"] = "cancelled"
        self._incident("cancelled", incident)

    def poison(self) -> None:
        """A record that nobody can apply, among the good ones of its key: no JSON, an unknown type, or out of bounds.

        It has no identity that one could go by: a mark in its bytes stands for it.
        """
        marker = f"{MARKER_PREFIX}{secrets.token_hex(8)}"
        incident_id = self._random.choice(self._open)["incidentId"] if self._open else marker
        data = {
            "incidentId": incident_id,
            "lastUpdateTimeStamp": self._next_moment(),
            "incidentCommonPriorityNumber": 99,
        }
        value = self._random.choice(
            (
                f'{{"id": "{marker}"'.encode(),
                _envelope(DISPATCH, marker, "rtcc.incident.unheard-of", incident_id, data),
                _envelope(DISPATCH, marker, "rtcc.incident.updated", incident_id, data),
            )
        )
        self._ledger.poison.add(marker)
        topic = self._random.choice((INCIDENTS, THREATS))
        self._producer.produce(topic, key=incident_id.encode(), value=value, headers=_HEADERS)

    async def acknowledged(self, seconds: float = 60.0) -> None:
        """Returns when the broker has acknowledged everything. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while len(self._producer):  # the client counts what it has not handed back yet
                self._producer.poll(0)
                await asyncio.sleep(0.05)

    def _go_on(self, incident: dict[str, Any]) -> None:
        incident["lastUpdateTimeStamp"] = self._next_moment()
        if self._random.random() < 0.1:
            self._open.remove(incident)
            incident["incidentStatusCommonRegistryText"] = "closed"
            self._incident("closed", incident)
            return
        incident["incidentCommonPriorityNumber"] = self._random.randrange(1, 6)
        self._incident("updated", incident)

    def _incident(self, what: str, data: dict[str, Any]) -> None:
        sent = SentEvent(
            INCIDENTS,
            DISPATCH,
            secrets.token_urlsafe(12),
            data["incidentId"],
            is_threat=False,
            at=data["lastUpdateTimeStamp"],
            status=data["incidentStatusCommonRegistryText"],
            priority=data["incidentCommonPriorityNumber"],
        )
        self._send(sent, f"rtcc.incident.{what}", data)

    def _send(self, sent: SentEvent, event_type: str, data: dict[str, Any]) -> None:
        self._ledger.events.append(sent)
        for _ in range(2 if self._random.random() < 0.02 else 1):
            self._producer.produce(
                sent.topic,
                key=sent.incident_id.encode(),
                value=_envelope(sent.source, sent.event_id, event_type, sent.incident_id, data),
                headers=_HEADERS,
                on_delivery=self._noting(sent),
            )

    def _noting(self, sent: SentEvent) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self._ledger.acknowledged.add(sent.identity)

        return delivered

    def _next_moment(self) -> str:
        """Later than every moment before, so that the last state sent is the newest."""
        self._last_at = max(datetime.now(UTC), self._last_at + timedelta(microseconds=1))
        return _written(self._last_at)


def _envelope(source: str, event_id: str, event_type: str, incident_id: str, data: dict[str, Any]) -> bytes:
    """A CloudEvent in structured mode."""
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": event_type,
        "subject": incident_id,
        "partitionkey": incident_id,
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event).encode()


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
