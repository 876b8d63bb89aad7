"""Handing a third examination on (P12): no lead waits for somebody who has left, and nobody chooses who is next.

A third examination is taken from its examiner when they do not examine here any more, when their certificates ended
before they began, when they have got another part in the lead, or when they have not concluded in the policy's time.
The system asks somebody else, who gets an order and references of their own; what the first one noted is gone. It is no
step of the lead: the topic has no event for it, as it has none for the first assignment.
"""

from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Final, NoReturn

import structlog

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.leads import opinions, rounds
from rtcc_bridge.leads.examiners import CasePeople, people_of, third_examiner
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.periodic import periodically
from rtcc_bridge.policy.accounts import NOBODY, Account, same_person
from rtcc_bridge.storage import examinations, leads
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.leads import LeadRecord

_EVERY_SECONDS: Final = 60.0
_AT_ONCE: Final = 100
_ACTION: Final = "review.hand_over"

_log = structlog.get_logger(__name__)


class Why(StrEnum):
    """Why somebody else is asked."""

    NOBODY_YET = "nobody_was_left"
    LOST_RIGHT = "may_not_examine"
    HAS_A_PART = "has_a_part"
    TOO_LONG = "not_concluded_in_time"


class ThirdExaminerWatch:
    """Looks now and then. Two processes at once do no harm: each step is taken if nobody was faster."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def run(self) -> NoReturn:
        """Until it is cancelled. An outage of the database is waited for; any other error ends it."""
        look = partial(hand_over_due, self._parts)
        await periodically("handing over third examinations", look, every_seconds=_EVERY_SECONDS)


async def hand_over_due(parts: LifeParts) -> int:
    """Hands on the third examinations that wait for the wrong one, each in a transaction of its own. Commits.

    Returns how many. Where nobody can be asked, an examiner who may conclude keeps it; without such a one the lead
    closes as inconclusive when the policy's time is over. Raises UnavailableError.
    """
    handed = 0
    for lead_id, examination_id in await _due(parts):
        async with parts.on_lead(lead_id, _ACTION) as (tx, lead):
            review = await examinations.find(tx, examination_id, lock=True)
            if review is not None and review.filed_at is None and review.closed_at is None:
                handed += await _hand_over(parts, tx, lead, review)
    return handed


async def _due(parts: LifeParts) -> list[tuple[str, str]]:
    """Lead and examination, as they are before anything is locked."""
    async with parts.database.read() as tx:
        return [
            (lead.lead_id, review.examination_id)
            for review in await examinations.unfiled_of_round(tx, rounds.THIRD, _AT_ONCE)
            if (lead := await leads.find(tx, str(review.lead_id))) is not None
            and await _why(parts, tx, review, await people_of(tx, lead, but_round=rounds.THIRD)) is not None
        ]


async def _hand_over(parts: LifeParts, tx: Transaction, lead: LeadRecord, review: ExaminationRecord) -> bool:
    people = await people_of(tx, lead, but_round=rounds.THIRD)
    why = await _why(parts, tx, review, people)
    if why is None:
        return False
    before = str(review.reserved_for)
    asked = [person for _, person in await examinations.handed_over(tx, lead.lead_id)]
    after = await third_examiner(tx, parts.examiners, people, (*asked, before))
    if after is None:
        if why is not Why.TOO_LONG and _is_late(parts, review):
            await opinions.close_inconclusive(parts, tx, lead)
        return False
    await _ask(parts, tx, lead, review, after, why)
    return True


async def _ask(
    parts: LifeParts, tx: Transaction, lead: LeadRecord, review: ExaminationRecord, after: Account, why: Why
) -> None:
    now = parts.clock.now()
    await examinations.hand_over(tx, review, why, now)
    opened = await rounds.open_blind(tx, lead, rounds.THIRD, now, reserved_for=after.person)
    await parts.audit.append(
        tx,
        actor=SYSTEM,
        action=_ACTION,
        subject=lead.lead_id,
        outcome="handed_over",
        authority={},
        details={
            "reason": why.value,
            "review": review.examination_id,
            "from": review.reserved_for,
            "into": opened.examination_id,
            "to": after.person,
        },
    )
    _log.info("a third examination was handed over", lead_id=lead.lead_id, reason=why.value)


async def _why(parts: LifeParts, tx: Transaction, review: ExaminationRecord, people: CasePeople) -> Why | None:
    """None while it is with the right one."""
    holder = str(review.reserved_for)
    if holder == NOBODY.person:
        return Why.NOBODY_YET
    if any(same_person(holder, name) for name in people.names):
        return Why.HAS_A_PART
    if not await _may_conclude(parts, tx, review, holder):
        return Why.LOST_RIGHT
    return Why.TOO_LONG if _is_late(parts, review) else None


async def _may_conclude(parts: LifeParts, tx: Transaction, review: ExaminationRecord, holder: str) -> bool:
    """Whoever has begun may finish without certificates (P10)."""
    if review.taken_at is not None:
        return await parts.examiners.may_finish(tx, holder)
    return holder in {one.person for one in await parts.examiners.everybody(tx)}


def _is_late(parts: LifeParts, review: ExaminationRecord) -> bool:
    return parts.clock.now() - review.opened_at >= timedelta(hours=parts.policy.review.third_within_hours)
