"""The structured comparison as a form: what it holds, and what it may not leave out."""

import pytest
from pydantic import ValidationError

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.leads.comparison import (
    ComparedCandidate,
    Component,
    ComponentFinding,
    Finding,
    Opinion,
    require_complete,
    require_of_list,
    verdicts,
)
from rtcc_bridge.policy.policy_parts import Conclusion
from tests.life_kit import compared, opinion

A, B, C = "a" * 22, "b" * 22, "c" * 22
LISTED = (A, B, C)


def refused(given: Opinion) -> str:
    with pytest.raises(PolicyRefusalError) as caught:
        require_complete(given, LISTED)
    assert caught.value.rule == "P13"
    return str(caught.value)


def test_p13_the_components_are_the_closed_list_of_facial_comparison() -> None:
    assert [component.value for component in Component] == [
        "skin", "face_outline", "hairline", "forehead", "eyebrows", "eyes", "cheeks", "nose", "ears", "mouth",
        "chin_and_jaw", "neck", "facial_hair", "lines", "scars", "marks", "alterations",
    ]  # fmt: skip
    with pytest.raises(ValidationError):
        ComponentFinding.model_validate({"component": "inter_eye_distance", "finding": "similar"})


def test_p13_there_is_no_place_for_a_measurement_or_a_score() -> None:
    for model in (ComponentFinding, ComparedCandidate, Opinion):
        with pytest.raises(ValidationError, match="not permitted"):
            model.model_validate({"score": 0.9, "millimetres": 3})


@pytest.mark.parametrize("conclusion", Conclusion)
def test_p13_every_conclusion_takes_the_same_form(conclusion: Conclusion) -> None:
    given = Opinion(excluded=(B, C), compared=(compared(A, conclusion),))
    require_complete(given, LISTED)
    assert verdicts(given) == {A: conclusion, B: Conclusion.EXCLUSION, C: Conclusion.EXCLUSION}


def test_p13_a_whole_list_may_be_excluded_at_first_sight() -> None:
    given = opinion(LISTED)
    require_complete(given, LISTED)
    assert set(verdicts(given).values()) == {Conclusion.EXCLUSION}


def test_p13_nothing_is_concluded_while_a_candidate_was_not_looked_at() -> None:
    assert "2 are left" in refused(Opinion(excluded=(B,)))


def test_p13_a_comparison_speaks_of_every_part_of_the_face() -> None:
    whole = compared(A, Conclusion.SUPPORT)
    part = whole.model_copy(update={"findings": whole.findings[1:]})
    assert "skin" in refused(Opinion(excluded=(B, C), compared=(part,)))


def test_p13_a_comparison_needs_a_conclusion_which_may_be_that_nothing_can_be_told() -> None:
    open_end = compared(A, Conclusion.SUPPORT).model_copy(update={"conclusion": None})
    assert "conclusion" in refused(Opinion(excluded=(B, C), compared=(open_end,)))


@pytest.mark.parametrize(
    ("conclusion", "finding"),
    [
        (Conclusion.SUPPORT, Finding.DIFFERENT),
        (Conclusion.LIMITED_SUPPORT, Finding.NOT_VISIBLE),
        (Conclusion.EXCLUSION, Finding.SIMILAR),
    ],
)
def test_p13_a_conclusion_rests_on_something_that_was_seen(conclusion: Conclusion, finding: Finding) -> None:
    findings = tuple(ComponentFinding(component=one, finding=finding) for one in Component)
    form = ComparedCandidate(candidate_ref=A, findings=findings, conclusion=conclusion)
    assert "at least one part" in refused(Opinion(excluded=(B, C), compared=(form,)))


@pytest.mark.parametrize(
    "given",
    [
        Opinion(excluded=(A, A)),
        Opinion(excluded=(A,), compared=(compared(A, Conclusion.SUPPORT),)),
        Opinion(excluded=("z" * 22,)),
        Opinion(compared=(compared("z" * 22, Conclusion.SUPPORT),)),
    ],
)
def test_p13_an_opinion_is_about_each_candidate_of_its_list_once(given: Opinion) -> None:
    with pytest.raises(PolicyRefusalError):
        require_of_list(given, LISTED)


def test_p13_a_part_of_the_face_stands_in_a_form_once() -> None:
    twice = tuple(
        ComponentFinding(component=Component.NOSE, finding=one) for one in (Finding.SIMILAR, Finding.DIFFERENT)
    )
    with pytest.raises(PolicyRefusalError):
        require_of_list(Opinion(compared=(ComparedCandidate(candidate_ref=A, findings=twice),)), LISTED)


def test_a_draft_may_be_half_filled_in() -> None:
    half = ComparedCandidate(candidate_ref=A, findings=compared(A, Conclusion.SUPPORT).findings[:3])
    require_of_list(Opinion(excluded=(B,), compared=(half,)), LISTED)
