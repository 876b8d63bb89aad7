"""Any course of events: a lead stays within its table, and every state that it reaches can be told of."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.leads import lead as rules
from rtcc_bridge.leads.events import build, for_the_floor, to_wire
from rtcc_bridge.leads.lead import TRANSITIONS, Lead, LeadApproval, LeadResult, Outcome, ReviewState
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS
from tests.unit.leads.event_examples import EXAMPLES, NOBODY, PENDING

ENDED = {ReviewState.WITHDRAWN, ReviewState.EXPIRED}
REFS = ["a" * 22, "b" * 22, "c" * 22]


class LeadMachine(RuleBasedStateMachine):
    """Whatever is tried, in whatever order. `told` is the data of the newest event."""

    def __init__(self) -> None:
        super().__init__()
        self.lead = Lead("l" * 22, LeadResult.CANDIDATES)
        self.told: dict[str, Any] = {}
        self.history: list[Lead] = []

    @initialize(
        result=st.sampled_from([LeadResult.CANDIDATES, LeadResult.NO_CANDIDATE, LeadResult.REJECTED_QUALITY]),
        approval=st.sampled_from([LeadApproval.GRANTED, LeadApproval.PENDING]),
    )
    def searched(self, result: LeadResult, approval: LeadApproval) -> None:
        is_searched = result is not LeadResult.REJECTED_QUALITY
        self.lead = Lead("l" * 22, result, approval=approval if is_searched else LeadApproval.NOT_NEEDED)
        values = dict(EXAMPLES[f"lead.{result}"])
        if is_searched:
            values["approval"] = PENDING if approval is LeadApproval.PENDING else {"state": "granted"}
        if result is LeadResult.CANDIDATES:
            values |= {"candidateCount": 3, "candidates": [{"candidateRef": ref} for ref in REFS]}
        self.told = to_wire(f"lead.{result}", build(f"lead.{result}", values))

    def take(self, after: Lead, event_type: str | None, **changes: Any) -> None:
        """The step was allowed: its event is told."""
        self.history.append(self.lead)
        self.lead = after
        values = {**self.told, "result": after.result, "reviewState": after.review_state, **changes}
        if event_type is None:
            shown = to_wire("floor.lead", build("floor.lead", for_the_floor(values)))
            self.told = {**shown, "candidates": values["candidates"]}
            return
        values["sequence"] = self.told["sequence"] + 1
        self.told = to_wire(event_type, build(event_type, values))

    @rule(account=st.sampled_from(["first", "second"]))
    def acknowledge(self, account: str) -> None:
        try:
            after = rules.acknowledge(self.lead, account)
        except ConflictError:
            return
        assert self.lead.acknowledged_by in {None, account}
        if after != self.lead:
            self.take(after, "lead.acknowledged", acknowledgedAt="2026-11-23T12:01:00Z")

    @rule()
    def open_review(self) -> None:
        try:
            after = rules.open_review(self.lead)
        except ConflictError:
            return
        self.take(after, "lead.in_review")

    @rule()
    def close_inconclusive(self) -> None:
        try:
            after = rules.close_inconclusive(self.lead)
        except ConflictError:
            return
        self.take(after, "lead.inconclusive", **NOBODY)

    @rule(candidates=st.integers(0, 2))
    def release(self, candidates: int) -> None:
        if self.lead.result is LeadResult.NO_CANDIDATE:
            candidates = 0
        try:
            after = rules.release(self.lead, candidates)
        except ConflictError:
            return
        listed = [{"candidateRef": ref, "conclusion": "limited_support"} for ref in REFS[:candidates]]
        at = "2026-11-23T12:09:00Z"
        self.take(after, "lead.released", releasedAt=at, candidateCount=candidates, candidates=listed)

    @rule(outcome=st.sampled_from(list(Outcome)))
    def report(self, outcome: Outcome) -> None:
        try:
            after = rules.report_outcome(self.lead, outcome)
        except ConflictError:
            return
        self.take(after, f"lead.{outcome}", corroboration={"state": outcome.value, "evidenceKinds": ["dna"]})

    @rule()
    def extend(self) -> None:
        try:
            after = rules.extend(self.lead)
        except ConflictError:
            return
        self.take(after, None, expiresAt="2027-01-23T12:00:00Z")

    @rule()
    def grant(self) -> None:
        try:
            after = rules.grant_approval(self.lead)
        except ConflictError:
            return
        self.take(after, None, approval={"state": "granted"})

    @rule()
    def lapse(self) -> None:
        try:
            after = rules.lapse_approval(self.lead)
        except ConflictError:
            return
        self.take(after, "lead.approval_lapsed", withdrawal={"cause": "approval_lapsed"}, **NOBODY)

    @rule()
    @precondition(lambda self: len(self.history) > 2)
    def withdraw(self) -> None:
        try:
            after = rules.withdraw(self.lead)
        except ConflictError:
            return
        self.take(after, "lead.withdrawn", withdrawal={"cause": "no_longer_supported"}, **NOBODY)

    @rule()
    @precondition(lambda self: len(self.history) > 2)
    def expire(self) -> None:
        try:
            after = rules.expire(self.lead)
        except ConflictError:
            return
        self.take(after, "lead.expired", **NOBODY)

    @invariant()
    def it_is_a_lead_of_the_table(self) -> None:
        assert (self.lead.result, self.lead.review_state) in TRANSITIONS

    @invariant()
    def what_ended_stays_ended(self) -> None:
        assert not any(lead.review_state in ENDED for lead in self.history)

    @invariant()
    def what_is_told_is_so(self) -> None:
        if not self.told:
            return
        assert (self.told["result"], self.told["reviewState"]) == (self.lead.result, self.lead.review_state)
        assert {name: self.told[name] for name in LEAD_CONSTANTS} == LEAD_CONSTANTS
        assert self.told["corroboration"]["state"] == self.lead.outcome

    @invariant()
    def p17_nothing_is_released_without_two_steps_of_people_before(self) -> None:
        if self.lead.review_state is ReviewState.RELEASED:
            assert self.lead.acknowledged_by is not None
            assert len(self.told["candidates"]) <= 2
            if self.lead.result is LeadResult.CANDIDATES:
                assert any(lead.review_state is ReviewState.IN_REVIEW for lead in self.history)

    @invariant()
    def p18_only_a_released_lead_has_an_outcome(self) -> None:
        if self.lead.outcome is not Outcome.NONE:
            assert any(lead.review_state is ReviewState.RELEASED for lead in self.history)
            assert self.lead.review_state is not ReviewState.EXPIRED


TestLeadMachine = LeadMachine.TestCase
TestLeadMachine.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
