"""How long a search is kept, by how it ended (P24). Pure: no I/O here.

What was never released goes so many days after its end, as the policy says for that end. What was released may be what
frees somebody: it is held until the case's disposition is recorded, and for some time after that. A legal hold keeps
everything.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from rtcc_bridge.leads.lead import LIVE_STATES, LeadResult, ReviewState
from rtcc_bridge.policy.policy_parts import Outcome, RetentionRule
from rtcc_bridge.probes.state import ProbeState
from rtcc_bridge.storage.retention import RetentionFacts

RELEASED: Final = "released"
"""The outcome of what went to a requestor, beside those of the policy."""


class Kept(StrEnum):
    """Why something is kept."""

    UNDER_WAY = "under_way"
    """Somebody may still work on it."""
    PERIOD = "period"
    """Its time is not over."""
    CASE_OPEN = "case_open"
    """It was released, and nobody has recorded how the case was disposed of."""
    HELD = "held"
    """A legal hold stands, whatever its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a search stands. outcome, ended_at: none while it has not ended. due_at: none while nobody can say.

    kept: none when it is to be purged now.
    """

    outcome: str | None
    ended_at: datetime | None
    due_at: datetime | None
    kept: Kept | None


def standing_of(facts: RetentionFacts, rule: RetentionRule, now: datetime) -> Standing:
    """Where the search stands at that moment."""
    if facts.is_released:
        outcome, ended_at, due_at = RELEASED, facts.lead_stepped_at, None
        # A disposition from before the release is not of what was released: the case was taken up again.
        if facts.disposed_at is not None and (facts.released_at is None or facts.released_at <= facts.disposed_at):
            due_at = facts.disposed_at + timedelta(days=rule.after_disposition_days)
        kept = Kept.CASE_OPEN
    else:
        ended = _ended(facts)
        if ended is None:
            return Standing(outcome=None, ended_at=None, due_at=None, kept=Kept.UNDER_WAY)
        (outcome, ended_at), kept = ended, Kept.PERIOD
        due_at = ended_at + timedelta(days=rule.days[Outcome(outcome)])
    if facts.is_held:
        return Standing(outcome=outcome, ended_at=ended_at, due_at=due_at, kept=Kept.HELD)
    is_due = due_at is not None and due_at <= now
    return Standing(
        outcome=outcome,
        ended_at=ended_at,
        due_at=due_at,
        kept=None if is_due else kept if due_at is None else Kept.PERIOD,
    )


def _ended(facts: RetentionFacts) -> tuple[str, datetime] | None:
    """How and when a search ended of which nothing was released; None while somebody may still work on it."""
    if facts.lead_id is None or facts.lead_stepped_at is None:
        return _ended_without_lead(facts)
    if facts.result == LeadResult.REJECTED_QUALITY:  # nothing can ever come of it, whether it was looked at or not
        return Outcome.REJECTED_QUALITY.value, facts.stepped_at
    if facts.review_state in LIVE_STATES:
        return None
    return _outcome_of_lead(facts).value, facts.lead_stepped_at


def _outcome_of_lead(facts: RetentionFacts) -> Outcome:
    if facts.state == ProbeState.REFUSED:
        return Outcome.REFUSED
    if facts.review_state == ReviewState.WITHDRAWN:
        return Outcome.WITHDRAWN
    if facts.result == LeadResult.NO_CANDIDATE:
        return Outcome.NO_CANDIDATE
    return Outcome.INCONCLUSIVE if facts.result == LeadResult.INCONCLUSIVE else Outcome.EXPIRED


def _ended_without_lead(facts: RetentionFacts) -> tuple[str, datetime] | None:
    """A still that nobody goes on with is no search under way: it expires like a lead, from its last step on."""
    match facts.state:
        case ProbeState.REFUSED:
            return Outcome.REFUSED.value, facts.stepped_at
        case ProbeState.WITHDRAWN:
            return Outcome.WITHDRAWN.value, facts.stepped_at
        case ProbeState.FACES_FOUND | ProbeState.AWAITING_APPROVAL:
            return Outcome.EXPIRED.value, facts.stepped_at
        case _:
            return None
