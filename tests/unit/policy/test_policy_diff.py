"""What a policy says otherwise than another is told field by field."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.policy.policy_diff import differences, in_words
from rtcc_bridge.policy.policy_file import load_policy
from tests.policy_kit import Change, write_policy

TODAY = date(2026, 11, 23)
LIMITS = {"max_fnir_rank20": 0.1, "max_group_fnir_rank1": 0.2, "max_group_fpir": 0.3}


def told(folder: Path, change: Change) -> list[str]:
    old, new = write_policy(folder / "old.yaml", TODAY), write_policy(folder / "new.yaml", TODAY, change)
    return differences(load_policy(old), load_policy(new))


def _remove_purpose(content: dict[str, Any]) -> None:
    del content["purposes"]["identify_deceased"]


def _other_types(content: dict[str, Any]) -> None:
    types = content["purposes"]["violent_offense"]["incident_types"]
    types.remove("DVA")
    types.append("KIDNAP")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_remove_purpose, ["purposes.identify_deceased: no longer there"]),
        (
            _other_types,
            [
                "purposes.violent_offense.incident_types: no longer DVA",
                "purposes.violent_offense.incident_types: also KIDNAP",
            ],
        ),
        (
            lambda content: content["approval"].update(valid_hours=12),
            ["approval.valid_hours: from 24 to 12. A search that did not run by then needs a new approval."],
        ),
        (
            lambda content: content.update(valid_until=date(2027, 1, 1)),
            ["valid_until: from 2027-03-02 to 2027-01-01. The last day (UTC) on which it holds."],
        ),
        (
            lambda content: content["retention"]["days"].update(refused=3),
            ["retention.days.refused: from 30 to 3"],
        ),
        (
            lambda content: content["jurisdiction"].update(warrant_or_exigency_for=["violent_offense"]),
            ["jurisdiction.warrant_or_exigency_for: also violent_offense"],
        ),
    ],
)
def test_a_change_is_told_in_words(tmp_path: Path, change: Change, says: list[str]) -> None:
    assert told(tmp_path, change) == says


def test_a_section_that_comes_is_told_with_all_that_it_says(tmp_path: Path) -> None:
    (line,) = told(tmp_path, lambda content: content.update(evaluation=LIMITS))
    assert line.startswith("evaluation: new, max_age_days 365, max_fnir_rank20 0.1, ")
    old = write_policy(tmp_path / "old.yaml", TODAY, lambda content: content.update(evaluation=LIMITS))
    (line,) = differences(load_policy(old), load_policy(write_policy(tmp_path / "new.yaml", TODAY)))
    assert line.startswith("evaluation: no longer there")


def test_what_is_left_empty_is_told_in_words(tmp_path: Path) -> None:
    policy = load_policy(write_policy(tmp_path / "policy.yaml", TODAY))
    told = {field: value for field, value, _ in in_words(policy)}
    assert (told["evaluation"], told["jurisdiction.warrant_or_exigency_for"]) == ("none", "none")


def test_a_comment_is_no_difference(tmp_path: Path) -> None:
    old = write_policy(tmp_path / "old.yaml", TODAY)
    new = tmp_path / "new.yaml"
    new.write_text(f"# why\n{old.read_text()}")
    assert load_policy(old).hash != load_policy(new).hash
    assert differences(load_policy(old), load_policy(new)) == []


def test_every_field_that_can_differ_is_told(tmp_path: Path) -> None:
    """A field that is added to the policy and forgotten here would change in silence."""
    old = load_policy(write_policy(tmp_path / "old.yaml", TODAY))
    for name in type(old).model_fields.keys() - {"hash"}:
        new = old.model_copy(update={name: "something else"})
        assert any(line.startswith(name) for line in differences(old, new)), name
