"""What a PromQL expression speaks of: enough of its grammar to hold it against the metrics that there are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.monitoring.documents import RUNBOOKS_FOLDER
from rtcc_bridge.metrics import PROCESS_METRICS, Metrics

RUNBOOKS: Final = Path(__file__).resolve().parents[2] / RUNBOOKS_FOLDER

SELECTOR: Final = re.compile(r"\b((?:rtcc_bridge_|rtcc_bridge:|process_)[\w:]+|up|ALERTS)\b(?:\s*{([^}]*)})?")
MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING: Final = re.compile(r"\bby\s*\(([^)]*)\)")
OF_PROMETHEUS: Final = frozenset({"instance", "job"})
OF_ALERTS: Final = frozenset({"alertname", "alertstate", "service", "severity"})


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric in an expression. matchers: label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expr: str) -> Iterator[Selector]:
    for found in SELECTOR.finditer(expr):
        yield Selector(found[1], tuple(MATCHER.findall(found[2] or "")))


def promql_of(page: Path) -> list[str]:
    """The queries of a runbook."""
    return re.findall(r"```promql\n(.*?)\n```", page.read_text(encoding="utf-8"), re.DOTALL)


def grouping_labels(expr: str) -> frozenset[str]:
    return frozenset(
        label.strip() for found in GROUPING.finditer(expr) for label in found[1].split(",") if label.strip()
    )


def served() -> dict[str, frozenset[str]]:
    """Each series that the program serves, with its labels and Prometheus's own."""
    known = dict.fromkeys(PROCESS_METRICS, OF_PROMETHEUS) | {"up": OF_PROMETHEUS, "ALERTS": OF_ALERTS}
    for row in Metrics().help:
        labels = frozenset(row.labels) | OF_PROMETHEUS
        if row.kind == "histogram":
            known |= {f"{row.name}_bucket": labels | {"le"}, f"{row.name}_sum": labels, f"{row.name}_count": labels}
        else:
            known[row.name] = labels
    return known
