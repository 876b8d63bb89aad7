"""The policy file: what it may say, and how it says what is wrong with it."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.policy.purposes import Purpose
from tests.probe_kit import POLICY_FILE


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    return loaded


def written(folder: Path, content: Any) -> Path:
    file = folder / "policy.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return file


def problems(file: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_policy(file)
    assert all(problem.remedy for problem in raised.value.problems)
    return [str(problem) for problem in raised.value.problems]


def test_the_shipped_policy_names_all_purposes_and_cites_its_own_bytes() -> None:
    policy = load_policy(POLICY_FILE)
    assert set(policy.purposes) == set(Purpose)
    assert policy.hash == hashlib.sha256(POLICY_FILE.read_bytes()).hexdigest()
    assert policy.deferral.approve_within_minutes == 60


def test_a_changed_byte_changes_the_hash(tmp_path: Path) -> None:
    altered = written(tmp_path, POLICY_FILE.read_text(encoding="utf-8") + "\n# a comment\n")
    assert load_policy(altered).hash != load_policy(POLICY_FILE).hash


def test_a_purpose_that_is_left_out_is_forbidden(tmp_path: Path) -> None:
    content = document()
    del content["purposes"]["imminent_threat"]
    policy = load_policy(written(tmp_path, content))
    assert not policy.covers(Purpose.IMMINENT_THREAT, "HOSTAGE")


def test_the_limits_of_an_evaluation_are_off_until_somebody_sets_them(tmp_path: Path) -> None:
    """P28: the example that stands commented in the shipped file can be taken as it is."""
    assert load_policy(POLICY_FILE).evaluation is None
    text = POLICY_FILE.read_text(encoding="utf-8")
    _, begin, rest = text.partition("# evaluation:\n")
    example, end, _ = rest.partition("\n\n")
    assert begin
    assert end
    uncommented = "evaluation:\n" + "\n".join(line.removeprefix("# ") for line in example.splitlines())
    rule = load_policy(written(tmp_path, f"{text}\n{uncommented}\n")).evaluation
    assert rule is not None
    assert rule.max_age_days == 365
    assert 0 < rule.max_fnir_rank20 < rule.max_group_fnir_rank1


def test_every_problem_is_named_with_its_place(tmp_path: Path) -> None:
    content = document()
    content["surprise"] = 1
    content["purposes"]["gang_database"] = {"incident_types": ["X"]}
    content["purposes"]["violent_offense"]["incident_types"] = []
    content["deferral"]["approve_within_minutes"] = 61
    found = problems(written(tmp_path, content))
    places = ("surprise", "gang_database", "violent_offense.incident_types", "deferral.approve_within_minutes")
    for place in places:
        assert any(place in problem for problem in found), place
    assert len(found) == len(places)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[1, 2", "is not YAML"),
        ("- a list", "is not a mapping"),
        ("", "is not a mapping"),
        ("1: 2", "is not a mapping"),
        ("hash: " + "0" * 64, "cannot be set"),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (problem,) = problems(written(tmp_path, content))
    assert says in problem


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "nowhere.yaml")
    assert "nowhere.yaml" in problem


@pytest.mark.parametrize("hours", [0, 25])
def test_an_approval_holds_for_at_most_a_day(tmp_path: Path, hours: int) -> None:
    content = document()
    content["approval"]["valid_hours"] = hours
    (problem,) = problems(written(tmp_path, content))
    assert "approval.valid_hours" in problem


@pytest.mark.parametrize("lapses", [0, 3])
def test_the_second_lapse_ends_the_deferral_at_the_latest(tmp_path: Path, lapses: int) -> None:
    content = document()
    content["deferral"]["lapses_that_end_it"] = lapses
    (problem,) = problems(written(tmp_path, content))
    assert "lapses_that_end_it" in problem
