"""Simulated dispatch and alerting systems: realistic incidents and threats at a rate, for demos and load tests.

Everything is made up from a seed. Nothing here names a person.
"""

import asyncio
import itertools
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS, CloudEvent, rfc3339, serialize
from rtcc_bridge.topic_settings import TopicSettings

DISPATCH: Final = "urn:rtcc-bridge:simulated-dispatch"
ALERTING: Final = "urn:rtcc-bridge:simulated-alerting"
SENDER: Final = "urn:rtcc-bridge:demo:watch-desk"
"""The sender of simulated threats; the demonstration policy lists it."""

_KINDS: Final[tuple[tuple[str, int, int], ...]] = (
    # APCO common incident type code, priority, weight
    ("SHOOT", 1, 6),
    ("HOMICIDE", 1, 2),
    ("ROBBERY", 2, 10),
    ("STABBING", 1, 4),
    ("ASSAULT", 2, 14),
    ("CARJACK", 2, 4),
    ("WEAPON", 2, 8),
    ("ABDUCTF", 1, 1),
    ("DEATH", 3, 4),
    ("PERUNCON", 2, 8),
    ("TRAUMA", 2, 8),
    ("OD", 2, 8),
    ("CIVDIS", 4, 2),
)
_STREETS: Final = ("Elm St", "2nd Ave", "Harbor Rd", "Union Sq", "Mill Ln", "Station Plz", "Canal St", "Hill Dr")
_THREATS: Final = ("Active shooter", "Bomb threat", "Armed person", "Child abduction")
_MOST_OPEN: Final = 200


@dataclass(slots=True)
class SimulatedIncident:
    """An incident that dispatch still works on, as its next event will tell it."""

    data: dict[str, Any]
    events: int = 0


@dataclass(slots=True)
class SimulationCount:
    """What was published so far."""

    incidents: int = 0
    updates: int = 0
    ended: int = 0
    threats: int = 0

    @property
    def events(self) -> int:
        return self.incidents + self.updates + self.ended + self.threats


@dataclass(slots=True)
class Simulator:
    """Publishes events to the incident and threat topics. One seed gives one story (ids apart, which never repeat)."""

    producer: EventProducer
    topics: TopicSettings
    clock: Clock
    seed: int = 0
    exercise: bool = False
    threat_share: float = 0.02
    count: SimulationCount = field(default_factory=SimulationCount)
    _random: random.Random = field(init=False)
    _open: list[SimulatedIncident] = field(init=False, default_factory=list)
    _run_id: str = field(init=False, default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a story, not a secret

    async def run(self, events_per_second: float, events: int | None = None) -> SimulationCount:
        """Publishes until `events` are out (None: until cancelled) and returns what was published.

        The pace is kept on average: after a slow moment it catches up. Raises UnavailableError when the broker is away.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in itertools.count():
            if events is not None and number >= events:
                break
            await asyncio.sleep(max(0.0, started + number / events_per_second - loop.time()))
            await self.step()
        return self.count

    async def step(self) -> None:
        """Publishes one event: a new incident, an update, an end, or a threat on an open incident."""
        draw = self._random.random()
        if self._open and draw < self.threat_share:
            await self._threaten(self._random.choice(self._open))
        elif self._open and (draw < 0.5 or len(self._open) >= _MOST_OPEN):
            await self._go_on(self._random.choice(self._open))
        else:
            await self._report()

    async def _report(self) -> None:
        self.count.incidents += 1
        kind, priority, _ = self._random.choices(_KINDS, weights=[weight for *_, weight in _KINDS])[0]
        now = self.clock.now()
        data = incident_data(
            f"SIM-{self._run_id}-{self.count.incidents:06d}",
            kind,
            priority,
            now,
            location=f"{self._random.randrange(1, 99) * 100} {self._random.choice(_STREETS)}",
            exercise=self.exercise,
        )
        self._open.append(SimulatedIncident(data))
        await publish_incident(self.producer, self.topics, "reported", data)

    async def _go_on(self, incident: SimulatedIncident) -> None:
        incident.events += 1
        incident.data["lastUpdateTimeStamp"] = rfc3339(self.clock.now())
        if self._random.random() < 0.25 * incident.events:
            self._open.remove(incident)
            self.count.ended += 1
            how = self._random.choices(("closed", "cancelled"), weights=(9, 1))[0]
            incident.data["incidentStatusCommonRegistryText"] = how
            await publish_incident(self.producer, self.topics, how, incident.data)
            return
        self.count.updates += 1
        incident.data["incidentCommonPriorityNumber"] = self._random.randrange(1, 6)
        await publish_incident(self.producer, self.topics, "updated", incident.data)

    async def _threaten(self, incident: SimulatedIncident) -> None:
        self.count.threats += 1
        data = threat_data(
            f"SIMT-{self._run_id}-{self.count.threats:06d}",
            self._random.choice(_THREATS),
            self.clock.now(),
            incident_ids=(incident.data["incidentId"],),
            status="Exercise" if self.exercise else "Actual",
        )
        await publish_threat(self.producer, self.topics, "alert", data)


def incident_data(
    incident_id: str,
    incident_type: str,
    priority: int,
    at: datetime,
    *,
    location: str,
    status: str = "open",
    exercise: bool = False,
    case_number: str | None = None,
) -> dict[str, Any]:
    """`data` of an incident as dispatch reports it."""
    data: dict[str, Any] = {
        "incidentId": incident_id,
        "incidentTypeCommonRegistryText": incident_type,
        "incidentStatusCommonRegistryText": status,
        "incidentCommonPriorityNumber": priority,
        "reportNumberType": "call for service",
        "agencyId": "simulated.example",
        "location": {"text": location},
        "openedAt": rfc3339(at),
        "lastUpdateTimeStamp": rfc3339(at),
        "exercise": exercise,
    }
    return data if case_number is None else {**data, "caseNumber": case_number}


def threat_data(
    identifier: str,
    event: str,
    at: datetime,
    *,
    incident_ids: tuple[str, ...] = (),
    sender: str = SENDER,
    status: str = "Actual",
    lifetime: timedelta = timedelta(hours=1),
) -> dict[str, Any]:
    """`data` of an alert that is imminent by its own fields (when its sender is on the policy's list)."""
    return {
        "identifier": identifier,
        "sender": sender,
        "sent": rfc3339(at),
        "status": status,
        "msgType": "Alert",
        "references": [],
        "incidents": list(incident_ids),
        "info": {
            "category": ["Safety"],
            "event": event,
            "urgency": "Immediate",
            "severity": "Extreme",
            "certainty": "Observed",
            "expires": rfc3339(at + lifetime),
            "headline": f"{event}: simulated alert",
            "area": "simulated",
        },
    }


async def publish_incident(
    producer: EventProducer, topics: TopicSettings, what: str, data: Mapping[str, Any], *, source: str = DISPATCH
) -> CloudEvent:
    """Publishes one incident event (`what`: reported, updated, closed or cancelled) and returns it.

    Raises UnavailableError when the broker does not take it.
    """
    event = _event(f"rtcc.incident.{what}", source, data["incidentId"], data)
    await _publish(producer, topics.incidents, event)
    return event


async def publish_threat(
    producer: EventProducer, topics: TopicSettings, what: str, data: Mapping[str, Any], *, source: str = ALERTING
) -> CloudEvent:
    """Publishes one threat event (`what`: alert, update or cancel), keyed by its incident, and returns it.

    Raises UnavailableError when the broker does not take it.
    """
    key = next(iter(data["incidents"]), data["identifier"])
    event = _event(f"rtcc.threat.{what}", source, key, data)
    await _publish(producer, topics.threats, event)
    return event


def _event(event_type: str, source: str, key: str, data: Mapping[str, Any]) -> CloudEvent:
    return CloudEvent(
        id=secrets.token_urlsafe(16), source=source, type=event_type, subject=key, partitionkey=key, data=dict(data)
    )


async def _publish(producer: EventProducer, topic: str, event: CloudEvent) -> None:
    key = None if event.partitionkey is None else event.partitionkey.encode()
    await producer.send(topic, key=key, value=serialize(event), headers=STRUCTURED_HEADERS)
