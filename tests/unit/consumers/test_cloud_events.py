"""Reading CloudEvents from records: what is refused, and how clearly."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.cloud_event import STRUCTURED_HEADERS
from rtcc_bridge.consumers.cloud_events import parse, sha256_of
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import InvalidInputError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENVELOPE = {"specversion": "1.0", "id": "1", "source": "urn:x", "type": "t", "data": {"a": 1}}
BINARY = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"urn:x"), ("ce_type", b"t"))


def record(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = STRUCTURED_HEADERS) -> ConsumedRecord:
    return ConsumedRecord("topic", 0, 7, b"key", value, headers, NOW)


def structured(**changes: Any) -> ConsumedRecord:
    return record(json.dumps(ENVELOPE | changes).encode())


def test_headers_may_be_written_in_any_case_and_with_parameters() -> None:
    headers = (("Content-Type", b"Application/CloudEvents+JSON; charset=UTF-8"), ("x-any", b"\xff\xfe"))
    assert parse(record(json.dumps(ENVELOPE).encode(), headers)).data == {"a": 1}


def test_what_an_event_says_has_one_digest_however_it_is_written() -> None:
    timed: dict[str, Any] = {"time": "2026-03-01T13:00:00+01:00", "data": {"a": 1, "b": [2.0]}}
    whole = sha256_of(parse(structured(**timed)))
    written_anew = (*BINARY, ("ce_time", b"2026-03-01T12:00:00Z"), ("ce_bridge", b"x"))
    assert sha256_of(parse(record(b'{ "b": [2], "a": 1.0 }', written_anew))) == whole
    others = [timed | {"type": "u"}, timed | {"time": None}, timed | {"data": {"a": 1, "b": [3]}}]
    assert len({whole, *(sha256_of(parse(structured(**other))) for other in others)}) == 4


def test_binary_mode_needs_no_data() -> None:
    assert parse(record(None, BINARY)).data is None


def test_a_null_attribute_is_not_set() -> None:
    assert parse(structured(subject=None, time=None, data_base64=None)).subject is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": None}, "specversion"),
        ({"id": None}, "id has to be text"),
        ({"id": ""}, "id has to be text"),
        ({"id": 5}, "id has to be text"),
        ({"id": "x" * 513}, "longer than 512"),
        ({"id": "\u4e2d" * 512, "source": "\u4e2d" * 155}, "together longer than 2000 bytes"),
        ({"id": "a\nb"}, "printed"),
        ({"source": None}, "source has to be text"),
        ({"type": " "}, "type has to be text"),
        ({"subject": 3}, "subject has to be text"),
        ({"time": "yesterday"}, "RFC 3339"),
        ({"time": "2026-03-01T12:00:00"}, "RFC 3339"),
        ({"time": 5}, "RFC 3339"),
        ({"time": "2026-02-30T12:00:00Z"}, "time is"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "beyond the years"),
        ({"datacontenttype": "text/plain"}, "has to be JSON"),
        ({"datacontenttype": 5}, "has to be JSON"),
        ({"data_base64": "AA=="}, "data_base64"),
        ({"bad-name": "x"}, "no name for an attribute"),
        ({"extension": {"a": 1}}, "text, an integer"),
        ({"extension": 2**31}, "32 bits"),
    ],
)
def test_a_wrong_attribute_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as raised:
        parse(structured(**changes))
    assert raised.value.reason == "not_cloud_event"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"id": "1", "id": "2"}', "twice"),
        (b'{"data": {"a": 1, "a": 2}}', "twice"),
        (b'{"data": NaN}', "NaN"),
        (b'{"data": -Infinity}', "Infinity"),
        (b'{"data": 1e999}', "too large"),
        (b'{"data": 99999999999999999999}', "64 bits"),
        (b'{"data": ' + b"9" * 5000 + b"}", "64 bits"),
        (b'{"data": "\\ud800"}', "surrogate"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'{"data": ' + b"[" * 33 + b"]" * 33 + b"}", "deeper"),
        (b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeper"),
    ],
)
def test_what_is_no_sound_json_is_refused(value: bytes, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as raised:
        parse(record(value))
    assert raised.value.reason == "not_json"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ((), "neither"),
        ((("content-type", b"application/json"),), "neither"),
        ((("content-type", b"application/cloudevents+avro"),), "avro"),
        ((("content-type", b"application/cloudevents-batch+json"),), "batch"),
        ((*STRUCTURED_HEADERS, *STRUCTURED_HEADERS), "twice"),
        ((*BINARY, ("CE_ID", b"2")), "twice"),
        ((*BINARY, ("ce_subject", b"\xff")), "not UTF-8"),
        ((*BINARY, ("ce_data", b"x")), "no meaning"),
        ((*BINARY, ("content-type", b"text/plain")), "has to be JSON"),
    ],
)
def test_headers_that_make_no_event_are_refused(headers: tuple[tuple[str, bytes], ...], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as raised:
        parse(record(b"{}", headers))
    assert raised.value.reason == "not_cloud_event"


def test_json_that_is_no_object_is_no_event() -> None:
    with pytest.raises(InvalidInputError, match="not a JSON object"):
        parse(record(b"[1]"))


def test_a_large_record_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidInputError, match="the limit is 100") as raised:
        parse(record(b"x" * 101), max_bytes=100)
    assert raised.value.reason == "too_large"


@given(st.binary(max_size=200), st.lists(st.tuples(st.sampled_from(["content-type", "ce_id", "x"]), st.binary())))
def test_any_bytes_are_an_event_or_refused(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    for extra in ((), STRUCTURED_HEADERS, BINARY):
        with suppress(InvalidInputError):
            assert parse(record(value, (*headers, *extra))).id


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_sound_data_comes_through_as_it_is(data: Any) -> None:
    assert parse(structured(data=data)).data == data
    assert parse(record(json.dumps(data).encode(), BINARY)).data == data


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "ce_traceparent", "Ce_TraceParent"])
def test_a_trace_comes_in_binary_mode_as_attribute_or_header(name: str) -> None:
    read = parse(record(b"{}", (*BINARY, (name, TRACEPARENT.encode()))))
    assert read.traceparent == TRACEPARENT
    assert read.extensions == {"traceparent": TRACEPARENT}


def test_a_trace_comes_in_structured_mode_as_attribute_or_header() -> None:
    assert parse(structured(traceparent=TRACEPARENT)).traceparent == TRACEPARENT
    with_header = (*STRUCTURED_HEADERS, ("traceparent", TRACEPARENT.encode()))
    assert parse(record(json.dumps(ENVELOPE).encode(), with_header)).traceparent == TRACEPARENT


def test_what_the_event_says_of_its_trace_counts_before_the_header() -> None:
    header = ("traceparent", OTHER.encode())
    value = json.dumps(ENVELOPE | {"traceparent": TRACEPARENT}).encode()
    assert parse(record(value, (*STRUCTURED_HEADERS, header))).traceparent == TRACEPARENT
    attribute = ("ce_traceparent", TRACEPARENT.encode())
    assert parse(record(b"{}", (*BINARY, header, attribute))).traceparent == TRACEPARENT


@pytest.mark.parametrize(
    "wrong", ["", "00-ab", "x" * 100_000, 5, 2**40, 1.5, True, None, [TRACEPARENT], {"a": TRACEPARENT}]
)
@pytest.mark.parametrize("name", ["traceparent", "tracestate"])
def test_a_malformed_trace_is_as_if_it_were_not_there(name: str, wrong: Any) -> None:
    read = parse(structured(**{name: wrong}))
    assert read.traceparent is None
    assert read.extensions == {}
    assert read.data == {"a": 1}


@pytest.mark.parametrize(
    "wrong", [b"", b"00-ab", b"\xff\xfe", TRACEPARENT.encode() + b"\xff", TRACEPARENT.upper().encode()]
)
@pytest.mark.parametrize("name", ["traceparent", "ce_traceparent", "tracestate", "ce_tracestate"])
def test_a_malformed_header_of_a_trace_is_as_if_it_were_not_there(name: str, wrong: bytes) -> None:
    for headers in (BINARY, STRUCTURED_HEADERS):
        value = json.dumps(ENVELOPE).encode()
        assert parse(record(value, (*headers, (name, wrong)))).extensions == {}


@pytest.mark.parametrize("name", ["traceparent", "ce_traceparent"])
def test_of_two_such_headers_none_counts(name: str) -> None:
    twice = ((name, TRACEPARENT.encode()), (name, OTHER.encode()))
    assert parse(record(b"{}", (*BINARY, *twice))).traceparent is None


def test_a_trace_is_no_part_of_what_an_event_says() -> None:
    assert sha256_of(parse(structured(traceparent=TRACEPARENT))) == sha256_of(parse(structured()))
