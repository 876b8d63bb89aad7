"""Metrics, documents, dashboards, alerts and runbooks speak of the same things."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from deploy.monitoring.alerts import alerts, groups
from deploy.monitoring.documents import DASHBOARDS, documents, shown_on
from deploy.monitoring.panels import COLUMNS
from deploy.monitoring.rules import RUNBOOK_BASE, Recording
from rtcc_bridge.cli import main as cli
from rtcc_bridge.metrics import PREFIX, PROCESS_METRICS, Metrics
from rtcc_bridge.web.words import DEPENDENCIES
from tests.monitoring.expressions import RUNBOOKS, grouping_labels, promql_of, selectors, served

ROOT = Path(__file__).resolve().parents[2]
ALERT_NAMES = sorted({alert.name for alert in alerts()})
SECTIONS = ["What it means for the floor", "Look", "Do", "Whom to wake"]
RECORDED = {rule.name for group in groups() for rule in group.rules if isinstance(rule, Recording)}


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, with where it stands."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                yield f"{dashboard.name}: {panel.title}", query.expr
    for group in groups():
        for rule in group.rules:
            yield rule.name, rule.expr
    for page in sorted(RUNBOOKS.glob("*.md")):
        for expr in promql_of(page):
            yield page.name, expr


@pytest.mark.parametrize(("where", "expr"), list(expressions()))
def test_every_expression_speaks_of_metrics_and_labels_that_exist(where: str, expr: str) -> None:
    known, found = served(), list(selectors(expr))
    assert found or expr.startswith("vector"), f"{where} asks for nothing"
    labels: set[str] = set()
    for selector in found:
        assert selector.name in known.keys() | RECORDED, f"{where}: there is no {selector.name}"
        own = known.get(selector.name, frozenset())
        labels |= own
        assert {label for label, _, _ in selector.matchers} <= own, f"{where}: {selector.name} has no such label"
    assert grouping_labels(expr) <= labels, f"{where} groups by a label that none of its metrics has"


@pytest.mark.parametrize(("where", "expr"), list(expressions()))
def test_every_value_that_is_asked_for_can_be_there(where: str, expr: str) -> None:
    """A label from a closed list that is compared with another word would never be found."""
    closed = {row.name: row.labels for row in Metrics().help}
    for selector in selectors(expr):
        name = re.sub(r"_(bucket|sum|count)$", "", selector.name)
        for label, operator, value in selector.matchers:
            values = closed.get(name, {}).get(label)
            if values is None or operator not in {"=", "=~"}:
                continue
            asked = value.split("|") if operator == "=~" else [value]
            assert set(asked) <= {*values, "other"}, f"{where}: {label} is never {value}"


@pytest.mark.parametrize("metric", [*(row.name for row in Metrics().help), *PROCESS_METRICS])
def test_every_metric_stands_on_a_dashboard_and_in_the_documents(metric: str) -> None:
    assert shown_on(metric), "on no dashboard"
    assert f"| `{metric}` |" in (ROOT / "docs/metrics.md").read_text(encoding="utf-8")


def test_what_is_served_is_what_is_documented() -> None:
    families = {family.name for family in Metrics().registry.collect()}
    documented = {row.name.removesuffix("_total") for row in Metrics().help}
    assert families == documented | {name.removesuffix("_total") for name in PROCESS_METRICS}
    assert all(row.text and row.name.startswith(f"{PREFIX}_") for row in Metrics().help)


@pytest.mark.parametrize("alert", list(alerts()), ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_no_alert_lacks_severity_summary_description_and_runbook(alert: Any) -> None:
    rule = alert.as_rule()
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["service"] == "rtcc-bridge"
    annotations = rule["annotations"]
    assert len(annotations["summary"]) > 20
    assert len(annotations["description"]) > 12
    assert annotations["runbook_url"] == f"{RUNBOOK_BASE}/runbooks/{alert.name}/"
    told = set(re.findall(r"\$labels\.(\w+)", annotations["summary"] + annotations["description"]))
    labels = grouping_labels(alert.expr) or set().union(
        *(served().get(selector.name, frozenset()) for selector in selectors(alert.expr))
    )
    assert told <= labels, "it tells a label that the alert has not"


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_every_alert_has_a_runbook_that_says_what_to_do(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    meaning, look, do, wake = (part.strip() for part in parts[2::2])
    assert len(meaning) > 100
    assert "```promql" in look, "at least one query"
    assert do.count("\n") >= 2
    assert re.search(r"on call|Nobody|commander|administrator", wake)
    for link in re.findall(r"\]\(([\w-]+\.md)\)", text):
        assert (RUNBOOKS / link).is_file(), f"{link} is not there"


def test_no_runbook_is_about_nothing() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")}
    assert pages == {*ALERT_NAMES, "index", "first-steps"}


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_names_commands_that_there_are(page: Path) -> None:
    context = click.Context(cli)
    for command in re.findall(r"(?:`|^ +)rtcc-bridge ((?:[a-z][a-z-]+ ?)+)", page.read_text("utf-8"), re.MULTILINE):
        found: click.Command | None = cli
        for word in command.split():
            if not isinstance(found, click.Group):
                break
            found = found.get_command(context, word)
            assert found is not None, f"{page.name}: there is no rtcc-bridge {command}"


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_names_units_that_a_server_has(page: Path) -> None:
    for line in page.read_text("utf-8").splitlines():
        for unit in re.findall(r"(?:systemctl \S+|journalctl).*?(rtcc-bridge\S*)", line):
            assert re.fullmatch(r"rtcc-bridge@(ROLE|\*)[`'),;]*", unit), f"{page.name}: there is no unit {unit}"


def test_the_ports_of_a_server_are_those_of_its_units() -> None:
    text = (RUNBOOKS / "first-steps.md").read_text("utf-8")
    for file in sorted((ROOT / "deploy/systemd/roles").glob("*.env")):
        (port,) = re.findall(r"^RTCC_BRIDGE_OPERATIONS__PORT=(\d+)$", file.read_text("utf-8"), re.MULTILINE)
        assert re.search(rf"\b{file.stem} {port}\b", text), f"first-steps.md does not say that {file.stem} has {port}"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_a_dashboard_can_be_imported_anywhere(dashboard: Any) -> None:
    document = json.loads(dashboard.as_json())
    assert document["uid"] == f"rtcc-bridge-{dashboard.name}"
    assert [variable["type"] for variable in document["templating"]["list"]] == ["datasource"]
    assert "http" not in dashboard.as_json()
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        assert panel["type"] in {"timeseries", "heatmap", "stat", "table"}
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        cells = {
            (column, row)
            for column in range(place["x"], place["x"] + place["w"])
            for row in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= COLUMNS
        assert not taken & cells, f"{panel['title']} lies on another panel"
        taken |= cells
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


def test_what_was_generated_is_committed() -> None:
    for name, content in documents().items():
        assert (ROOT / name).read_text(encoding="utf-8") == content, f"{name} is out of date: run `make docs`"


def test_the_runbook_tells_of_each_dependency_what_the_floor_misses() -> None:
    rows = re.findall(r"^\| ([a-z].*?) \| (.+) \|$", (RUNBOOKS / "NotReady.md").read_text(), re.MULTILINE)
    told = {re.split(r"[. ]", name)[0] for cell, _ in rows[1:] for name in cell.split(", ")}
    assert told == set(DEPENDENCIES)
