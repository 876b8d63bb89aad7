"""What a label may say is bounded: nothing that somebody sends makes a series of its own."""

import ast
import re
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
from rtcc_bridge.metric_kinds import NAMED_ELSEWHERE
from rtcc_bridge.metrics import PREFIX, MetricHelp, Metrics
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.probes.state import ProbeState

PACKAGE = Path(definitions.__file__).parent
SENT = [f"sent-by-somebody-{number}" for number in range(200)]
ROWS = [row for row in Metrics().help if row.labels]
OF_SOMEBODY = re.compile(r"person|name|subject|face|camera|incident|case|probe|lead|account|user|agency|address|host")
"""What no label may be called: it would hold what somebody sent, or who somebody is."""
MOST_SERIES = 1_000
"""Of one process, with one topic, one partition and one gallery."""


def exposed(metrics: Metrics) -> list[str]:
    """The lines that a scraper which asks for OpenMetrics gets."""
    text: bytes = generate_latest(metrics.registry)  # type: ignore[no-untyped-call]  # as the library has it
    return text.decode().splitlines()


def series(metrics: Metrics) -> set[str]:
    """Each series that is served, as its line without the value."""
    return {line.rsplit(" ", 1)[0] for line in exposed(metrics) if not line.startswith("#")}


def touch(metrics: Metrics, row: MetricHelp, *said: str) -> None:
    """Counts, sets or observes once, with these values of the labels."""
    kept = getattr(metrics, row.name.removeprefix(f"{PREFIX}_")).labels(*said)
    match row.kind:
        case "counter":
            kept.inc()
        case "gauge":
            kept.set(1)
        case _:
            kept.observe(1.0)


def metric_of(line: str) -> str:
    return re.sub(r"(_bucket|_sum|_count)?\{.*", "", line)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_sent_makes_no_more_series_than_one(row: MetricHelp) -> None:
    """A label from a list says `other` for what is not on it; of the others this test knows one name."""
    metrics = Metrics()
    for text in SENT:
        touch(metrics, row, *("here" if values is None else text for values in row.labels.values()))
    said = {line.split(" # ")[0] for line in series(metrics) if metric_of(line) == row.name}
    assert said
    assert not any(text in line for line in said for text in SENT)
    others = {label for label, values in row.labels.items() if values is not None}
    for label in others:
        assert any(f'{label}="other"' in line for line in said)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_all_that_a_label_can_say_is_known(row: MetricHelp) -> None:
    for label, values in row.labels.items():
        assert not OF_SOMEBODY.search(label)
        assert (label in NAMED_ELSEWHERE) == (values is None)
        if values is not None:
            assert 1 < len(values) == len(set(values)) <= 30


def test_a_label_that_nothing_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing bounds what the label agency may say"):
        Metrics()._gauges("seen", "Seen.", agency=None)


def test_each_source_is_the_source_of_some_label() -> None:
    assert {label for row in ROWS for label, values in row.labels.items() if values is None} == set(NAMED_ELSEWHERE)


def test_the_series_of_a_process_can_be_counted_beforehand() -> None:
    metrics = Metrics()
    for row in ROWS:
        for said in product(*(("here",) if values is None else (*values, "other") for values in row.labels.values())):
            touch(metrics, row, *said)
    assert len(series(metrics)) <= MOST_SERIES


def test_what_is_served_bears_the_labels_that_are_declared() -> None:
    metrics = Metrics()
    for row in ROWS:
        touch(metrics, row, *("here" for _ in row.labels))
    declared = {row.name: set(row.labels) for row in metrics.help}
    for family in metrics.registry.collect():
        for sample in family.samples:
            name = next((one for one in declared if sample.name.startswith(one)), None)
            assert sample.labels.keys() - {"le"} == declared.get(name or "", set()), sample.name


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
