"""Every file that is generated from here, by its path in the repository."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from deploy.monitoring.alerts import alerts, groups
from deploy.monitoring.dashboards.floor import FLOOR_HEALTH
from deploy.monitoring.dashboards.governance import GOVERNANCE
from deploy.monitoring.dashboards.latency import LATENCY
from deploy.monitoring.dashboards.matchers import MATCHERS
from deploy.monitoring.dashboards.processes import PROCESSES
from deploy.monitoring.dashboards.stream import STREAM
from deploy.monitoring.panels import Dashboard
from deploy.monitoring.rules import Severity, rule_file
from deploy.monitoring.slo import BURNS, SLOS

DASHBOARDS: Final[tuple[Dashboard, ...]] = (FLOOR_HEALTH, LATENCY, MATCHERS, STREAM, GOVERNANCE, PROCESSES)

CHART_FILES: Final = "deploy/helm/rtcc-bridge/files"
RULES_FILE: Final = f"{CHART_FILES}/alerts.yaml"
DASHBOARDS_FOLDER: Final = f"{CHART_FILES}/dashboards"
RUNBOOKS_FOLDER: Final = "docs/runbooks"

GENERATED: Final = "<!-- Generated from the code by `make docs`. Do not edit. -->\n\n"


def documents() -> Mapping[str, str]:
    """The rule file, the dashboards, and the index of the runbooks."""
    files = {f"{DASHBOARDS_FOLDER}/{dashboard.name}.json": dashboard.as_json() for dashboard in DASHBOARDS}
    return files | {RULES_FILE: rule_file(groups()), f"{RUNBOOKS_FOLDER}/index.md": "".join(_index())}


def shown_on(metric: str) -> tuple[str, ...]:
    """The titles of the dashboards that show this metric."""
    name = re.compile(rf"\b{metric}(_bucket|_sum|_count)?\b")
    return tuple(
        dashboard.title
        for dashboard in DASHBOARDS
        if any(name.search(query.expr) for panel in dashboard.panels for query in panel.queries)
    )


def _index() -> Iterator[str]:
    yield f"{GENERATED}# Runbooks\n\n"
    yield "One an alert. *critical* wakes somebody, *warning* waits for working hours. The promises behind the first "
    yield "three are explained in [Promises](../slo.md).\n\n"
    yield "What each waits for, as PromQL, stands in `deploy/helm/rtcc-bridge/files/alerts.yaml`. Begin with "
    yield "[first steps](first-steps.md).\n\n"
    yield "| alert | comes as | it means |\n|---|---|---|\n"
    known = list(alerts())
    for name in dict.fromkeys(alert.name for alert in known):
        named = [alert for alert in known if alert.name == name]
        severities = [severity.value for severity in Severity if any(one.severity is severity for one in named)]
        meanings = "<br>".join(dict.fromkeys(_without_values(alert.summary) for alert in named))
        yield f"| [{name}]({name}.md) | {', '.join(severities)} | {meanings} |\n"
    yield "\n## Burn rates\n\n| long window | short window | burn rate | of the month's budget | severity |\n"
    yield "|---|---|---|---|---|\n"
    for burn in BURNS:
        share = f"{burn.budget_spent:.0%}"
        yield f"| {burn.long} | {burn.short} | {burn.rate:g} | {share} | {burn.severity.value} |\n"
    yield "\n| promise | budget | alert |\n|---|---|---|\n"
    for slo in SLOS:
        yield f"| {slo.promise} | {slo.budget * 100:.4g} % | [{slo.alert}]({slo.alert}.md) |\n"


def _without_values(summary: str) -> str:
    """The sentence with the names of labels instead of what Prometheus puts there."""
    named = re.sub(r"{{ \$labels\.(\w+) }}", r"*\1*", summary)
    return re.sub(r"{{ \$value[^}]*}}", "*n*", named)
