"""The JSON Schemas (2020-12) of the data of every event that is no lead event; those are in `leads.schemas`."""

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from rtcc_bridge.audit.checkpoint_event import CHECKPOINT_SIGNED
from rtcc_bridge.consumers.messages import BookingMessage, IncidentMessage, RemovalMessage, ThreatMessage, WireModel
from rtcc_bridge.gallery.head import HEAD_MOVED
from rtcc_bridge.leads.schemas import DIALECT
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.probes.search_request import SEARCH_EVENT_TYPE

INCIDENT_DATA: Final = "rtcc.incident.data"
"""One model for every `rtcc.incident.…` event, so one schema."""
THREAT_DATA: Final = "rtcc.threat.data"
"""One model for every `rtcc.threat.…` event."""
BOOKING_DATA: Final = "rtcc.gallery.booked.data"
REMOVAL_DATA: Final = "rtcc.gallery.removal.data"
"""One model for sealing and expungement orders."""
SEARCH_DATA: Final = f"{SEARCH_EVENT_TYPE}.data"
HEAD_DATA: Final = f"{HEAD_MOVED}.data"
CHECKPOINT_DATA: Final = f"{CHECKPOINT_SIGNED}.data"

_PROPERTIES: Final[dict[str, dict[str, Any]]] = {
    SEARCH_DATA: {
        "probeId": {"type": "string", "minLength": 1, "description": "The probe to search."},
        "lane": {"enum": [lane.value for lane in Lane]},
        "authorityAt": {"type": "string", "format": "date-time"},
        "authority": {
            "type": "object",
            "description": "The signed token without which a matcher refuses the request (P30). It holds no name.",
            "additionalProperties": {"type": ["string", "integer"]},
        },
    },
    HEAD_DATA: {
        "gallery": {"type": "string", "minLength": 1},
        "version": {"type": "integer", "minimum": 1, "description": "The gallery's newest version: only ever grows."},
    },
    CHECKPOINT_DATA: {
        "origin": {"type": "string", "minLength": 1, "description": "Which log: the checkpoint's first line."},
        "size": {"type": "integer", "minimum": 1, "description": "How many entries the checkpoint covers."},
        "rootHash": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "Of the tree of RFC 9162."},
        "note": {"type": "string", "minLength": 1, "description": "The signed checkpoint (C2SP tlog-checkpoint)."},
    },
}
_REQUIRED: Final = {
    SEARCH_DATA: ["probeId", "authority"],
    HEAD_DATA: ["gallery", "version"],
    CHECKPOINT_DATA: ["origin", "size", "rootHash", "note"],
}


class _WireSchema(GenerateJsonSchema):
    """Without the titles that only repeat a field's name."""

    schema_dialect = DIALECT

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the signature is the library's
        return False


def topic_data_schemas() -> dict[str, dict[str, Any]]:
    """By name the schema of each event's data. Data may carry more than is named here."""
    bodies = {
        INCIDENT_DATA: _wire_schema(IncidentMessage),
        THREAT_DATA: _wire_schema(ThreatMessage),
        BOOKING_DATA: _wire_schema(BookingMessage),
        REMOVAL_DATA: _wire_schema(RemovalMessage),
    }
    for name, properties in _PROPERTIES.items():
        bodies[name] = {"title": name, "type": "object", "properties": properties, "required": _REQUIRED[name]}
    return {
        name: {"$schema": DIALECT, "$id": f"urn:rtcc-bridge:schema:{name}", **body} for name, body in bodies.items()
    }


def _wire_schema(model: type[WireModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True, mode="validation", schema_generator=_WireSchema)
