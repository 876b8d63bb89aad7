"""The line of W3C Trace Context: what is one, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.telemetry.traceparent import is_sampled, read_traceparent, span_id_of, trace_id_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WHOLE = f"00-{TRACE}-{SPAN}-01"


def test_its_parts() -> None:
    assert read_traceparent(WHOLE) == WHOLE
    assert (trace_id_of(WHOLE), span_id_of(WHOLE), is_sampled(WHOLE)) == (TRACE, SPAN, True)
    assert not is_sampled(f"00-{TRACE}-{SPAN}-00")


def test_flags_that_are_not_known_are_dropped() -> None:
    assert read_traceparent(f"00-{TRACE}-{SPAN}-ff") == WHOLE
    assert read_traceparent(f"00-{TRACE}-{SPAN}-02") == f"00-{TRACE}-{SPAN}-00"


@pytest.mark.parametrize("further", ["", "-", "-what-will-be-said", "-\n"])
def test_a_later_version_is_read_as_far_as_it_is_known(further: str) -> None:
    assert read_traceparent(f"01-{TRACE}-{SPAN}-01{further}") == WHOLE


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        True,
        ["00"],
        "",
        "00-ab",
        WHOLE.upper(),
        f" {WHOLE}",
        f"{WHOLE}\n",
        f"{WHOLE}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}\N{ARABIC-INDIC DIGIT ONE}-{SPAN}-01",
    ],
)
def test_what_is_malformed_is_none(text: object) -> None:
    assert read_traceparent(text) is None


@given(st.one_of(st.text(), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*", fullmatch=True)))
def test_what_is_read_is_of_version_00_and_read_as_itself(text: str) -> None:
    found = read_traceparent(text)
    assert found is None or (len(found) == 55 and found.startswith("00-") and read_traceparent(found) == found)
