"""The published JSON Schemas (2020-12) of lead events, made from the models that the events are built with."""

from copy import deepcopy
from functools import cache
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from rtcc_bridge.cloud_event import JSON_CONTENT_TYPE, SPECVERSION, TRACEPARENT
from rtcc_bridge.leads.events import EVENT_DATA, FLOOR_UPDATE, LeadData
from rtcc_bridge.telemetry.traceparent import TRACEPARENT_SCHEMA

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
LEAD_EVENT_TYPES: Final = tuple(event_type for event_type in EVENT_DATA if event_type != FLOOR_UPDATE)
"""What stands on the lead topics."""


class _PlainSchema(GenerateJsonSchema):
    """Without the titles that only repeat a field's name."""

    schema_dialect = DIALECT

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the signature is the library's
        return False


@cache
def lead_schemas() -> dict[str, dict[str, Any]]:
    """By event type the schema of the whole event, and by `<event type>.data` that of its data alone.

    Nobody may change them: they are made once, when they are asked for. Blocks then.
    """
    schemas: dict[str, dict[str, Any]] = {}
    for event_type in LEAD_EVENT_TYPES:
        data_schema = data(event_type)
        schemas[event_type] = _event_schema(event_type, deepcopy(data_schema))
        name = f"{event_type}.data"
        schemas[name] = {"$schema": DIALECT, "$id": _schema_id(name), **data_schema}
    return schemas


def data(event_type: str) -> JsonSchemaValue:
    """The schema of an event type's data, with its parts under `$defs`."""
    model: type[LeadData] = EVENT_DATA[event_type]
    return model.model_json_schema(by_alias=True, mode="serialization", schema_generator=_PlainSchema)


def _event_schema(event_type: str, data_schema: JsonSchemaValue) -> dict[str, Any]:
    definitions = data_schema.pop("$defs")
    properties: dict[str, Any] = {
        "specversion": {"const": SPECVERSION},
        "id": {"type": "string", "minLength": 1, "description": "The same for every delivery of this event."},
        "source": {"type": "string", "format": "uri-reference", "minLength": 1},
        "type": {"const": event_type},
        "time": {"type": "string", "format": "date-time", "description": "When it was decided."},
        "subject": {"type": "string", "minLength": 1, "description": "The lead id."},
        "partitionkey": {"type": "string", "minLength": 1, "description": "The incident id: the record's key."},
        "datacontenttype": {"const": JSON_CONTENT_TYPE},
        "data": {"$ref": f"#/$defs/{data_schema['title']}"},
    }
    optional = {TRACEPARENT: TRACEPARENT_SCHEMA}
    return {
        "$schema": DIALECT,
        "$id": _schema_id(event_type),
        "title": event_type,
        "description": f"CloudEvents 1.0, structured mode. {data_schema['description']}",
        "type": "object",
        "properties": properties | optional,
        "required": list(properties),
        "additionalProperties": False,
        "$defs": {**definitions, data_schema["title"]: data_schema},
    }


def _schema_id(name: str) -> str:
    return f"urn:rtcc-bridge:schema:{name}"
