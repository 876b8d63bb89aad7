"""Spans: what was done, for how long, and as part of which trace. While traces are off every call here does nothing.

What a span may say is a closed list (`Facts`). The texts of errors are not in it: they may quote what was sent. Nothing
here knows OpenTelemetry; `telemetry.otlp`, which is loaded only when traces are on, does.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol, Self, TypedDict, Unpack

from rtcc_bridge.errors import RejectedError
from rtcc_bridge.telemetry.traceparent import is_sampled, recorded_trace_id, trace_id_of, with_flag


class Kind(StrEnum):
    """How the work came here, in OpenTelemetry's words."""

    INTERNAL = "internal"
    SERVER = "server"
    """A person asked for it."""
    CONSUMER = "consumer"
    """A record asked for it."""
    PRODUCER = "producer"
    """A record is written."""


class Facts(TypedDict, total=False):
    """All that a span may say: ids that mean nothing elsewhere, places on topics, numbers.

    Never a name, a face, a score, a template, a picture, a case number, a requestor or an account.
    """

    incident_id: str
    probe_id: str
    lead_id: str
    lane: str
    topic: str
    partition: int
    offset: int
    batch_size: int


class Span(Protocol):
    """Something that is being done."""

    @property
    def traceparent(self) -> str: ...

    def note(self, facts: Facts) -> None: ...

    def link(self, traceparent: str) -> None:
        """Says that it belongs together with another span, in whatever trace that is."""
        ...

    def fail(self, error_type: str) -> None:
        """error_type: a fixed word, since what an error says may quote what must not be told."""
        ...

    def refuse(self, reason: str) -> None:
        """Says that the work ended with a refusal, which is a result and no failure."""
        ...

    def end(self) -> None: ...


class Tracer(Protocol):
    """Makes spans. No call blocks or raises."""

    def start(
        self,
        name: str,
        parent: str | None,
        kind: Kind,
        links: Sequence[str],
        facts: Facts,
        started_at_ns: int | None = None,
    ) -> Span:
        """started_at_ns: since the epoch; without it, now."""
        ...

    def records(self, trace_id: str) -> bool:
        """Whether a trace that somebody else began is recorded here; for the same id always the same."""
        ...


_current: Final[ContextVar[Span | None]] = ContextVar("rtcc_bridge_span", default=None)


class _Switch:
    """Whether traces are on, for the whole process."""

    tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Switches traces on, or off."""
    _Switch.tracer = tracer


def current_traceparent() -> str | None:
    """The place in its trace of what is being done in this task or thread; None outside of a span."""
    span = _current.get()
    return None if span is None else span.traceparent


def current_trace_id() -> str | None:
    """The id, as 32 hexadecimal digits, of the trace that is being recorded in this task or thread, if there is one."""
    return recorded_trace_id(current_traceparent())


def within(traceparent: str | None) -> str | None:
    """The present place, if it lies in that trace; else that place itself. None while traces are off: a place that was
    kept while they were on is nothing that anybody could look up.

    What is published of a lead bears the trace of that lead alone: the trace of an act on several leads would tell that
    they belong together, as when a person who is listed on them was expunged (P16).
    """
    if _Switch.tracer is None:
        return None
    here = current_traceparent()
    if traceparent is None or here is None or trace_id_of(here) != trace_id_of(traceparent):
        return traceparent
    return here


def add_facts(**facts: Unpack[Facts]) -> None:
    """Adds to what the present span says."""
    if (span := _current.get()) is not None:
        span.note(facts)


@contextmanager
def span(
    name: str,
    parent: str | None = None,
    *,
    kind: Kind = Kind.INTERNAL,
    links: Sequence[str] = (),
    **facts: Unpack[Facts],
) -> Iterator[Span | None]:
    """A span for what the block does. Without a parent it is part of the present span, or begins a trace."""
    tracer = _Switch.tracer
    if tracer is None:
        yield None
        return
    started = tracer.start(name, parent or current_traceparent(), kind, links, facts)
    token = _current.set(started)
    try:
        yield started
    except RejectedError as refusal:
        started.refuse(refusal.reason)
        raise
    except BaseException as error:
        started.fail(type(error).__name__)
        raise
    finally:
        _current.reset(token)
        started.end()


def past_span(name: str, seconds: float) -> None:
    """A part of the present span that ends now and took so long."""
    tracer, parent = _Switch.tracer, current_traceparent()
    if tracer is not None and parent is not None:
        tracer.start(name, parent, Kind.INTERNAL, (), {}, time.time_ns() - round(seconds * 1e9)).end()


@contextmanager
def batch_span(contexts: Sequence[Context]) -> Iterator[None]:
    """The span of a batch whose items were submitted in these contexts.

    It lies in the trace of the first item that is recorded. It links to the spans of all such items, and they to it: so
    it is found from each of them.
    """
    waiting = [found for context in contexts if (found := context.get(_current)) is not None]
    recorded = [found for found in waiting if is_sampled(found.traceparent)]
    if not recorded:
        yield
        return
    links = [item.traceparent for item in recorded]
    with span("batch", links[0], links=links, batch_size=len(contexts)) as batch:
        for item in recorded[1:]:
            if batch is not None:
                item.link(batch.traceparent)
        yield


class RecordSpans:
    """A span for each record of a batch, from when it was read until the batch is done. None is the present one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: dict[int, Span] = {}

    def begin(self, place: int, parent: str | None, facts: Facts) -> str | None:
        """The place in its trace of the work on the record at this place of the batch; None while traces are off.

        parent: what the record says. Whether the trace is recorded is decided here all the same, or each sender could
        switch recording on for everything that follows from what it sends.
        """
        tracer = _Switch.tracer
        if tracer is None:
            return None
        if parent is not None:
            parent = with_flag(parent, sampled=tracer.records(trace_id_of(parent)))
        self._open[place] = tracer.start(self._name, parent, Kind.CONSUMER, (), facts)
        return self._open[place].traceparent

    def refused(self, place: int, refusal: RejectedError) -> None:
        if (opened := self._open.get(place)) is not None:
            opened.refuse(refusal.reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in self._open.values():
            if error is not None:
                opened.fail(type(error).__name__)
            opened.end()
