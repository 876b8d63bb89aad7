"""Every log line of a work says what it is about: the trace, the incident, the probe. Read as they are written."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, ValidationError

from rtcc_bridge.settings import LogSettings
from rtcc_bridge.telemetry import tracing
from rtcc_bridge.telemetry.logging import configure_logging
from rtcc_bridge.telemetry.work import is_about, log_scope, taken_up
from tests.local_tracer import LocalTracer

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CAME_WITH = f"00-{TRACE}-00f067aa0ba902b7-01"


class Written(io.StringIO):
    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@contextmanager
def configured(stream: io.StringIO, settings: LogSettings) -> Iterator[None]:
    """Logging as a process has it, into that stream."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            configure_logging(settings)
            structlog.configure(cache_logger_on_first_use=False)  # the loggers outlive this
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()


@pytest.fixture
def written() -> Iterator[Written]:
    """What the process logs, as it is configured for production."""
    stream = Written()
    with configured(stream, LogSettings(level="INFO", format="json")):
        yield stream


@pytest.fixture
def traces() -> Iterator[LocalTracer]:
    tracer = LocalTracer()
    tracing.use(tracer)
    yield tracer
    tracing.use(None)


def test_each_line_of_a_work_has_its_three_ids(written: Written, traces: LocalTracer) -> None:
    with log_scope(), taken_up("probe.search", CAME_WITH):
        is_about(incident_id="I-1", probe_id="p" * 22)
        structlog.get_logger("rtcc_bridge.x").info("ours")
        logging.getLogger("somebody.elses").warning("theirs")
    ours, theirs = written.lines
    for line in (ours, theirs):
        assert (line["trace_id"], line["incident_id"], line["probe_id"]) == (TRACE, "I-1", "p" * 22)
    assert (ours["event"], theirs["event"]) == ("ours", "theirs")


def test_so_has_what_is_logged_of_its_failure_further_out(written: Written, traces: LocalTracer) -> None:
    with log_scope():
        try:
            with taken_up("probe.search", CAME_WITH, incident_id="I-1", probe_id="p" * 22):
                raise ValueError
        except ValueError:
            structlog.get_logger().error("failed")
    (line,) = written.lines
    assert (line["trace_id"], line["incident_id"], line["probe_id"]) == (TRACE, "I-1", "p" * 22)


def test_and_what_comes_after_the_scope_has_none_of_them(written: Written, traces: LocalTracer) -> None:
    with log_scope(), taken_up("first", CAME_WITH, incident_id="I-1"):
        pass
    with log_scope(), taken_up("second", None, probe_id="q"):
        structlog.get_logger().info("second")
    structlog.get_logger().info("outside")
    second, outside = written.lines
    assert second["probe_id"] == "q"
    assert "incident_id" not in second
    assert second["trace_id"] != TRACE
    assert not {"trace_id", "incident_id", "probe_id"} & outside.keys()


async def test_works_beside_each_other_keep_their_own(written: Written, traces: LocalTracer) -> None:
    both_began = asyncio.Barrier(2)

    async def work(incident_id: str) -> None:
        with taken_up("work", None, incident_id=incident_id):
            await both_began.wait()
            structlog.get_logger().info(incident_id)

    await asyncio.gather(work("I-1"), work("I-2"))
    assert [(line["event"], line["incident_id"]) for line in written.lines] in (
        [("I-1", "I-1"), ("I-2", "I-2")],
        [("I-2", "I-2"), ("I-1", "I-1")],
    )
    assert len({line["trace_id"] for line in written.lines}) == 2


def test_without_traces_the_ids_of_the_work_are_there_and_no_trace(written: Written) -> None:
    with log_scope(), taken_up("probe.search", CAME_WITH, incident_id="I-1", lane="routine"):
        structlog.get_logger().info("line")
    (line,) = written.lines
    assert line["incident_id"] == "I-1"
    assert "trace_id" not in line
    assert "lane" not in line, "what a span says beside ids does not stand on every line"


SENT = "a name that was sent"


class Person(BaseModel):
    born: int


def test_an_error_that_quotes_what_was_sent_is_logged_without_its_text(written: Written) -> None:
    sent = {"born": SENT}
    try:
        try:
            Person.model_validate(sent)
        except ValidationError as error:
            raise RuntimeError(f"refused: {error}") from error
    except RuntimeError:
        structlog.get_logger().exception("ours")
        logging.getLogger("somebody.elses").exception("theirs")
    assert SENT not in written.getvalue()
    for line in written.lines:
        assert "RuntimeError" in line["exception"]
        assert "ValidationError" in line["exception"]
        assert "test_work.py" in line["exception"]


def test_an_error_that_quotes_nothing_is_logged_in_full(written: Written) -> None:
    try:
        raise KeyError("caseNumber")
    except KeyError:
        structlog.get_logger().exception("ours")
    (line,) = written.lines
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("KeyError: 'caseNumber'")


def test_a_terminal_gets_a_line_that_a_person_reads(traces: LocalTracer) -> None:
    stream = io.StringIO()
    console = configured(stream, LogSettings(level="INFO", format="console"))
    with console, log_scope(), taken_up("probe.search", CAME_WITH, incident_id="I-1"):
        logging.getLogger("rtcc_bridge.x").info("search given up")
    (line,) = stream.getvalue().splitlines()
    assert line.index("search given up") < line.index("incident_id=I-1")


def test_that_a_work_began_is_told_to_who_wants_to_know_everything(traces: LocalTracer) -> None:
    stream = Written()
    everything = configured(stream, LogSettings(level="DEBUG", format="json"))
    with everything, log_scope(), taken_up("probe.search", CAME_WITH, incident_id="I-1"):
        pass
    (line,) = stream.lines
    assert (line["event"], line["work"], line["trace_id"]) == ("begun", "probe.search", TRACE)
    assert line["incident_id"] == "I-1"


def test_a_caller_is_linked_to_and_decides_nothing(traces: LocalTracer) -> None:
    with log_scope(caller=CAME_WITH), taken_up("probe.attach", None):
        assert tracing.current_trace_id() != TRACE
    (attached,) = traces.spans
    assert attached.links == [CAME_WITH]
    assert attached.parent is None
    with log_scope(caller="00-nonsense"), taken_up("probe.attach", None):
        pass
    assert traces.spans[-1].links == []


def test_only_a_trace_that_is_recorded_has_an_id_for_others(traces: LocalTracer) -> None:
    assert tracing.current_trace_id() is None
    with tracing.span("recorded", CAME_WITH):
        assert tracing.current_trace_id() == TRACE
    with tracing.span("not recorded", CAME_WITH.removesuffix("1") + "0"):
        assert tracing.current_trace_id() is None
        assert tracing.current_traceparent() is not None


def test_a_place_in_another_trace_is_not_taken_for_that_of_a_lead(traces: LocalTracer) -> None:
    """P16: an act on several leads must not give them one trace."""
    with tracing.span("probe.refuse", CAME_WITH):
        assert tracing.within(CAME_WITH) == tracing.current_traceparent() != CAME_WITH
        other = CAME_WITH.replace(TRACE, "f" * 32)
        assert tracing.within(other) == other
        assert tracing.within(None) is None


def test_while_traces_are_off_a_place_that_was_kept_is_none() -> None:
    assert tracing.within(CAME_WITH) is None


def test_what_an_error_says_gets_into_no_span(traces: LocalTracer) -> None:
    with pytest.raises(ValueError, match="secret"), tracing.span("work"):
        raise ValueError("a secret")
    (failed,) = traces.spans
    assert failed.failure == "ValueError"
    assert failed.ended
