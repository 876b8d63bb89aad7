"""The life of a lead: every step that the table allows, and every one that it forbids."""

from dataclasses import replace
from itertools import product

import pytest

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.leads import lead as rules
from rtcc_bridge.leads.lead import LIVE_STATES, TRANSITIONS, Act, Lead, LeadApproval, LeadResult, Outcome, ReviewState

UNREVIEWED, IN_REVIEW, INCONCLUSIVE = ReviewState.UNREVIEWED, ReviewState.IN_REVIEW, ReviewState.INCONCLUSIVE
RELEASED, WITHDRAWN, EXPIRED = ReviewState.RELEASED, ReviewState.WITHDRAWN, ReviewState.EXPIRED
CANDIDATES, NO_CANDIDATE = LeadResult.CANDIDATES, LeadResult.NO_CANDIDATE
TAKABLE = (CANDIDATES, NO_CANDIDATE, LeadResult.REJECTED_QUALITY)
OPEN = [
    (CANDIDATES, UNREVIEWED), (CANDIDATES, IN_REVIEW), (CANDIDATES, RELEASED), (NO_CANDIDATE, UNREVIEWED),
    (NO_CANDIDATE, RELEASED),
]  # fmt: skip
"""Leads that rest on a search, and that somebody may still follow up."""

ALLOWED = {
    **{(result, UNREVIEWED, Act.ACKNOWLEDGE): UNREVIEWED for result in TAKABLE},
    (CANDIDATES, UNREVIEWED, Act.OPEN_REVIEW): IN_REVIEW,
    (CANDIDATES, IN_REVIEW, Act.CLOSE_INCONCLUSIVE): INCONCLUSIVE,
    (CANDIDATES, IN_REVIEW, Act.RELEASE): RELEASED,
    (NO_CANDIDATE, UNREVIEWED, Act.RELEASE): RELEASED,
    (CANDIDATES, RELEASED, Act.REPORT_OUTCOME): RELEASED,
    **{(result, state, Act.EXTEND): state for result, state in OPEN},
    **{(result, state, Act.GRANT_APPROVAL): state for result, state in OPEN},
    **{(result, state, Act.LAPSE_APPROVAL): WITHDRAWN for result, state in OPEN},
    **{(result, state, Act.WITHDRAW): WITHDRAWN for result, state in OPEN},
    **{(result, state, Act.EXPIRE): EXPIRED for result, state in OPEN},
    (LeadResult.REJECTED_QUALITY, UNREVIEWED, Act.WITHDRAW): WITHDRAWN,
    (LeadResult.REJECTED_QUALITY, UNREVIEWED, Act.EXPIRE): EXPIRED,
    (LeadResult.INCONCLUSIVE, INCONCLUSIVE, Act.WITHDRAW): WITHDRAWN,
}
"""Written out once more, so that a change of the table is a change of this test."""


def perform(act: Act, lead: Lead) -> Lead:  # noqa: PLR0911 - one act a line
    match act:
        case Act.ACKNOWLEDGE:
            return rules.acknowledge(lead, "first")
        case Act.OPEN_REVIEW:
            return rules.open_review(lead)
        case Act.CLOSE_INCONCLUSIVE:
            return rules.close_inconclusive(lead)
        case Act.RELEASE:
            return rules.release(lead, 1 if lead.result is CANDIDATES else 0)
        case Act.REPORT_OUTCOME:
            return rules.report_outcome(lead, Outcome.CORROBORATED)
        case Act.EXTEND:
            return rules.extend(lead)
        case Act.GRANT_APPROVAL:
            return rules.grant_approval(lead)
        case Act.LAPSE_APPROVAL:
            return rules.lapse_approval(lead)
        case Act.WITHDRAW:
            return rules.withdraw(lead)
        case Act.EXPIRE:
            return rules.expire(lead)


@pytest.mark.parametrize(("result", "state", "act"), list(product(LeadResult, ReviewState, Act)))
def test_every_step_is_allowed_or_forbidden_as_written(result: LeadResult, state: ReviewState, act: Act) -> None:
    taken_by = None if act is Act.ACKNOWLEDGE else "first"
    lead = Lead("L", result, state, LeadApproval.PENDING, taken_by)
    following = ALLOWED.get((result, state, act))
    assert rules.permits(lead, act) == (following is not None)
    if following is None:
        with pytest.raises(ConflictError, match=f"Lead L is {state.value}"):
            perform(act, lead)
    else:
        after = perform(act, lead)
        assert after.review_state is following
        assert after.lead_id == "L"
        assert after.result is (LeadResult.INCONCLUSIVE if act is Act.CLOSE_INCONCLUSIVE else result)


def test_the_table_has_a_row_for_every_lead_that_can_be() -> None:
    reached = {(after.result, after.review_state) for after in (perform(row[2], _lead(*row)) for row in ALLOWED)}
    assert reached | {(result, UNREVIEWED) for result in TAKABLE} == set(TRANSITIONS)


def test_an_ended_lead_is_not_live_and_never_comes_back() -> None:
    for (_, state), steps in TRANSITIONS.items():
        if state is INCONCLUSIVE:
            assert set(steps) == {Act.WITHDRAW}, "that it was told can be taken back, and nothing else"
        else:
            assert bool(steps) == (state in LIVE_STATES)


def test_p17_only_agreeing_on_nobody_or_on_nothing_changes_a_result() -> None:
    reviewed = _lead(CANDIDATES, IN_REVIEW)
    assert rules.release(reviewed, 2).result is CANDIDATES
    assert rules.release(reviewed, 0).result is NO_CANDIDATE
    assert rules.close_inconclusive(reviewed).result is LeadResult.INCONCLUSIVE


@pytest.mark.parametrize(
    ("result", "state", "act"),
    [
        (CANDIDATES, UNREVIEWED, Act.OPEN_REVIEW),
        (CANDIDATES, IN_REVIEW, Act.RELEASE),
        (NO_CANDIDATE, UNREVIEWED, Act.RELEASE),
    ],
)
def test_nothing_is_reviewed_or_released_for_which_nobody_is_responsible(
    result: LeadResult, state: ReviewState, act: Act
) -> None:
    with pytest.raises(ConflictError, match="Nobody has acknowledged"):
        perform(act, replace(_lead(result, state), acknowledged_by=None))


def test_p18_an_outcome_stands_and_only_an_unresolved_one_may_be_followed_by_another() -> None:
    released = _lead(CANDIDATES, RELEASED)
    unresolved = rules.report_outcome(released, Outcome.UNRESOLVED)
    assert rules.report_outcome(unresolved, Outcome.REFUTED).outcome is Outcome.REFUTED
    for outcome in (Outcome.CORROBORATED, Outcome.REFUTED):
        known = rules.report_outcome(released, outcome)
        for other in Outcome:
            with pytest.raises(ConflictError, match=outcome):
                rules.report_outcome(known, other)
    with pytest.raises(ConflictError):
        rules.report_outcome(released, Outcome.NONE)


@pytest.mark.parametrize("outcome", [Outcome.CORROBORATED, Outcome.REFUTED, Outcome.UNRESOLVED])
def test_p18_a_lead_with_an_outcome_does_not_expire(outcome: Outcome) -> None:
    with pytest.raises(ConflictError, match="does not expire"):
        rules.expire(rules.report_outcome(_lead(CANDIDATES, RELEASED), outcome))


def _lead(result: LeadResult, state: ReviewState, act: Act | None = None) -> Lead:
    return Lead("L", result, state, LeadApproval.PENDING, None if act is Act.ACKNOWLEDGE else "first")


def test_a_lead_belongs_to_the_account_that_acknowledged_it_first() -> None:
    taken = rules.acknowledge(Lead("L", LeadResult.CANDIDATES), "first")
    assert taken.acknowledged_by == "first"
    assert rules.acknowledge(taken, "first") == rules.acknowledge(taken, "First ") == taken
    with pytest.raises(ConflictError, match="taken: first"):
        rules.acknowledge(taken, "second")


def test_a_withdrawn_lead_cannot_be_acknowledged_even_by_whoever_had_it() -> None:
    taken = rules.acknowledge(Lead("L", LeadResult.CANDIDATES), "first")
    with pytest.raises(ConflictError, match="withdrawn"):
        rules.acknowledge(rules.withdraw(taken), "first")


@pytest.mark.parametrize("approval", [LeadApproval.GRANTED, LeadApproval.NOT_NEEDED])
def test_p14_only_a_pending_approval_can_come_or_lapse(approval: LeadApproval) -> None:
    lead = Lead("L", LeadResult.CANDIDATES, approval=approval)
    for step in (rules.grant_approval, rules.lapse_approval):
        with pytest.raises(ConflictError, match="waits for no approval"):
            step(lead)


def test_p14_a_granted_approval_leaves_the_rest_of_the_lead_alone() -> None:
    waiting = Lead("L", LeadResult.NO_CANDIDATE, approval=LeadApproval.PENDING, acknowledged_by="first")
    assert rules.grant_approval(waiting) == replace(waiting, approval=LeadApproval.GRANTED)
