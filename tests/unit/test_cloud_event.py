"""The envelope, checked against the official CloudEvents SDK in both directions and both modes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.v1.event import CloudEvent as SdkEvent

from rtcc_bridge.cloud_event import (
    STRUCTURED_CONTENT_TYPE,
    CloudEvent,
    is_attribute_name,
    rfc3339,
    serialize,
    to_structured,
)
from rtcc_bridge.consumers.cloud_events import parse
from rtcc_bridge.consumers.records import ConsumedRecord

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
EVENT = CloudEvent(
    id="A-1",
    source="urn:city:dispatch",
    type="rtcc.incident.reported",
    time=NOON,
    subject="I-1",
    partitionkey="I-1",
    data={"incidentId": "I-1", "location": {"text": "Elm St ✓"}, "lat": 1.5, "list": [1, None, True]},
    extensions={"traceparent": TRACEPARENT, "priority": 3, "urgent": True},
)
MINIMAL = CloudEvent(id="1", source="/x", type="t")
TIMED = replace(MINIMAL, time=NOON)  # the SDK invents a time where there is none


def record_of(message: sdk.KafkaMessage) -> ConsumedRecord:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return ConsumedRecord("t", 0, 0, key, message.value, tuple(message.headers.items()), NOON)


def sdk_event(event: CloudEvent) -> SdkEvent:
    attributes: dict[str, Any] = {"id": event.id, "source": event.source, "type": event.type, "specversion": "1.0"}
    if event.time is not None:
        attributes["time"] = event.time
    if event.subject is not None:
        attributes["subject"] = event.subject
    if event.data is not None:
        attributes["datacontenttype"] = "application/json"
    if event.partitionkey is not None:
        attributes["partitionkey"] = event.partitionkey
    return SdkEvent(attributes | dict(event.extensions), event.data)


@pytest.mark.parametrize("event", [EVENT, TIMED])
def test_the_sdk_reads_what_we_write(event: CloudEvent) -> None:
    headers = {"content-type": STRUCTURED_CONTENT_TYPE.encode()}
    read = sdk.from_structured_event(sdk.KafkaMessage(headers, None, serialize(event)))
    assert read.get_id() == event.id
    assert read.get_source() == event.source
    assert read.get_type() == event.type
    assert read.get_time() == event.time
    assert read.get_subject() == event.subject
    assert read.get_extension("partitionkey") == event.partitionkey
    assert read.get_data() == event.data
    for name, value in event.extensions.items():
        assert read.get_extension(name) == value


@pytest.mark.parametrize("event", [EVENT, TIMED])
def test_we_read_what_the_sdk_writes_structured(event: CloudEvent) -> None:
    assert parse(record_of(sdk.to_structured_event(sdk_event(event)))) == event


def test_we_read_what_the_sdk_writes_binary() -> None:
    """In binary mode every attribute is text."""
    read = parse(record_of(sdk.to_binary_event(sdk_event(EVENT))))
    assert (read.id, read.source, read.type, read.time) == (EVENT.id, EVENT.source, EVENT.type, EVENT.time)
    assert (read.subject, read.partitionkey, read.data) == (EVENT.subject, EVENT.partitionkey, EVENT.data)
    assert read.extensions == {"traceparent": TRACEPARENT, "priority": "3", "urgent": "True"}
    assert read.traceparent == TRACEPARENT


def test_what_is_not_set_is_left_out() -> None:
    assert to_structured(MINIMAL) == {"specversion": "1.0", "id": "1", "source": "/x", "type": "t"}


@pytest.mark.parametrize("name", ["Upper", "with-dash", "data", "id", "", "ä"])
def test_an_extension_with_a_forbidden_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        to_structured(CloudEvent(id="1", source="/x", type="t", extensions={name: "v"}))


def test_data_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        serialize(CloudEvent(id="1", source="/x", type="t", data=float("nan")))


def test_moments_are_written_in_utc() -> None:
    assert rfc3339(NOON.astimezone(timezone(timedelta(hours=-5)))) == "2026-03-01T12:00:00.250000Z"
    with pytest.raises(ValueError, match="time zone"):
        rfc3339(NOON.replace(tzinfo=None))


def test_attribute_names() -> None:
    assert is_attribute_name("abc123")
    assert not is_attribute_name("aBc")
