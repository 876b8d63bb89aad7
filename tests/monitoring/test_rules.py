"""The rule file has no findings, and each alert fires when it should and at no other time."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.alerts import alerts
from deploy.monitoring.documents import RULES_FILE
from deploy.monitoring.slo import BURNS, SLOS, Slo
from tests.monitoring.conftest import Promtool
from tests.monitoring.rule_cases import Case, days, minutes

ROOT = Path(__file__).resolve().parents[2]


def test_promtool_finds_nothing_in_the_rules(promtool: Promtool) -> None:
    found = promtool("check", "rules", "--lint=all", "--lint-fatal", ROOT / RULES_FILE)
    assert found.returncode == 0, found.stdout + found.stderr


def parts_with_cases() -> Iterator[tuple[list[dict[str, Any]], str, list[Case]]]:
    """Groups of rules, how often they are evaluated, and the cases of their alerts.

    Groups that record go together, as one uses what another records; each other one goes alone.
    """
    groups = yaml.safe_load((ROOT / RULES_FILE).read_text())["groups"]
    recording = [group for group in groups if any("record" in rule for rule in group["rules"])]
    for part in (recording, *([group] for group in groups if group not in recording)):
        its_alerts = {rule.get("alert") for group in part for rule in group["rules"]}
        for interval, cases in (("1m", minutes()), ("30m", days())):
            if of_part := [case for case in cases if case.alert in its_alerts]:
                yield part, interval, of_part


PARTS = list(parts_with_cases())


@pytest.mark.parametrize(
    ("part", "interval", "cases"), PARTS, ids=[f"{part[-1]['name']} each {interval}" for part, interval, _ in PARTS]
)
def test_each_alert_fires_and_is_silent(
    part: list[dict[str, Any]], interval: str, cases: list[Case], promtool: Promtool, tmp_path: Path
) -> None:
    """Part by part, since in each case promtool works out every rule that it is given, time after time."""
    rules, file = tmp_path / "rules.yaml", tmp_path / "cases.yaml"
    rules.write_text(yaml.safe_dump({"groups": part}))
    content = {
        "rule_files": [str(rules)],
        "evaluation_interval": interval,
        "tests": [case.as_test(interval) for case in cases],
    }
    file.write_text(yaml.safe_dump(content))
    found = promtool("test", "rules", file)
    assert found.returncode == 0, found.stdout + found.stderr


def test_no_case_is_left_out() -> None:
    assert sum(len(cases) for _, _, cases in PARTS) == len([*minutes(), *days()])


def test_no_alert_lacks_a_case() -> None:
    rules = Counter((alert.name, alert.severity.value) for alert in alerts())
    for fires in (True, False):
        cases = Counter((case.alert, case.severity) for case in (*minutes(), *days()) if case.fires is fires)
        assert not rules - cases, "a rule without a case in which it " + ("fires" if fires else "is silent")
        assert cases.keys() == rules.keys()


def test_the_burn_rates_are_those_of_the_budget_that_they_spend() -> None:
    """The Site Reliability Workbook, chapter 5: 2 % in an hour, 5 % in six, 10 % in one day or in three."""
    spent = {burn.long: round(burn.budget_spent, 9) for burn in BURNS}
    assert spent == {"1h": 0.02, "6h": 0.05, "1d": 0.1, "3d": 0.1}


@pytest.mark.parametrize("slo", SLOS, ids=lambda slo: slo.name)
def test_no_burn_asks_for_more_than_everything_to_be_bad(slo: Slo) -> None:
    assert all(burn.rate * slo.budget < 1 for burn in BURNS)
