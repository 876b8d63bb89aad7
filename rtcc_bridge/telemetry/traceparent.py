"""W3C Trace Context (Recommendation of 2021), section 3.2: the line that carries a trace from one system to the next.

Everywhere outside of `telemetry` a place in a trace is this line: on records, in the database, in events.
"""

import re
from typing import Any, Final

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED: Final = 0x01

TRACEPARENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$",
    "description": "Distributed tracing extension of CloudEvents: where in its trace the event was decided. Only while "
    "traces are on.",
}
"""Of an event that goes out."""

INCOMING_TRACEPARENT_SCHEMA: Final[dict[str, Any]] = {
    "description": "Distributed tracing extension of CloudEvents: the trace that the event goes on. One that is "
    "malformed is ignored.",
}


def read_traceparent(text: object) -> str | None:
    """The line in the form of version 00, with no flag but `sampled`; None for what is not well-formed.

    A later version is read as the standard says: its first four fields mean the same.
    """
    if not isinstance(text, str) or (found := _FORM.fullmatch(text)) is None:
        return None
    version, trace_id, span_id, flags, further = found.groups()
    if version == "ff" or (version == "00" and further is not None):
        return None
    if not (trace_id.strip("0") and span_id.strip("0")):
        return None
    return f"00-{trace_id}-{span_id}-{int(flags, 16) & _SAMPLED:02x}"


def trace_id_of(traceparent: str) -> str:
    """32 hexadecimal digits."""
    return traceparent.split("-")[1]


def span_id_of(traceparent: str) -> str:
    """16 hexadecimal digits."""
    return traceparent.split("-")[2]


def is_sampled(traceparent: str) -> bool:
    """Whether the spans of that trace are recorded."""
    return bool(int(traceparent.split("-")[3], 16) & _SAMPLED)


def with_flag(traceparent: str, *, sampled: bool) -> str:
    """The same place in a trace whose spans are recorded, or are not."""
    return f"{traceparent.rpartition('-')[0]}-{int(sampled):02x}"


def recorded_trace_id(text: object) -> str | None:
    """The id of the trace that this line is of, if its spans are recorded: a trace that is looked for is there."""
    found = read_traceparent(text)
    return trace_id_of(found) if found is not None and is_sampled(found) else None
