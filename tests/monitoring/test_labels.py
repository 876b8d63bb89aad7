"""What a label may say is bounded: nothing that somebody sends makes a series of its own."""

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from prometheus_client.openmetrics.exposition import generate_latest

from rtcc_bridge import metrics as definitions
from rtcc_bridge.app.roles import Role
from rtcc_bridge.consumers import attempts, dead_letters
from rtcc_bridge.gallery.records import ENROLLED, OrderKind
from rtcc_bridge.gallery.retention import WHY
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.leads.lead import LeadResult
from rtcc_bridge.leads.schemas import LEAD_EVENT_TYPES
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.probes.state import ProbeState

PACKAGE = Path(definitions.__file__).parent
SENT = [f"sent-by-somebody-{number}" for number in range(200)]
COUNTED = ("searches_total", "policy_refusals_total", "leads_total", "worker_restarts_total")
TIMED = ("stage_seconds", "probe_to_candidates_seconds", "batch_wait_seconds", "time_to_approval_seconds")
OF_A_TOPIC = ("events_total", "dead_letters_total")


def exposed(metrics: Metrics) -> list[str]:
    """The lines that a scraper which asks for OpenMetrics gets."""
    text: bytes = generate_latest(metrics.registry)  # type: ignore[no-untyped-call]  # as the library has it
    return text.decode().splitlines()


def series(metrics: Metrics) -> set[str]:
    """Each series that is served, as its line without the value."""
    return {line.rsplit(" ", 1)[0] for line in exposed(metrics) if not line.startswith("#")}


def test_what_is_sent_makes_no_more_series_than_one() -> None:
    metrics = Metrics()
    metrics.expect_topic("rtcc.incidents")
    rows = {row.name.removeprefix("rtcc_bridge_"): row.labels for row in metrics.help}
    before = series(metrics)
    for text in SENT:
        for name in COUNTED:
            getattr(metrics, name).labels(*(text for _ in rows[name])).inc()
        for name in OF_A_TOPIC:
            getattr(metrics, name).labels("rtcc.incidents", text).inc()
        for name in TIMED:
            getattr(metrics, name).labels(text).observe(1.0)
    added = series(metrics) - before
    assert not any(text in line for line in added for text in SENT)
    assert len(
        {line.split("{")[0].removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for line in added}
    ) == (len(COUNTED) + len(TIMED) + len(OF_A_TOPIC))
    assert all('="other"' in line for line in added)


def test_series_are_there_before_anything_happened() -> None:
    """Of a series that begins with its first event Prometheus sees no increase."""
    metrics = Metrics()
    metrics.expect_topic("t")
    value = metrics.registry.get_sample_value
    for purpose, outcome in product(definitions.PURPOSES, definitions.SEARCH_OUTCOMES):
        assert value("rtcc_bridge_searches_total", {"purpose": purpose, "outcome": outcome}) == 0
    assert value("rtcc_bridge_records_lost_total", {"topic": "t"}) == 0
    assert value("rtcc_bridge_dead_letters_total", {"topic": "t", "reason": "not_json"}) == 0
    assert value("rtcc_bridge_stage_seconds_count", {"stage": "embed"}) == 0


def test_the_lists_hold_what_the_program_says() -> None:
    assert set(definitions.LANES) == set(Lane)
    assert set(definitions.ROLES) == set(Role)
    assert set(definitions.PURPOSES) == set(Purpose)
    assert {*definitions.DEVICES, "auto"} == set(Device)
    assert {f"lead.{state}" for state in definitions.LEAD_STATES} == set(LEAD_EVENT_TYPES)
    results = {LeadResult.CANDIDATES, LeadResult.NO_CANDIDATE, ProbeState.UNREADABLE}
    assert set(definitions.SEARCH_OUTCOMES) == {*results, "busy", "failed"}


def reasons_in(*folders: str) -> Iterator[str]:
    """The words with which the code of these packages refuses an input."""
    for folder in folders:
        for file in sorted((PACKAGE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InvalidInputError":
                    given = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "reason")]
                    yield from (str(word.value) for word in given if isinstance(word, ast.Constant))


def test_no_dead_letter_is_counted_as_other() -> None:
    said = {*reasons_in("consumers", "incidents", "publishing"), *reasons_in("probes/search_request.py")}
    said |= {"type", "fields", attempts.FAILED, attempts.RETRIES_EXHAUSTED, dead_letters.NOT_KEPT}
    assert len(said) > 10
    assert said <= set(definitions.DEAD_LETTER_REASONS)


@pytest.mark.parametrize(("seconds", "given", "told"), [(2.0, None, "around"), (2.0, "own", "own"), (0.1, "own", None)])
def test_a_slow_observation_bears_the_trace_that_it_lies_in(
    seconds: float, given: str | None, told: str | None
) -> None:
    metrics = Metrics(lambda: "around")
    metrics.probe_to_candidates_seconds.labels("imminent").observe(seconds, given)
    lines = [line for line in exposed(metrics) if " # {" in line]
    assert [line.split('trace_id="')[1].split('"')[0] for line in lines] == ([] if told is None else [told])


def test_without_tracing_nothing_bears_a_trace() -> None:
    metrics = Metrics()
    metrics.outbox_lag_seconds.observe(5.0)
    assert not [line for line in exposed(metrics) if " # {" in line]


def test_every_reason_to_leave_a_booked_picture_out_has_its_series() -> None:
    """The others belong to files and their rows."""
    of_files = {
        Reason.BAD_ROW,
        Reason.NO_SUBJECT,
        Reason.NO_PROVENANCE,
        Reason.NO_LAWFUL_BASIS,
        Reason.NO_RETENTION,
        Reason.OUTSIDE_FOLDER,
        Reason.TOO_LARGE,
    }
    outcomes = {ENROLLED, *(reason.value for reason in set(Reason) - of_files)}
    assert outcomes == set(definitions.BOOKING_OUTCOMES)
    assert {*OrderKind, WHY} == set(definitions.REMOVALS)
