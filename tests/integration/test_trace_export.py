"""Sending spans to a collector: what it gets, and what happens when it is away, slow or not wanted."""

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rtcc_bridge import __version__
from rtcc_bridge.app.start_conditions import start_problems
from rtcc_bridge.errors import ConfigurationError, InvalidInputError
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry import tracing
from rtcc_bridge.telemetry.span_losses import SpanLosses
from rtcc_bridge.telemetry.trace_export import exporting_traces
from rtcc_bridge.telemetry.traceparent import is_sampled, span_id_of, trace_id_of
from rtcc_bridge.telemetry.tracing import Kind, RecordSpans
from rtcc_bridge.tracing_settings import TracingSettings
from tests.collector import Collector, collecting
from tests.integration.pipeline import until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECORDED, NOT_RECORDED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
FILLING = range(10)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as opened:
        yield opened


def settings_for(collector: Collector, **changes: Any) -> TracingSettings:
    return TracingSettings(endpoint=collector.endpoint, **changes)


async def test_a_span_arrives_as_part_of_its_trace(collector: Collector) -> None:
    async with exporting_traces(settings_for(collector), ["relay", "web"]):
        with tracing.span("probe.search", RECORDED, kind=Kind.CONSUMER, links=[RECORDED], lane="routine", partition=3):
            tracing.add_facts(probe_id="p", incident_id="i")
            inner = tracing.current_traceparent()
            tracing.past_span("embed", 0.5)
    search, embed = collector.one("probe.search"), collector.one("embed")
    assert (search.trace_id, search.parent_id, search.kind, search.failed) == (TRACE, SPAN, "consumer", False)
    assert search.links == (SPAN,)
    assert search.facts == {
        "rtcc_bridge.lane": "routine",
        "rtcc_bridge.probe_id": "p",
        "rtcc_bridge.incident_id": "i",
        "messaging.destination.partition.id": "3",
    }
    assert inner is not None
    assert (span_id_of(inner), trace_id_of(inner)) == (search.span_id, TRACE)
    assert (embed.trace_id, embed.parent_id, embed.kind) == (TRACE, search.span_id, "internal")
    assert embed.seconds == pytest.approx(0.5, abs=0.1)
    assert search.resource["service.name"] == "rtcc-bridge"
    assert search.resource["service.version"] == __version__
    assert search.resource["rtcc_bridge.roles"] == ["relay", "web"]


async def test_of_a_failure_its_kind_arrives_and_not_its_text(collector: Collector) -> None:
    async with exporting_traces(settings_for(collector), ["web"]):
        with pytest.raises(ValueError, match="secret"), tracing.span("work"):
            raise ValueError("a secret")
        with RecordSpans("incident.event") as spans:
            spans.begin(0, None, {"topic": "rtcc.incidents"})
            spans.begin(1, RECORDED, {"topic": "rtcc.incidents"})
            spans.refused(1, InvalidInputError("a secret", "unknown_type"))
    assert collector.one("work").facts == {"error.type": "ValueError"}
    good, refused = collector.named("incident.event")
    assert not good.failed
    assert not refused.failed, "a refusal is a result"
    assert refused.facts["rtcc_bridge.refused"] == "unknown_type"
    assert "error.type" not in refused.facts
    assert refused.trace_id == TRACE
    assert all(span.events == 0 and not span.message for span in collector.spans)
    assert all(b"secret" not in body for body in collector.bodies)


@pytest.mark.parametrize(("ratio", "own"), [(0.0, 0), (1.0, 1)])
async def test_a_trace_that_begins_here_is_drawn_and_what_follows_from_one_keeps_to_it(
    collector: Collector, ratio: float, own: int
) -> None:
    async with exporting_traces(settings_for(collector, sample_ratio=ratio), ["web"]):
        for name, parent in (("own", None), ("recorded", RECORDED), ("not recorded", NOT_RECORDED)):
            with tracing.span(name, parent), tracing.span(f"within {name}"):
                assert (tracing.current_trace_id() is None) == (name != "recorded" and not (own and name == "own"))
    assert len(collector.named("own")) == len(collector.named("within own")) == own
    assert len(collector.named("recorded")) == len(collector.named("within recorded")) == 1
    assert not collector.named("not recorded")
    assert not collector.named("within not recorded")


@pytest.mark.parametrize("said", [RECORDED, NOT_RECORDED])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_a_sender_does_not_decide_whether_its_trace_is_recorded_here(
    collector: Collector, ratio: float, said: str
) -> None:
    async with exporting_traces(settings_for(collector, sample_ratio=ratio), ["consumer"]):
        with RecordSpans("incident.event") as spans:
            place = spans.begin(0, said, {})
            assert place is not None
            with tracing.span("probe.attach", place):
                pass
    taken = [span.trace_id for span in collector.spans]
    assert taken == ([TRACE] * 2 if ratio else [])


async def test_of_the_traces_that_come_as_many_as_wanted_are_recorded(collector: Collector) -> None:
    """Each decided once: a further record of the same trace is recorded when the first one was."""
    senders = [f"00-{number:032x}-{SPAN}-01" for number in range(1, 1001)]
    async with exporting_traces(settings_for(collector, sample_ratio=0.25), ["consumer"]):
        with RecordSpans("incident.event") as spans:
            first, second = (
                [spans.begin(begin + place, sender, {}) for place, sender in enumerate(senders)] for begin in (0, 1000)
            )
    recorded = [place is not None and is_sampled(place) for place in first]
    assert recorded == [place is not None and is_sampled(place) for place in second]
    assert 150 < sum(recorded) < 350, "250, give or take seven standard deviations"


async def test_an_outage_of_the_collector_is_told_once_and_its_end_once(collector: Collector) -> None:
    collector.status = HTTPStatus.BAD_REQUEST
    with capture_logs() as told:
        async with exporting_traces(settings_for(collector, queue_size=1), ["web"]) as losses:
            for _ in range(3):
                await one_more_request(collector)
            collector.status = HTTPStatus.OK
            for _ in range(2):
                await one_more_request(collector)
    said = [(line["log_level"], line["event"]) for line in told if line.get("work") == "sending traces"]
    assert said == [
        ("warning", "interrupted: it is tried again"),
        ("info", "going on after an interruption"),
    ]
    (why,) = [line["error"] for line in told if "error" in line]
    assert why == f"{collector.endpoint} takes no spans, so they are lost: it answered 400 Bad Request"
    assert len(collector.named("work")) == 2
    assert lost_of(losses) == {"not_sent": 3}


async def one_more_request(collector: Collector) -> None:
    """A span that fills the queue, and so is sent at once."""
    before = collector.requests
    with tracing.span("work"):
        pass
    await until(lambda: collector.requests > before)


async def test_a_collector_that_never_answers_holds_up_neither_the_work_nor_the_end(collector: Collector) -> None:
    collector.answers.clear()
    with capture_logs() as told:
        async with (
            asyncio.timeout(60),
            exporting_traces(settings_for(collector, queue_size=10, timeout_seconds=60), ["web"]) as losses,
        ):
            with tracing.span("first"):
                pass
            for _ in FILLING:
                with tracing.span("fills the queue"):
                    pass
            await until(lambda: collector.requests > 0)
            for _ in range(1000):
                with tracing.span("finds no place"):
                    pass
    assert [line["event"] for line in told if line["log_level"] == "warning"] == [
        "the last traces were not sent in time"
    ]
    with tracing.span("after the end") as off:
        assert off is None
    collector.answers.set()
    await until(lambda: collector.named("finds no place"))
    assert len(collector.named("finds no place")) == 10, "as many as the queue holds"
    ended = 1 + len(FILLING) + 1000
    assert lost_of(losses) == {"queue_full": ended - len(collector.spans)}


async def test_nobody_at_the_address_stops_nothing() -> None:
    with collecting() as gone:
        settings = settings_for(gone, queue_size=1, timeout_seconds=0.1)
    with capture_logs() as told:
        async with asyncio.timeout(60), exporting_traces(settings, ["web"]):
            with tracing.span("lost"):
                assert tracing.current_trace_id() is not None
            await until(lambda: any(line.get("work") == "sending traces" for line in told))
    (line,) = [line for line in told if line["log_level"] == "warning"]
    assert line["event"] == "interrupted: it is tried again"
    assert line["error"].endswith("Connection refused")


async def test_opentelemetrys_own_switch_turns_traces_off(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its spans would have no places then, and a `traceparent` of nothing but zeros is none."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with exporting_traces(settings_for(collector), ["web"]):
        with tracing.span("work", RECORDED) as opened:
            assert opened is None
            assert tracing.current_traceparent() is None
    assert collector.requests == 0


def test_what_was_lost_before_the_metrics_were_there_is_counted_too() -> None:
    losses = SpanLosses()
    losses.add("not_sent", 3)
    counted = lost_of(losses)
    losses.add("not_sent", 2)
    assert counted == {"not_sent": 5}


async def test_a_loop_that_is_closed_before_the_last_traces_are_sent_stops_nobody(collector: Collector) -> None:
    """In a thread with a loop of its own. What fails in the thread that sends fails this test: pytest sees to it."""
    collector.answers.clear()

    async def short_lived() -> None:
        async with exporting_traces(settings_for(collector, timeout_seconds=60), ["web"]):
            with tracing.span("work"):
                pass

    await asyncio.to_thread(asyncio.run, short_lived())
    sending = [thread for thread in threading.enumerate() if thread.name == "last traces"]
    assert sending
    collector.answers.set()
    for thread in sending:
        await asyncio.to_thread(thread.join)
    assert collector.named("work")


def lost_of(losses: SpanLosses) -> Counter[str]:
    """What was lost until now, and what is lost from now on."""
    counted: Counter[str] = Counter()
    losses.count_in(lambda reason, spans: counted.update({reason: spans}))
    return counted


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.exporter.otlp.proto.http.trace_exporter"])
async def test_a_missing_extra_is_told_before_anything_is_started(
    missing: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "rtcc_bridge.telemetry.otlp", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    settings = load_settings(ROOT / "config/demo.yaml", tracing={"endpoint": collector.endpoint})
    told = [problem for problem in start_problems(settings) if problem.path == "tracing.endpoint"]
    assert [problem.remedy for problem in told] == ["pip install 'rtcc-bridge[tracing]', or leave the endpoint out"]
    with pytest.raises(ConfigurationError, match=f"{missing} is missing"):
        async with exporting_traces(settings.tracing, ["web"]):
            pass


def test_a_certificate_that_is_not_there_is_told(collector: Collector, tmp_path: Path) -> None:
    content = {"endpoint": collector.endpoint, "ca_file": str(tmp_path / "ca.pem")}
    settings = load_settings(ROOT / "config/demo.yaml", tracing=content)
    assert [problem.path for problem in start_problems(settings)] == ["tracing.ca_file"]


def test_without_traces_the_daemon_does_not_import_opentelemetry() -> None:
    """In a process of its own: this one has imported it."""
    program = (
        "import asyncio, sys\n"
        "import rtcc_bridge.commands.serve\n"
        "from rtcc_bridge.telemetry.trace_export import exporting_traces\n"
        "from rtcc_bridge.tracing_settings import TracingSettings\n"
        "async def off():\n"
        "    async with exporting_traces(TracingSettings(), ['web']): pass\n"
        "asyncio.run(off())\n"
        "print(sorted(name for name in sys.modules if name.startswith(('opentelemetry', 'requests'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
