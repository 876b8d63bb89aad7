"""Incidents and threats for tests, with only what a test cares about named."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.consumers.incidents import to_incident_event
from rtcc_bridge.consumers.threats import to_threat_event
from rtcc_bridge.incidents.incident import IncidentEvent, apply_event
from rtcc_bridge.incidents.threat import ThreatEvent
from rtcc_bridge.storage.incidents import IncidentRecord

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SENDER = "alerts@city.example"
INFO = {
    "category": ["Safety"],
    "event": "Active shooter",
    "urgency": "Immediate",
    "severity": "Extreme",
    "certainty": "Observed",
    "expires": "2026-11-23T13:00:00Z",
    "headline": "Shelter in place",
}


def at(minutes: float) -> str:
    return (NOON + timedelta(minutes=minutes)).isoformat()


def incident_event(
    what: str = "updated", minutes: float = 0, event_id: str = "e", incident_id: str = "I-1", **data: Any
) -> IncidentEvent:
    content = {"incidentId": incident_id, "lastUpdateTimeStamp": at(minutes), **data}
    event = CloudEvent(id=event_id, source="urn:cad", type=f"rtcc.incident.{what}", data=content)
    return to_incident_event(event, {}, {})


def incident(*events: IncidentEvent, now: datetime = NOON + timedelta(hours=1)) -> IncidentRecord:
    """What these events make, in this order."""
    record: IncidentRecord | None = None
    for event in events:
        record = apply_event(record, event, now)
    assert record is not None
    return record


def threat_event(
    identifier: str = "T-1", what: str = "alert", minutes: float = 0, event_id: str = "e", **data: Any
) -> ThreatEvent:
    content = {
        "identifier": identifier,
        "sender": SENDER,
        "sent": at(minutes),
        "status": "Actual",
        "msgType": what.capitalize(),
        "info": INFO,
        **data,
    }
    event = CloudEvent(id=event_id, source="urn:alerts", type=f"rtcc.threat.{what}", data=content)
    return to_threat_event(event, {})
