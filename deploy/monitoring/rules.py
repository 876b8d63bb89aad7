"""What a Prometheus rule is here, and how rules become a file that any Prometheus reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

import yaml

RUNBOOK_BASE: Final = "https://rtcc-bridge.example.org"
"""Where a site serves its copy of the documents. The one place: change it, and `make docs`."""

GENERATED: Final = "# Generated from deploy/monitoring by `make docs`. Do not edit.\n"


class Severity(StrEnum):
    """Whom an alert reaches."""

    CRITICAL = "critical"
    """Somebody is woken: the floor works without something that it relies on, or is about to."""
    WARNING = "warning"
    """Somebody looks at it in working hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule. Two may share a name and so a runbook, when only the severity and the bound differ.

    hold: how long the expression has to hold. summary: one line, what it means. description: what is known of the case.
    """

    name: str
    expr: str
    severity: Severity
    summary: str
    description: str
    hold: str = "0m"

    @property
    def runbook(self) -> str:
        return f"{RUNBOOK_BASE}/runbooks/{self.name}/"

    def as_rule(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity.value, "service": "rtcc-bridge"},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": self.runbook,
            },
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule."""

    name: str
    expr: str

    def as_rule(self) -> dict[str, Any]:
        return {"record": self.name, "expr": self.expr}


Rule: TypeAlias = Alert | Recording


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, so that alerts see what was recorded before them."""

    name: str
    rules: Sequence[Rule]
    interval: str = "15s"

    @property
    def alerts(self) -> Iterator[Alert]:
        return (rule for rule in self.rules if isinstance(rule, Alert))


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def rule_file(groups: Sequence[Group]) -> str:
    """A Prometheus rule file."""
    content = {
        "groups": [
            {"name": group.name, "interval": group.interval, "rules": [rule.as_rule() for rule in group.rules]}
            for group in groups
        ]
    }
    return GENERATED + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
