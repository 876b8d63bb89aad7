"""The life of a lead: its states and the one table of the steps between them. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from rtcc_bridge.errors import ConflictError


class LeadResult(StrEnum):
    """What came of the probe. It never changes."""

    CANDIDATES = "candidates"
    NO_CANDIDATE = "no_candidate"
    REJECTED_QUALITY = "rejected_quality"


class ReviewState(StrEnum):
    """How far people have come with the lead."""

    UNREVIEWED = "unreviewed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class LeadApproval(StrEnum):
    """The supervisor's approval of the search. A probe that was never searched needs none."""

    GRANTED = "granted"
    PENDING = "pending"
    NOT_NEEDED = "not_needed"


class Act(StrEnum):
    """What can happen to a lead."""

    ACKNOWLEDGE = "acknowledge"
    GRANT_APPROVAL = "grant_approval"
    LAPSE_APPROVAL = "lapse_approval"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"


_SEARCHED: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {
        Act.ACKNOWLEDGE: ReviewState.UNREVIEWED,
        Act.GRANT_APPROVAL: ReviewState.UNREVIEWED,
        Act.LAPSE_APPROVAL: ReviewState.WITHDRAWN,
        Act.WITHDRAW: ReviewState.WITHDRAWN,
        Act.EXPIRE: ReviewState.EXPIRED,
    }
)
_NEVER_SEARCHED: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {
        Act.ACKNOWLEDGE: ReviewState.UNREVIEWED,
        Act.WITHDRAW: ReviewState.WITHDRAWN,
        Act.EXPIRE: ReviewState.EXPIRED,
    }
)
_ENDED: Final[Mapping[Act, ReviewState]] = MappingProxyType({})

TRANSITIONS: Final[Mapping[tuple[LeadResult, ReviewState], Mapping[Act, ReviewState]]] = MappingProxyType(
    {
        (LeadResult.CANDIDATES, ReviewState.UNREVIEWED): _SEARCHED,
        (LeadResult.CANDIDATES, ReviewState.WITHDRAWN): _ENDED,
        (LeadResult.CANDIDATES, ReviewState.EXPIRED): _ENDED,
        (LeadResult.NO_CANDIDATE, ReviewState.UNREVIEWED): _SEARCHED,
        (LeadResult.NO_CANDIDATE, ReviewState.WITHDRAWN): _ENDED,
        (LeadResult.NO_CANDIDATE, ReviewState.EXPIRED): _ENDED,
        (LeadResult.REJECTED_QUALITY, ReviewState.UNREVIEWED): _NEVER_SEARCHED,
        (LeadResult.REJECTED_QUALITY, ReviewState.WITHDRAWN): _ENDED,
        (LeadResult.REJECTED_QUALITY, ReviewState.EXPIRED): _ENDED,
    }
)
"""Acts that are not listed are forbidden."""

LIVE_STATES: Final = (ReviewState.UNREVIEWED,)
"""A lead in one of these states can still be followed up: what ends when its authority ends (P08)."""


@dataclass(frozen=True, slots=True)
class Lead:
    """What the rules look at."""

    lead_id: str
    result: LeadResult
    review_state: ReviewState = ReviewState.UNREVIEWED
    approval: LeadApproval = LeadApproval.NOT_NEEDED
    acknowledged_by: str | None = None

    @property
    def is_live(self) -> bool:
        return self.review_state in LIVE_STATES


def acknowledge(lead: Lead, account: str) -> Lead:
    """The lead as taken by `account`; unchanged when that account has it already.

    Raises ConflictError when the lead has ended or another account took it first.
    """
    after = _step(lead, Act.ACKNOWLEDGE)
    if lead.acknowledged_by not in {None, account}:
        raise ConflictError(f"Lead {lead.lead_id} is taken: {lead.acknowledged_by} acknowledged it first.")
    return replace(after, acknowledged_by=account)


def grant_approval(lead: Lead) -> Lead:
    """The lead whose deferred approval has come (P14). Raises ConflictError unless one was pending."""
    return replace(_with_pending_approval(lead, Act.GRANT_APPROVAL), approval=LeadApproval.GRANTED)


def lapse_approval(lead: Lead) -> Lead:
    """The lead whose deferred approval did not come in time (P14). Raises ConflictError unless one was pending."""
    return _with_pending_approval(lead, Act.LAPSE_APPROVAL)


def withdraw(lead: Lead) -> Lead:
    """The lead as withdrawn (P08, P19, P25). Raises ConflictError when it has ended already."""
    return _step(lead, Act.WITHDRAW)


def expire(lead: Lead) -> Lead:
    """The lead as expired, since nobody reported an outcome (P18). Raises ConflictError when it has ended already."""
    return _step(lead, Act.EXPIRE)


def _with_pending_approval(lead: Lead, act: Act) -> Lead:
    after = _step(lead, act)
    if lead.approval is not LeadApproval.PENDING:
        raise ConflictError(f"Lead {lead.lead_id} waits for no approval.")
    return after


def _step(lead: Lead, act: Act) -> Lead:
    following = TRANSITIONS[lead.result, lead.review_state].get(act)
    if following is None:
        name = act.value.replace("_", " ")
        raise ConflictError(f"Lead {lead.lead_id} is {lead.review_state.value} ({lead.result.value}): cannot {name}.")
    return replace(lead, review_state=following)
