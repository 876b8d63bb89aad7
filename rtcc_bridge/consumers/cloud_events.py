"""Reads CloudEvents 1.0 from records, in both modes of the Kafka protocol binding (1.0.2, section 3).

A trace (`traceparent`) that is malformed is as if it were not there: how an event came is no reason to refuse what it
says. `tracestate`, which holds what other vendors like, is not taken over.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from rtcc_bridge.cloud_event import (
    RESERVED_ATTRIBUTES,
    SPECVERSION,
    TRACEPARENT,
    CloudEvent,
    is_attribute_name,
    rfc3339,
)
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.consumers.strict_json import MAX_INTEGER, read_json
from rtcc_bridge.consumers.timestamps import parse_rfc3339
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.telemetry.traceparent import read_traceparent

DEFAULT_MAX_BYTES: Final = 1_000_000
_PREFIX: Final = "ce_"
_OF_TRACES: Final = frozenset({TRACEPARENT, "tracestate"})
_LONGEST: Final = {"id": 512, "source": 512, "type": 256, "subject": 1024, "partitionkey": 512}
"""Characters; an identity has to fit its column."""
_LONGEST_IDENTITY_BYTES: Final = 2000
"""Of id and source together, in UTF-8: PostgreSQL indexes no row of more than a third of a page (some 2,700 bytes)."""


def parse(record: ConsumedRecord, *, max_bytes: int = DEFAULT_MAX_BYTES) -> CloudEvent:
    """The event that the record carries.

    Raises InvalidInputError with the reason `too_large`, `not_json` or `not_cloud_event`.
    """
    value = record.value or b""
    if len(value) > max_bytes:
        raise InvalidInputError(f"the record has {len(value)} bytes, the limit is {max_bytes}", reason="too_large")
    headers = _headers(record)
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/cloudevents+json":
        return _structured(record, value)
    if content_type.startswith("application/cloudevents"):
        raise _refused(f"the format {content_type} is not accepted: send application/cloudevents+json")
    if any(name.startswith(_PREFIX) for name in headers):
        return _binary(record, headers, content_type, value)
    raise _refused("neither the header content-type: application/cloudevents+json nor ce_ headers are there")


def sha256_of(event: CloudEvent) -> str:
    """The digest of what the event says, in hexadecimal: its type, time and data.

    It is the same in both modes and however the JSON is written, since a bridge on the way may write it anew.
    """
    said = [event.type, None if event.time is None else rfc3339(event.time), _canonical(event.data)]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """The same JSON value with 1.0 written as 1."""
    if isinstance(value, dict):
        return {name: _canonical(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_canonical(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _headers(record: ConsumedRecord) -> dict[str, str]:
    """The headers that the binding speaks about; others may hold any bytes."""
    found: dict[str, str] = {}
    for name, raw in record.headers:
        lowered = name.lower()
        if lowered != "content-type" and not lowered.startswith(_PREFIX):
            continue
        if lowered.removeprefix(_PREFIX) in _OF_TRACES:
            continue  # `_traceparent` reads it, and refuses nothing
        if lowered in found:
            raise _refused(f"the header {lowered[:64]} is there twice")
        try:
            found[lowered] = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _refused(f"the header {lowered[:64]} is not UTF-8") from error
    return found


def _structured(record: ConsumedRecord, value: bytes) -> CloudEvent:
    envelope = read_json(value)
    if not isinstance(envelope, dict):
        raise _refused("the text is not a JSON object")
    if envelope.get("data_base64") is not None:
        raise _refused("data_base64 is not accepted: send JSON in data")
    data = envelope.pop("data", None)
    attributes = {name: attribute for name, attribute in envelope.items() if attribute is not None}
    _check_content_type(attributes.pop("datacontenttype", None))
    return _event(record, attributes, data)


def _binary(record: ConsumedRecord, headers: Mapping[str, str], content_type: str, value: bytes) -> CloudEvent:
    _check_content_type(content_type or None)
    attributes: dict[str, Any] = {
        name.removeprefix(_PREFIX): text for name, text in headers.items() if name.startswith(_PREFIX)
    }
    for name in ("datacontenttype", "data", "data_base64"):
        if name in attributes:
            raise _refused(f"the header {_PREFIX}{name} has no meaning in binary mode")
    return _event(record, attributes, read_json(value) if value else None)


def _check_content_type(content_type: Any) -> None:
    if content_type is None:
        return
    media_type = content_type.partition(";")[0].strip().lower() if isinstance(content_type, str) else ""
    if media_type not in {"application/json", "text/json"} and not media_type.endswith("+json"):
        raise _refused("the data has to be JSON (datacontenttype: application/json)")


def _event(record: ConsumedRecord, attributes: dict[str, Any], data: Any) -> CloudEvent:
    version = attributes.pop("specversion", None)
    if version != SPECVERSION:
        raise _refused("specversion has to be 1.0")
    required = {name: _text(attributes, name) for name in ("id", "source", "type")}
    if len(f"{required['id']}{required['source']}".encode()) > _LONGEST_IDENTITY_BYTES:
        raise _refused(f"id and source are together longer than {_LONGEST_IDENTITY_BYTES} bytes")
    optional = {name: _text(attributes, name) for name in ("subject", "partitionkey") if name in attributes}
    time = attributes.pop("time", None)
    attributes.pop("dataschema", None)
    traceparent = _traceparent(record, attributes)
    return CloudEvent(
        **required,
        **optional,
        time=None if time is None else _time(time),
        data=data,
        extensions=_extensions(attributes) | ({} if traceparent is None else {TRACEPARENT: traceparent}),
    )


def _traceparent(record: ConsumedRecord, attributes: dict[str, Any]) -> str | None:
    """The trace that the event goes on, which it says itself, or else the record's header of W3C Trace Context."""
    said = {name: attributes.pop(name, None) for name in _OF_TRACES}
    if (found := read_traceparent(said[TRACEPARENT])) is not None:
        return found
    for wanted in (f"{_PREFIX}{TRACEPARENT}", TRACEPARENT):
        there = [raw or b"" for name, raw in record.headers if name.lower() == wanted]
        if len(there) == 1 and (found := read_traceparent(there[0].decode("ascii", errors="replace"))) is not None:
            return found
    return None


def _text(attributes: dict[str, Any], name: str) -> str:
    value = attributes.pop(name, None)
    if not isinstance(value, str) or not value.strip():
        raise _refused(f"{name} has to be text that is not empty")
    if len(value) > _LONGEST[name]:
        raise _refused(f"{name} is longer than {_LONGEST[name]} characters")
    if not value.isprintable():
        raise _refused(f"{name} holds characters that cannot be printed")
    return value


def _time(value: Any) -> Any:
    try:
        return parse_rfc3339(value if isinstance(value, str) else "")
    except ValueError as error:
        raise _refused(f"time is {error}") from error


def _extensions(attributes: Mapping[str, Any]) -> dict[str, str | int | bool]:
    for name, value in attributes.items():
        if not is_attribute_name(name) or name in RESERVED_ATTRIBUTES:
            raise _refused(f"{name[:64]!r} is no name for an attribute: lower-case letters and digits only")
        if not isinstance(value, str | int):
            raise _refused(f"the attribute {name[:64]} has to be text, an integer or a truth value")
        if isinstance(value, int) and abs(value) > MAX_INTEGER >> 32:
            raise _refused(f"the attribute {name[:64]} is beyond 32 bits, the limit of CloudEvents")
    return dict(attributes)


def _refused(message: str) -> InvalidInputError:
    return InvalidInputError(f"not a CloudEvent: {message}", reason="not_cloud_event")
