"""What the policy file says of people, examinations and periods: within the bounds of the code, and never outside."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.policy.policy_file import MOST_VALID_DAYS, load_policy
from rtcc_bridge.policy.policy_parts import (
    MOST_CERTIFICATE_DAYS,
    CertificateKind,
    Conclusion,
    EvidenceKind,
    MisuseRule,
    Outcome,
)
from rtcc_bridge.policy.purposes import Purpose
from tests.unit.policy.test_policy_file import document, problems, written


def changed(*path: str, to: Any) -> dict[str, Any]:
    """The shipped policy with one field changed."""
    content = document()
    part = content
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = to
    return content


def without(*path: str) -> dict[str, Any]:
    content = document()
    part = content
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    return content


def test_the_last_day_counts_whole(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, {**document(), "valid_from": "2026-11-01", "valid_until": "2026-11-02"}))
    assert policy.begins_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert policy.expires_at == datetime(2026, 11, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("until", "good"),
    [("2026-10-31", False), ("2026-11-01", True), ("2028-10-31", True), ("2028-11-01", False), ("9999-12-31", False)],
)
def test_no_policy_holds_for_ever(tmp_path: Path, until: str, good: bool) -> None:
    file = written(tmp_path, {**document(), "valid_from": "2026-11-01", "valid_until": until})
    if good:
        assert (load_policy(file).expires_at - load_policy(file).begins_at).days <= MOST_VALID_DAYS
        return
    (problem,) = problems(file)
    assert "valid_until" in problem


@pytest.mark.parametrize("day", ["valid_from", "valid_until"])
@pytest.mark.parametrize("value", [None, "soon", "2026-02-30"])
def test_a_policy_says_from_when_to_when(tmp_path: Path, day: str, value: str | None) -> None:
    content = without(day) if value is None else changed(day, to=value)
    assert any(day in problem for problem in problems(written(tmp_path, content)))


def test_a_day_that_there_is_not_is_no_defect(tmp_path: Path) -> None:
    text = f"{(written(tmp_path, document())).read_text('utf-8')}\nother: 2026-02-30\n"
    (problem,) = problems(written(tmp_path, text))
    assert "is not YAML" in problem


@pytest.mark.parametrize("text", ["title: a\ntitle: b\n", "retention:\n  days: {refused: 1, refused: 300}\n"])
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str) -> None:
    """A person reads the first, the program would take the second."""
    (problem,) = problems(written(tmp_path, text))
    assert "stands twice" in problem


def test_a_merge_of_yaml_is_refused(tmp_path: Path) -> None:
    """Who signs has to see each key where it counts."""
    (problem,) = problems(written(tmp_path, "title: &a {x: 1}\nreview: {<<: *a}\n"))
    assert "is not YAML" in problem


def test_what_the_file_leaves_out_is_the_bound_of_the_code(tmp_path: Path) -> None:
    content = document()
    parts = (
        "jurisdiction",
        "certificates",
        "candidates",
        "conclusions",
        "review",
        "corroboration",
        "retention",
        "misuse",
    )
    for part in parts:
        del content[part]
    policy = load_policy(written(tmp_path, content))
    assert {kind: rule.valid_days for kind, rule in policy.certificates.items()} == MOST_CERTIFICATE_DAYS
    assert policy.candidates.most_listed == 50
    assert policy.conclusions.scale == tuple(Conclusion)
    assert policy.review.release_at_most == 2
    assert policy.corroboration.evidence_kinds == frozenset(EvidenceKind)
    assert set(policy.retention.days) == set(Outcome)
    assert policy.misuse == MisuseRule()
    assert policy.jurisdiction.warrant_or_exigency_for == frozenset()


@pytest.mark.parametrize("kind", list(CertificateKind))
def test_no_certificate_can_be_left_out_or_hold_for_longer(tmp_path: Path, kind: CertificateKind) -> None:
    (problem,) = problems(written(tmp_path, without("certificates", kind)))
    assert kind in problem
    days = MOST_CERTIFICATE_DAYS[kind]
    (problem,) = problems(written(tmp_path, changed("certificates", kind, "valid_days", to=days + 1)))
    assert f"at most {days} days" in problem
    shorter = load_policy(written(tmp_path, changed("certificates", kind, "valid_days", to=1)))
    assert shorter.certificates[kind].valid_days == 1


@pytest.mark.parametrize(
    "scale",
    [
        [],
        ["support"],
        ["support", "exclusion"],
        ["support", "inconclusive"],
        ["inconclusive", "exclusion"],
        ["exclusion", "inconclusive", "support"],
        ["support", "support", "inconclusive", "exclusion"],
        ["support", "inconclusive", "exclusion", "identification"],
    ],
)
def test_no_scale_makes_support_the_easy_answer(tmp_path: Path, scale: list[str]) -> None:
    found = problems(written(tmp_path, changed("conclusions", "scale", to=scale)))
    assert found
    assert all("conclusions.scale" in problem for problem in found)


def test_a_scale_may_do_without_its_finer_grades(tmp_path: Path) -> None:
    scale = ["support", "inconclusive", "exclusion"]
    assert load_policy(written(tmp_path, changed("conclusions", "scale", to=scale))).conclusions.scale == tuple(scale)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("review", "release_at_most"), 3),
        (("review", "release_at_most"), 0),
        (("review", "third_within_hours"), 0),
        (("review", "third_within_hours"), 169),
        (("review", "remind_hours_before"), [24, 168]),
        (("review", "remind_hours_before"), [24, 24]),
        (("review", "remind_hours_before"), [0]),
        (("candidates", "most_listed"), 51),
        (("corroboration", "evidence_kinds"), []),
        (("corroboration", "evidence_kinds"), ["anonymous_tip"]),
        (("corroboration", "outcome_within_days"), 91),
        (("misuse", "same_still_searches"), 6),
        (("misuse", "window_days"), 6),
        (("misuse", "reviews_without_disagreement"), 101),
        (("retention", "days", "no_candidate"), 0),
        (("retention", "days", "no_candidate"), 366),
        (("retention", "after_disposition_days"), 29),
        (("jurisdiction", "warrant_or_exigency_for"), ["immigration"]),
        (("jurisdiction", "name"), ""),
    ],
    ids=str,
)
def test_the_file_can_only_be_stricter(tmp_path: Path, path: tuple[str, ...], value: Any) -> None:
    found = problems(written(tmp_path, changed(*path, to=value)))
    assert found
    assert all(".".join(path) in problem for problem in found)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_nothing_is_kept_because_its_period_was_forgotten(tmp_path: Path, outcome: Outcome) -> None:
    (problem,) = problems(written(tmp_path, without("retention", "days", outcome)))
    assert outcome in problem


def test_purposes_that_need_a_warrant_are_purposes(tmp_path: Path) -> None:
    wanted = changed("jurisdiction", "warrant_or_exigency_for", to=["violent_offense"])
    assert load_policy(written(tmp_path, wanted)).jurisdiction.warrant_or_exigency_for == {Purpose.VIOLENT_OFFENSE}
