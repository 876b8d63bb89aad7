"""What work is about: bound once, where it is taken up, to every log line of it, and to its span.

A scope is opened where a record or a request comes in; who then finds out what it is about says so once. What is logged
of its failure, further out, still bears it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Unpack

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from rtcc_bridge.telemetry import tracing
from rtcc_bridge.telemetry.traceparent import read_traceparent, trace_id_of
from rtcc_bridge.telemetry.tracing import Facts, Kind, Span

_log: Final = structlog.get_logger(__name__)

LOGGED: Final = ("incident_id", "probe_id", "lead_id")
"""The facts that stand on log lines, beside `trace_id`."""

_caller: Final[ContextVar[str | None]] = ContextVar("rtcc_bridge_caller", default=None)


@contextmanager
def log_scope(caller: str | None = None) -> Iterator[None]:
    """What is bound inside is unbound at the end. A task of its own needs none, unless it takes up several works.

    caller: the `traceparent` that a request came with. Whoever can reach the port can send one, so it decides nothing,
    neither where the work's spans belong nor whether they are recorded: the span only links to it.
    """
    before = get_contextvars()
    token = _caller.set(read_traceparent(caller))
    try:
        yield
    finally:
        _caller.reset(token)
        clear_contextvars()
        bind_contextvars(**before)


@contextmanager
def taken_up(
    name: str, parent: str | None, *, kind: Kind = Kind.SERVER, **facts: Unpack[Facts]
) -> Iterator[Span | None]:
    """The work that the block does, with its span; the lines that are logged from here on in this scope tell of it."""
    caller = _caller.get()
    with tracing.span(name, parent, kind=kind, links=() if caller is None else (caller,), **facts) as opened:
        if opened is not None:
            bind_contextvars(trace_id=trace_id_of(opened.traceparent))
        _bind(facts)
        _log.debug("begun", work=name)
        yield opened


def is_about(**facts: Unpack[Facts]) -> None:
    """Says more of the present work, once that is known."""
    _bind(facts)
    tracing.add_facts(**facts)


def _bind(facts: Facts) -> None:
    bind_contextvars(**{name: value for name, value in facts.items() if name in LOGGED})
