import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.probes.worker_protocol import Fields, ProtocolError, decode_json, encode_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def fields(**values: object) -> Fields:
    return Fields(values, "message")


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()))
def test_an_object_survives_the_journey(value: dict[str, object]) -> None:
    decode_json(encode_json(value))


@given(st.binary(max_size=200))
def test_bytes_are_an_object_or_a_protocol_error(data: bytes) -> None:
    try:
        decode_json(data)
    except ProtocolError:
        return
    assert isinstance(json.loads(data), dict)


@pytest.mark.parametrize("data", [b"[" * 100_000, b"9" * 100_000, b"[1]", b"1", b'"x"', b"\xff\xfe", b"", b"{"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_json(data)


def test_json_longer_than_the_other_side_reads_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="10 are allowed"):
        encode_json({"text": "x" * 20}, limit=10)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 11, -1, 10**400])
def test_a_whole_number_is_in_its_range_and_nothing_else(value: object) -> None:
    with pytest.raises(ProtocolError):
        fields(n=value).whole_number("n", 0, 10)
    assert fields(n=10).whole_number("n", 0, 10) == 10


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", None, [], 10**400, -(10**400), 1.5])
def test_a_number_is_finite_and_in_its_range(value: object) -> None:
    with pytest.raises(ProtocolError):
        fields(n=value).number("n", 0.0, 1.0)
    assert fields(n=1).number("n", 0.0, 1.0) == 1.0


@pytest.mark.parametrize("value", ["x" * 11, "a\nb", "a\x1b[31m", "a\u202eb", 5, None])
def test_a_text_is_short_and_printable(value: object) -> None:
    with pytest.raises(ProtocolError):
        fields(t=value).text("t", 10)
    assert fields(t="72° left").text("t", 10) == "72° left"


@pytest.mark.parametrize("value", ["", "Upper", "with space", "1st", "x" * 60, None])
def test_a_word_is_a_word(value: object) -> None:
    with pytest.raises(ProtocolError):
        fields(w=value).word("w")


def test_lists_have_the_length_that_is_asked_for() -> None:
    assert fields(n=[1, 2.5]).numbers("n", 2, 0, 9) == (1.0, 2.5)
    for wrong in ([1], [1, 2, 3], "12", {"0": 1}):
        with pytest.raises(ProtocolError):
            fields(n=wrong).numbers("n", 2, 0, 9)
    with pytest.raises(ProtocolError):
        fields(o=[{}] * 4).objects("o", 3)
    with pytest.raises(ProtocolError):
        fields(t=["a"] * 4).texts("t", 3, 5)


def test_a_missing_or_an_unknown_field_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="lacks a"):
        fields().flag("a")
    read = fields(a=True, b=1)
    assert read.flag("a")
    with pytest.raises(ProtocolError, match="unknown"):
        read.end()


@given(JSON)
def test_no_value_makes_reading_raise_anything_else(value: object) -> None:
    readers: tuple[Callable[[Fields], object], ...] = (
        lambda read: read.flag("v"),
        lambda read: read.whole_number("v", 0, 10),
        lambda read: read.number("v", 0.0, 1.0),
        lambda read: read.word("v"),
        lambda read: read.text("v", 10),
        lambda read: read.numbers("v", 2, 0.0, 1.0),
        lambda read: read.texts("v", 3, 10),
        lambda read: read.objects("v", 3),
        lambda read: read.section("v"),
        lambda read: read.names(3),
    )
    for reader in readers:
        try:
            reader(fields(v=value))
        except ProtocolError:
            continue
