"""The envelope of every event: CloudEvents 1.0, written in structured mode.

`rtcc_bridge.consumers.cloud_events` reads what other systems send, in both modes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rtcc_bridge.telemetry.traceparent import read_traceparent

SPECVERSION: Final = "1.0"
JSON_CONTENT_TYPE: Final = "application/json"
STRUCTURED_CONTENT_TYPE: Final = "application/cloudevents+json"
STRUCTURED_HEADERS: Final = (("content-type", STRUCTURED_CONTENT_TYPE.encode()),)
"""The record headers that go with `serialize` (CloudEvents Kafka protocol binding 1.0.2, section 3.3)."""

TRACEPARENT: Final = "traceparent"
"""The extension attribute that carries a trace."""

RESERVED_ATTRIBUTES: Final = frozenset(
    {
        "specversion",
        "id",
        "source",
        "type",
        "time",
        "subject",
        "datacontenttype",
        "dataschema",
        "data",
        "data_base64",
        "partitionkey",
    }
)
"""Names that an extension may not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event. (source, id) is its identity; `time` is aware; `data` is a JSON value."""

    id: str
    source: str
    type: str
    time: datetime | None = None
    subject: str | None = None
    partitionkey: str | None = None
    data: Any = None
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict)

    @property
    def traceparent(self) -> str | None:
        """Where in its trace the event was decided (the distributed tracing extension of CloudEvents), well-formed."""
        return read_traceparent(self.extensions.get(TRACEPARENT))


def to_structured(event: CloudEvent) -> dict[str, Any]:
    """The event as the JSON object of structured mode. Attributes that are not set are left out.

    Raises ValueError for an extension whose name CloudEvents does not allow (lower-case letters and digits only).
    """
    for name in event.extensions:
        if name in RESERVED_ATTRIBUTES or not is_attribute_name(name):
            message = f"{name!r} cannot be the name of an extension attribute"
            raise ValueError(message)
    optional = {
        "time": None if event.time is None else rfc3339(event.time),
        "subject": event.subject,
        "partitionkey": event.partitionkey,
    }
    envelope: dict[str, Any] = {"specversion": SPECVERSION, "id": event.id, "source": event.source, "type": event.type}
    envelope.update({name: value for name, value in optional.items() if value is not None})
    envelope.update(event.extensions)
    if event.data is not None:
        envelope.update({"datacontenttype": JSON_CONTENT_TYPE, "data": event.data})
    return envelope


def serialize(event: CloudEvent) -> bytes:
    """The event as the UTF-8 bytes of structured mode. Raises ValueError for data that JSON cannot hold (NaN)."""
    return json.dumps(to_structured(event), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def rfc3339(moment: datetime) -> str:
    """An aware moment in UTC as CloudEvents writes it (RFC 3339, `Z`). Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        message = "a moment without a time zone cannot be written"
        raise ValueError(message)
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def is_attribute_name(name: str) -> bool:
    """Whether CloudEvents 1.0 (section "Naming conventions") allows this attribute name."""
    return name.isascii() and name.isalnum() and name == name.lower()
