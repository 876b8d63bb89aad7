"""The AsyncAPI 3 document: every topic, its direction, and the schema of each message on it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rtcc_bridge import __version__
from rtcc_bridge.audit.checkpoint_event import CHECKPOINT_SIGNED
from rtcc_bridge.cloud_event import JSON_CONTENT_TYPE, SPECVERSION, STRUCTURED_CONTENT_TYPE, TRACEPARENT
from rtcc_bridge.consumers import gallery_records, incidents, threats
from rtcc_bridge.gallery.head import HEAD_MOVED
from rtcc_bridge.leads.schemas import lead_schemas
from rtcc_bridge.probes.search_request import SEARCH_EVENT_TYPE
from rtcc_bridge.settings import Settings
from rtcc_bridge.telemetry.traceparent import INCOMING_TRACEPARENT_SCHEMA
from rtcc_bridge.topic_schemas import (
    BOOKING_DATA,
    CHECKPOINT_DATA,
    HEAD_DATA,
    INCIDENT_DATA,
    REMOVAL_DATA,
    SEARCH_DATA,
    THREAT_DATA,
    topic_data_schemas,
)
from rtcc_bridge.topic_settings import TopicSettings

ASYNCAPI_VERSION: Final = "3.0.0"
_KAFKA_BINDING_VERSION: Final = "0.5.0"
_DOCUMENT_KEYS: Final = frozenset({"$defs", "$schema", "$id"})
"""What a schema has as a document of its own, and not as a part of another."""

Json = dict[str, Any]


def asyncapi_document(settings: Settings) -> Json:
    """The document for these settings, whose topic names it uses."""
    topics = settings.kafka.topics
    messages = _messages()
    incidents_in = _channel(topics, topics.incidents, "Incidents from dispatch.", incidents.TYPES, "incident id")
    threats_in = _channel(topics, topics.threats, "Imminent-threat alerts.", threats.TYPES, "incident id")
    records_in = _channel(
        topics,
        topics.gallery_records,
        "Bookings, sealing and expungement orders.",
        gallery_records.TYPES,
        "subject reference",
    )
    leads_out = _channel(
        topics, topics.leads, "The life of each lead. A reader commits its offsets (P19).", _lead_types(), "incident id"
    )
    exercise_out = _channel(
        topics,
        topics.leads_exercise,
        "Leads of exercises, never live ones. A reader commits its offsets (P19).",
        _lead_types(),
        "incident id",
    )
    imminent = _channel(
        topics, topics.probes_imminent, "Internal: searches of the imminent lane.", [SEARCH_EVENT_TYPE], "probe id"
    )
    routine = _channel(
        topics, topics.probes_routine, "Internal: searches of the routine lane.", [SEARCH_EVENT_TYPE], "probe id"
    )
    gallery = _channel(
        topics, topics.gallery, "Internal: a gallery has a new version. A hint, never needed.", [HEAD_MOVED], "gallery"
    )
    dead = _channel(
        topics, topics.dead_letters, "What could not be processed, as it came.", [_DEAD_LETTER], "the record's own"
    )
    heads = _channel(
        topics, topics.audit_checkpoints, "Signed heads of the audit log.", [CHECKPOINT_SIGNED], "the log's name"
    )
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "rtcc-bridge",
            "version": __version__,
            "description": (
                "Incidents and imminent-threat alerts in, investigative leads out. Every value that is written is a "
                "CloudEvents 1.0 event in structured mode; binary mode is accepted too. Delivery is at least once: "
                "(source, id) tells a repetition, and `sequence` orders the events of a lead."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": STRUCTURED_CONTENT_TYPE,
        "channels": {
            "incidents": incidents_in,
            "threats": threats_in,
            "galleryRecords": records_in,
            "leads": leads_out,
            "leadsExercise": exercise_out,
            "probesImminent": imminent,
            "probesRoutine": routine,
            "gallery": gallery,
            "deadLetters": dead,
            "auditCheckpoints": heads,
        },
        "operations": {
            "receiveIncidents": _operation("receive", "incidents", "Applied once each, the newest state wins."),
            "receiveThreats": _operation("receive", "threats", "Applied once each, the newest state wins."),
            "receiveGalleryRecords": _operation(
                "receive", "galleryRecords", "Whoever was sealed or expunged stays out, in whatever order they come."
            ),
            "sendLeads": _operation("send", "leads", "Each step of a lead, from the transaction that took it."),
            "sendExerciseLeads": _operation("send", "leadsExercise", "The same for exercises."),
            "sendImminentSearches": _operation("send", "probesImminent", "A probe has authority."),
            "receiveImminentSearches": _operation("receive", "probesImminent", "Always served first."),
            "sendRoutineSearches": _operation("send", "probesRoutine", "A probe has authority."),
            "receiveRoutineSearches": _operation("receive", "probesRoutine", "Served when no imminent one waits."),
            "sendHeadNotices": _operation(
                "send", "gallery", "Persons were enrolled or expunged. Nobody here reads it."
            ),
            "sendDeadLetters": _operation("send", "deadLetters", "A record failed for good."),
            "sendAuditCheckpoints": _operation(
                "send", "auditCheckpoints", "Whoever keeps one can prove later that the log was not rewritten."
            ),
        },
        "components": {"messages": messages},
    }


_DEAD_LETTER: Final = "deadLetter"


def _lead_types() -> list[str]:
    return [name for name in lead_schemas() if not name.endswith(".data")]


def _messages() -> Json:
    schemas = lead_schemas()
    messages = {name: _message(name, schemas[name]) for name in _lead_types()}
    data_schemas = topic_data_schemas()
    for types, schema_name in (
        (incidents.TYPES, INCIDENT_DATA),
        (threats.TYPES, THREAT_DATA),
        ([gallery_records.BOOKED], BOOKING_DATA),
        (gallery_records.ORDERS, REMOVAL_DATA),
        ([SEARCH_EVENT_TYPE], SEARCH_DATA),
        ([HEAD_MOVED], HEAD_DATA),
        ([CHECKPOINT_SIGNED], CHECKPOINT_DATA),
    ):
        messages |= {name: _message(name, _around(name, data_schemas[schema_name])) for name in types}
    messages[_DEAD_LETTER] = {
        "name": _DEAD_LETTER,
        "title": "A record that could not be processed",
        "contentType": "application/octet-stream",
        "description": "Key, value and headers are those of the record; headers `dlq-…` tell where from and why.",
    }
    return messages


def _around(event_type: str, data_schema: Mapping[str, Any]) -> Json:
    """The schema of an event around that of its data. It may carry more than is named here."""
    definitions = data_schema.get("$defs", {})
    return {
        "title": event_type,
        "type": "object",
        "properties": {
            "specversion": {"const": SPECVERSION},
            "id": {"type": "string", "minLength": 1},
            "source": {"type": "string", "format": "uri-reference", "minLength": 1},
            "type": {"const": event_type},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": JSON_CONTENT_TYPE},
            TRACEPARENT: INCOMING_TRACEPARENT_SCHEMA,
            "data": {key: value for key, value in data_schema.items() if key not in _DOCUMENT_KEYS},
        },
        "required": ["specversion", "id", "source", "type", "data"],
        "$defs": definitions,
    }


def _message(name: str, schema: Mapping[str, Any]) -> Json:
    return {
        "name": name,
        "title": name,
        "contentType": STRUCTURED_CONTENT_TYPE,
        "payload": _inlined(schema, schema.get("$defs", {})),
    }


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with its definitions in place of the references, since `#/` means the whole document in AsyncAPI."""
    if isinstance(value, Mapping):
        if isinstance(reference := value.get("$ref"), str):
            siblings = {key: part for key, part in value.items() if key != "$ref"}
            return _inlined({**definitions[reference.removeprefix("#/$defs/")], **siblings}, definitions)
        kept = {key: part for key, part in value.items() if key not in _DOCUMENT_KEYS}
        return {key: _inlined(part, definitions) for key, part in kept.items()}
    if isinstance(value, list):
        return [_inlined(part, definitions) for part in value]
    return value


def _channel(topics: TopicSettings, address: str, description: str, messages: Iterable[str], key: str) -> Json:
    binding = {
        "topic": address,
        "partitions": topics.partitions,
        "replicas": topics.replication_factor,
        "bindingVersion": _KAFKA_BINDING_VERSION,
    }
    return {
        "address": address,
        "description": f"{description} Key: {key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": binding},
    }


def _operation(action: str, channel: str, summary: str) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
