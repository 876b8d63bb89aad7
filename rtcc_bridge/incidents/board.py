"""What the floor sees of an incident: on the board, in the feed and in the list of open incidents."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.incidents.incident import Field
from rtcc_bridge.incidents.threat import in_force, is_imminent
from rtcc_bridge.storage import incidents, threats
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.incidents import NO_FILTER, BoardFilter, BoardIncident, IncidentRecord
from rtcc_bridge.storage.threats import ThreatRecord


def floor_view(incident: BoardIncident, threats_of_it: Collection[ThreatRecord], now: datetime) -> dict[str, Any]:
    """The incident for a wall board: no notes, no case number, no unknown fields (P16).

    Threats that are not in force at `now` are left out; `expires` tells a board when to drop one by itself.
    """
    location = incident.data.get(Field.LOCATION) or {}
    return {
        "incidentId": incident.incident_id,
        "incidentType": incident.incident_type,
        "status": incident.status,
        "priority": incident.priority,
        "exercise": incident.exercise,
        "openedAt": None if incident.opened_at is None else rfc3339(incident.opened_at),
        "lastUpdateTimeStamp": rfc3339(incident.last_update_at),
        "mergedInto": incident.merged_into,
        "location": {"text": location.get("text")},
        "threats": [_threat_view(threat) for threat in threats_of_it if in_force(threat, now)],
        "imminent": is_imminent(incident, threats_of_it, now),
    }


async def incident_view(tx: Transaction, incident: IncidentRecord, now: datetime) -> dict[str, Any]:
    """The view of one incident, with the threats that are stored for it."""
    return floor_view(incident, await threats.of_incident(tx, incident.incident_id), now)


async def open_incidents(
    tx: Transaction, now: datetime, limit: int, offset: int = 0, only: BoardFilter = NO_FILTER
) -> list[dict[str, Any]]:
    """A page of the board: imminent ones first, then those with any threat; each by priority, then the newest."""
    found = await incidents.list_open(tx, limit, now, offset, only)
    return sorted(await _views(tx, found, now), key=lambda view: (not view["imminent"], not view["threats"]))


async def open_among(
    tx: Transaction, incident_ids: Collection[str], now: datetime, only: BoardFilter = NO_FILTER
) -> list[dict[str, Any]]:
    """Those of these incidents that belong on the board, in no order."""
    return await _views(tx, await incidents.open_among(tx, incident_ids, now, only), now)


async def _views(tx: Transaction, found: Sequence[BoardIncident], now: datetime) -> list[dict[str, Any]]:
    threatened = await threats.of_incidents(tx, [incident.incident_id for incident in found])
    return [floor_view(incident, threatened[incident.incident_id], now) for incident in found]


def _threat_view(threat: ThreatRecord) -> dict[str, Any]:
    info = _first_info(threat.data)
    return {
        "identifier": threat.identifier,
        "event": info.get("event"),
        "severity": info.get("severity"),
        "urgency": info.get("urgency"),
        "headline": info.get("headline"),
        "expires": None if threat.expires_at is None else rfc3339(threat.expires_at),
        "imminent": threat.imminent,
    }


def _first_info(data: Mapping[str, Any]) -> Mapping[str, Any]:
    info = data.get("info") or {}
    return info[0] if isinstance(info, list) else info
