"""The life of a lead: its states and the one table of the steps between them. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.policy.accounts import same_person


class LeadResult(StrEnum):
    """What came of the probe: what the search gave, until examiners agree that it was nobody or cannot be told."""

    CANDIDATES = "candidates"
    NO_CANDIDATE = "no_candidate"
    INCONCLUSIVE = "inconclusive"
    REJECTED_QUALITY = "rejected_quality"


class ReviewState(StrEnum):
    """How far people have come with the lead."""

    UNREVIEWED = "unreviewed"
    IN_REVIEW = "in_review"
    """The peer review is open: nothing about it is told until both have concluded (P12)."""
    INCONCLUSIVE = "inconclusive"
    """The examiners could not tell, or did not agree. A result like any other (P17)."""
    RELEASED = "released"
    """The requestor has it, with at most two candidates (P17)."""
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class LeadApproval(StrEnum):
    """The supervisor's approval of the search. A probe that was never searched needs none."""

    GRANTED = "granted"
    PENDING = "pending"
    NOT_NEEDED = "not_needed"


class Outcome(StrEnum):
    """What independent evidence said (P18)."""

    NONE = "none"
    CORROBORATED = "corroborated"
    REFUTED = "refuted"
    UNRESOLVED = "unresolved"


class Act(StrEnum):
    """What can happen to a lead."""

    ACKNOWLEDGE = "acknowledge"
    OPEN_REVIEW = "open_review"
    CLOSE_INCONCLUSIVE = "close_inconclusive"
    RELEASE = "release"
    REPORT_OUTCOME = "report_outcome"
    EXTEND = "extend"
    GRANT_APPROVAL = "grant_approval"
    LAPSE_APPROVAL = "lapse_approval"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"


_ENDING: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {Act.WITHDRAW: ReviewState.WITHDRAWN, Act.EXPIRE: ReviewState.EXPIRED}
)
ENDED: Final = frozenset(_ENDING.values())
"""Nobody may use the lead any more, nor look at whom it lists."""
_NEVER_SEARCHED: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {Act.ACKNOWLEDGE: ReviewState.UNREVIEWED, **_ENDING}
)
_NOBODY_FOUND: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {
        Act.ACKNOWLEDGE: ReviewState.UNREVIEWED,
        Act.RELEASE: ReviewState.RELEASED,
        Act.EXTEND: ReviewState.UNREVIEWED,
        Act.GRANT_APPROVAL: ReviewState.UNREVIEWED,
        Act.LAPSE_APPROVAL: ReviewState.WITHDRAWN,
        **_ENDING,
    }
)
_UNREVIEWED: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {
        Act.ACKNOWLEDGE: ReviewState.UNREVIEWED,
        Act.OPEN_REVIEW: ReviewState.IN_REVIEW,
        Act.EXTEND: ReviewState.UNREVIEWED,
        Act.GRANT_APPROVAL: ReviewState.UNREVIEWED,
        Act.LAPSE_APPROVAL: ReviewState.WITHDRAWN,
        **_ENDING,
    }
)
_IN_REVIEW: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {
        Act.CLOSE_INCONCLUSIVE: ReviewState.INCONCLUSIVE,
        Act.RELEASE: ReviewState.RELEASED,
        Act.EXTEND: ReviewState.IN_REVIEW,
        Act.GRANT_APPROVAL: ReviewState.IN_REVIEW,
        Act.LAPSE_APPROVAL: ReviewState.WITHDRAWN,
        **_ENDING,
    }
)
_RELEASED_NOBODY: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {
        Act.EXTEND: ReviewState.RELEASED,
        Act.GRANT_APPROVAL: ReviewState.RELEASED,
        Act.LAPSE_APPROVAL: ReviewState.WITHDRAWN,
        **_ENDING,
    }
)
_RELEASED: Final[Mapping[Act, ReviewState]] = MappingProxyType(
    {Act.REPORT_OUTCOME: ReviewState.RELEASED, **_RELEASED_NOBODY}
)
_TOLD: Final[Mapping[Act, ReviewState]] = MappingProxyType({Act.WITHDRAW: ReviewState.WITHDRAWN})
_ENDED: Final[Mapping[Act, ReviewState]] = MappingProxyType({})

TRANSITIONS: Final[Mapping[tuple[LeadResult, ReviewState], Mapping[Act, ReviewState]]] = MappingProxyType(
    {
        (LeadResult.CANDIDATES, ReviewState.UNREVIEWED): _UNREVIEWED,
        (LeadResult.CANDIDATES, ReviewState.IN_REVIEW): _IN_REVIEW,
        (LeadResult.CANDIDATES, ReviewState.RELEASED): _RELEASED,
        (LeadResult.CANDIDATES, ReviewState.WITHDRAWN): _ENDED,
        (LeadResult.CANDIDATES, ReviewState.EXPIRED): _ENDED,
        (LeadResult.NO_CANDIDATE, ReviewState.UNREVIEWED): _NOBODY_FOUND,
        (LeadResult.NO_CANDIDATE, ReviewState.RELEASED): _RELEASED_NOBODY,
        (LeadResult.NO_CANDIDATE, ReviewState.WITHDRAWN): _ENDED,
        (LeadResult.NO_CANDIDATE, ReviewState.EXPIRED): _ENDED,
        (LeadResult.INCONCLUSIVE, ReviewState.INCONCLUSIVE): _TOLD,
        (LeadResult.INCONCLUSIVE, ReviewState.WITHDRAWN): _ENDED,
        (LeadResult.REJECTED_QUALITY, ReviewState.UNREVIEWED): _NEVER_SEARCHED,
        (LeadResult.REJECTED_QUALITY, ReviewState.WITHDRAWN): _ENDED,
        (LeadResult.REJECTED_QUALITY, ReviewState.EXPIRED): _ENDED,
    }
)
"""Acts that are not listed are forbidden, and a result with a state that is not listed cannot be.

`RELEASE` and `CLOSE_INCONCLUSIVE` are the two acts that may change the result: see `release` and `close_inconclusive`.
An inconclusive lead names nobody, so nothing of it expires; that it was told can still be taken back (P19).
"""

LIVE_STATES: Final = (ReviewState.UNREVIEWED, ReviewState.IN_REVIEW, ReviewState.RELEASED)
"""A lead in one of these states can still be followed up: what ends when its authority ends (P08)."""


@dataclass(frozen=True, slots=True)
class Lead:
    """What the rules look at."""

    lead_id: str
    result: LeadResult
    review_state: ReviewState = ReviewState.UNREVIEWED
    approval: LeadApproval = LeadApproval.NOT_NEEDED
    acknowledged_by: str | None = None
    outcome: Outcome = Outcome.NONE

    @property
    def is_live(self) -> bool:
        return self.review_state in LIVE_STATES


def permits(lead: Lead, act: Act) -> bool:
    """Whether the table has this act for the lead as it stands; the act itself may ask for more."""
    return act in TRANSITIONS.get((lead.result, lead.review_state), _ENDED)


def acknowledge(lead: Lead, account: str) -> Lead:
    """The lead as taken by `account`; unchanged when that person has it already, however far it has come since.

    Raises ConflictError when the lead has ended or somebody else took it first.
    """
    if lead.is_live and lead.acknowledged_by is not None:
        if not same_person(lead.acknowledged_by, account):
            raise ConflictError(f"Lead {lead.lead_id} is taken: {lead.acknowledged_by} acknowledged it first.")
        return lead
    return replace(_step(lead, Act.ACKNOWLEDGE), acknowledged_by=account)


def open_review(lead: Lead) -> Lead:
    """The lead as open for its peer review. Raises ConflictError unless somebody has taken responsibility for it."""
    return _step(_taken(lead, Act.OPEN_REVIEW), Act.OPEN_REVIEW)


def close_inconclusive(lead: Lead) -> Lead:
    """The lead as inconclusive: the examiners could not tell, or could not agree. Raises ConflictError."""
    return replace(_step(lead, Act.CLOSE_INCONCLUSIVE), result=LeadResult.INCONCLUSIVE)


def release(lead: Lead, candidates: int) -> Lead:
    """The lead as released with so many candidates; with none the result is that nobody was found (P17).

    Raises ConflictError, also when nobody has taken responsibility for it.
    """
    after = _step(_taken(lead, Act.RELEASE), Act.RELEASE)
    return after if candidates else replace(after, result=LeadResult.NO_CANDIDATE)


def report_outcome(lead: Lead, outcome: Outcome) -> Lead:
    """The lead with what independent evidence said (P18). Only an unresolved outcome may be followed by another.

    Raises ConflictError when the lead is not with the requestor or its outcome is known.
    """
    after = _step(lead, Act.REPORT_OUTCOME)
    if lead.outcome not in {Outcome.NONE, Outcome.UNRESOLVED} or outcome in {Outcome.NONE, lead.outcome}:
        raise ConflictError(f"Lead {lead.lead_id} is {lead.outcome.value} already: withdraw it if that was wrong.")
    return replace(after, outcome=outcome)


def extend(lead: Lead) -> Lead:
    """The lead with more time (P18). Raises ConflictError when it has ended."""
    return _step(lead, Act.EXTEND)


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
    """The lead as expired, since nobody reported an outcome (P18).

    Raises ConflictError when it has ended already, or its outcome is known.
    """
    if lead.outcome is not Outcome.NONE:
        raise ConflictError(f"Lead {lead.lead_id} is {lead.outcome.value}: it does not expire.")
    return _step(lead, Act.EXPIRE)


def _taken(lead: Lead, act: Act) -> Lead:
    if lead.acknowledged_by is None:
        name = act.value.replace("_", " ")
        raise ConflictError(f"Nobody has acknowledged lead {lead.lead_id} yet: cannot {name}.")
    return lead


def _with_pending_approval(lead: Lead, act: Act) -> Lead:
    after = _step(lead, act)
    if lead.approval is not LeadApproval.PENDING:
        raise ConflictError(f"Lead {lead.lead_id} waits for no approval.")
    return after


def _step(lead: Lead, act: Act) -> Lead:
    following = TRANSITIONS.get((lead.result, lead.review_state), _ENDED).get(act)
    if following is None:
        name = act.value.replace("_", " ")
        raise ConflictError(f"Lead {lead.lead_id} is {lead.review_state.value} ({lead.result.value}): cannot {name}.")
    return replace(lead, review_state=following)
