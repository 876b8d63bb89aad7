"""The life of a lead: every step that the table allows, and every one that it forbids."""

from dataclasses import replace
from itertools import product

import pytest

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.leads import lead as rules
from rtcc_bridge.leads.lead import LIVE_STATES, TRANSITIONS, Act, Lead, LeadApproval, LeadResult, ReviewState

UNREVIEWED, WITHDRAWN, EXPIRED = ReviewState.UNREVIEWED, ReviewState.WITHDRAWN, ReviewState.EXPIRED
SEARCHED = (LeadResult.CANDIDATES, LeadResult.NO_CANDIDATE)

ALLOWED = {
    **{(result, UNREVIEWED, Act.ACKNOWLEDGE): UNREVIEWED for result in LeadResult},
    **{(result, UNREVIEWED, Act.WITHDRAW): WITHDRAWN for result in LeadResult},
    **{(result, UNREVIEWED, Act.EXPIRE): EXPIRED for result in LeadResult},
    **{(result, UNREVIEWED, Act.GRANT_APPROVAL): UNREVIEWED for result in SEARCHED},
    **{(result, UNREVIEWED, Act.LAPSE_APPROVAL): WITHDRAWN for result in SEARCHED},
}
"""Written out once more, so that a change of the table is a change of this test."""


def perform(act: Act, lead: Lead) -> Lead:
    match act:
        case Act.ACKNOWLEDGE:
            return rules.acknowledge(lead, "first")
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
    lead = Lead("L", result, state, LeadApproval.PENDING)
    following = ALLOWED.get((result, state, act))
    if following is None:
        with pytest.raises(ConflictError, match=f"Lead L is {state.value}"):
            perform(act, lead)
    else:
        after = perform(act, lead)
        assert after.review_state is following
        assert (after.lead_id, after.result) == ("L", result)


def test_the_table_has_a_row_for_every_result_and_state() -> None:
    assert set(TRANSITIONS) == set(product(LeadResult, ReviewState))


def test_an_ended_lead_is_not_live_and_never_comes_back() -> None:
    for (_, state), steps in TRANSITIONS.items():
        assert bool(steps) == (state in LIVE_STATES)


def test_a_lead_belongs_to_the_account_that_acknowledged_it_first() -> None:
    taken = rules.acknowledge(Lead("L", LeadResult.CANDIDATES), "first")
    assert taken.acknowledged_by == "first"
    assert rules.acknowledge(taken, "first") == taken
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
