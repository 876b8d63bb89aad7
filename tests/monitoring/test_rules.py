"""The rule file has no findings, and each alert fires when it should and at no other time."""

from collections import Counter
from pathlib import Path

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


@pytest.mark.parametrize(
    ("cases", "interval"), [(list(minutes()), "1m"), (list(days()), "30m")], ids=["minutes", "days"]
)
def test_each_alert_fires_and_is_silent(cases: list[Case], interval: str, promtool: Promtool, tmp_path: Path) -> None:
    content = {
        "rule_files": [str(ROOT / RULES_FILE)],
        "evaluation_interval": interval,
        "tests": [case.as_test(interval) for case in cases],
    }
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(content))
    found = promtool("test", "rules", file)
    assert found.returncode == 0, found.stdout + found.stderr


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
