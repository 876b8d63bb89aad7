"""The pure rules at their edges; tests/policy attacks them through the desks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.rules import IncidentFacts, ThreatFacts
from tests.probe_kit import SENDER, policy

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
POLICY = policy()
ACTUAL = IncidentFacts("HOMICIDE", "open", exercise=False, case_number=None)


def threat(**changes: Any) -> ThreatFacts:
    facts = {"sender": SENDER, "imminent": True, "active": True, "exercise": False}
    return ThreatFacts(**{"expires_at": NOW + timedelta(seconds=1), **facts, **changes})


def test_one_threat_among_others_is_enough() -> None:
    assert rules.has_imminent_threat(POLICY, ACTUAL, [threat(imminent=False), threat()], NOW)
    assert not rules.has_imminent_threat(POLICY, ACTUAL, [], NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": SENDER.upper()},
        {"imminent": False},
        {"active": False},
        {"exercise": True},
        {"expires_at": NOW},
        {"expires_at": None},
    ],
    ids=str,
)
def test_each_condition_of_an_imminent_threat_counts(changes: dict[str, Any]) -> None:
    assert not rules.has_imminent_threat(POLICY, ACTUAL, [threat(**changes)], NOW)


def test_an_exercise_is_never_imminent() -> None:
    assert not rules.has_imminent_threat(POLICY, replace(ACTUAL, exercise=True), [threat()], NOW)


@pytest.mark.parametrize(("unapproved", "deferred"), [(0, True), (1, True), (2, False), (3, False)])
def test_lapsed_and_outstanding_approvals_end_the_deferral(unapproved: int, deferred: bool) -> None:
    deadline = rules.approval_deadline(POLICY, imminent_threat=True, unapproved=unapproved, now=NOW)
    assert deadline == (NOW + timedelta(hours=1) if deferred else None)
    assert rules.approval_deadline(POLICY, imminent_threat=False, unapproved=unapproved, now=NOW) is None


@pytest.mark.parametrize(
    ("imminent", "earlier", "lane"),
    [
        (True, Lane.ROUTINE, Lane.IMMINENT),
        (False, Lane.ROUTINE, Lane.ROUTINE),
        (False, Lane.IMMINENT, Lane.IMMINENT),
    ],
)
def test_a_lane_is_never_slowed_down_again(imminent: bool, earlier: Lane, lane: Lane) -> None:
    assert rules.lane_of(imminent_threat=imminent, earlier=earlier) is lane


def test_a_deferred_approval_is_in_time_until_its_moment() -> None:
    rules.require_timely(approve_by=NOW, now=NOW - timedelta(microseconds=1))
    rules.require_timely(approve_by=None, now=NOW)
    with pytest.raises(PolicyRefusalError):
        rules.require_timely(approve_by=NOW, now=NOW)


def test_an_approval_holds_for_its_hours() -> None:
    assert rules.approval_holds(POLICY, NOW, NOW + timedelta(hours=24, microseconds=-1))
    assert not rules.approval_holds(POLICY, NOW, NOW + timedelta(hours=24))


def test_an_approval_of_a_time_to_come_holds_as_long_as_clocks_may_differ() -> None:
    assert rules.approval_holds(POLICY, NOW, NOW - timedelta(hours=1))
    assert not rules.approval_holds(POLICY, NOW, NOW - timedelta(hours=1, microseconds=1))


@pytest.mark.parametrize(
    ("exercise", "kind", "rule"),
    [
        (False, "demo", None),
        (True, "training", None),
        (False, "training", "P07"),
        (True, "demo", "P07"),
        (True, "live", "P07"),
        (False, "live", "P28"),
        (False, "something", "P28"),
    ],
)
def test_which_gallery_may_be_searched(exercise: bool, kind: str, rule: str | None) -> None:
    if rule is None:
        rules.require_searchable(exercise=exercise, gallery_kind=kind, model_problem="it is not signed", is_demo=True)
        return
    with pytest.raises(PolicyRefusalError) as refused:
        rules.require_searchable(exercise=exercise, gallery_kind=kind, model_problem="it is not signed", is_demo=True)
    assert refused.value.rule == rule


def test_a_live_gallery_is_searched_with_a_model_that_qualifies() -> None:
    rules.require_searchable(exercise=False, gallery_kind="live", model_problem="", is_demo=False)
    with pytest.raises(PolicyRefusalError, match=r"evaluation that is in date: it is not signed\.") as refused:
        rules.require_searchable(exercise=False, gallery_kind="live", model_problem="it is not signed", is_demo=False)
    assert refused.value.rule == "P28"
    with pytest.raises(PolicyRefusalError, match="no such kind"):
        rules.require_searchable(exercise=False, gallery_kind="something", model_problem="", is_demo=False)


def test_the_case_number_is_the_incident_s_or_the_stated_one() -> None:
    unknown = IncidentFacts("HOMICIDE", "open", exercise=False, case_number=None)
    known = IncidentFacts("HOMICIDE", "open", exercise=False, case_number="26-1")
    assert rules.require_grounds(unknown, " 26-2 ", "requestor", "basis") == "26-2"
    assert rules.require_grounds(known, None, "requestor", "basis") == "26-1"
    assert rules.require_grounds(known, "26-1", "requestor", "basis") == "26-1"


@pytest.mark.parametrize("status", ["open", "closed"])
def test_what_goes_on_keeps_its_authority(status: str) -> None:
    rules.require_authority(IncidentFacts("HOMICIDE", status, exercise=False, case_number=None))


@pytest.mark.parametrize(("exercise", "exercise_merged_in", "mixed"), [(False, True, True), (True, True, False)])
def test_an_exercise_is_no_part_of_an_actual_event(exercise: bool, exercise_merged_in: bool, mixed: bool) -> None:
    incident = replace(ACTUAL, exercise=exercise, exercise_merged_in=exercise_merged_in)
    if not mixed:
        rules.require_unmixed(incident)
        return
    with pytest.raises(PolicyRefusalError) as refused:
        rules.require_unmixed(incident)
    assert refused.value.rule == "P07"
