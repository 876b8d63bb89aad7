"""The blind review (P11, P12): the queue, taking one, and filing an opinion. Seeded cases are among them.

A review says nothing of the lead that it belongs to: it has an id, a lane, references and an order of its own.
"""

from collections.abc import Sequence
from typing import Final

from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads import opinions, rounds
from rtcc_bridge.leads.comparison import AidUse, Opinion
from rtcc_bridge.leads.examiners import CasePeople, people_of, require_examiner, require_independent
from rtcc_bridge.leads.gates import require_usable
from rtcc_bridge.leads.life_parts import LifeParts, locked
from rtcc_bridge.leads.opinions import Worksheet
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.policy.rules import require_certified
from rtcc_bridge.storage import examinations
from rtcc_bridge.storage.engine import Transaction, on_commit
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.leads import LeadRecord

LONGEST_QUEUE: Final = 200


class ReviewDesk:
    """Where analysts review what others have examined, without knowing what those think."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def queue(self, account: Account) -> Sequence[ExaminationRecord]:
        """The reviews that this account has taken or may take. Raises PolicyRefusalError (P10)."""
        async with self._parts.watching(account, "review.queue", "reviews"):
            require_examiner(account, Deed.REVIEW_LEAD)
        async with self._parts.database.read() as tx:
            waiting = await examinations.waiting_reviews(tx, account.person, LONGEST_QUEUE)
        return [one.record for one in waiting if not CasePeople(one.bystanders).have(account)]

    async def take(self, review_id: str, account: Account) -> Worksheet:
        """The account takes the review; once more by the same account changes nothing.

        Raises PolicyRefusalError (P10, without certificates too; P01, P02, P07, P08: its incident ends the lead; P11:
        has a part in the lead; P12: it is for somebody else; P14, P18: its time is over), NotFoundError, ConflictError
        (another account took it, or the lead has ended).
        """
        action = "review.take"
        async with self._parts.watching(account, action, review_id):
            require_examiner(account, Deed.REVIEW_LEAD)
            async with self._parts.database.write() as tx:
                review, lead = await self._locked(tx, review_id)
                await _require_may_review(tx, account, review, lead)
                if review.closed_at is not None:
                    raise ConflictError("This review is needed no longer: take another one.")
                if review.examiner is None:
                    now = self._parts.clock.now()
                    require_certified(account, self._parts.policy, now)
                    review = examinations.taken(review, account.person, now)
                    await examinations.change(tx, review)
                    await self._parts.note(tx, account, action, review_id, "taken")
                _require_taken_by(account, review)
                return await opinions.worksheet_of(tx, review)

    async def view(self, review_id: str, account: Account) -> Worksheet:
        """The list in the reviewer's own order and their own notes; each look is audited before it is had.

        Raises PolicyRefusalError (P10, P12; P01, P02, P07, P08, P14, P18: as `take`), NotFoundError, ConflictError (not
        taken).
        """
        action = "review.view"
        async with self._parts.watching(account, action, review_id):
            require_examiner(account, Deed.REVIEW_LEAD)
            async with self._parts.database.write() as tx:
                review = await self.own(tx, review_id, account)
                await self._parts.note(tx, account, action, review_id, "shown")
                return await opinions.worksheet_of(tx, review)

    async def keep(self, review_id: str, account: Account, opinion: Opinion) -> Worksheet:
        """Keeps what the reviewer has noted so far. Raises as `view` and `opinions.keep` do."""
        async with self._parts.watching(account, "review.keep", review_id):
            require_examiner(account, Deed.REVIEW_LEAD)
            async with self._parts.database.write() as tx:
                review = await self.own(tx, review_id, account)
                return await opinions.keep(self._parts, tx, review, opinion)

    async def use_aid(self, review_id: str, account: Account, use: AidUse) -> Worksheet:
        """Notes that overlay or blink is used, before it is. Raises as `view` and `opinions.use_aid` do."""
        async with self._parts.watching(account, opinions.AID_USED, review_id):
            require_examiner(account, Deed.REVIEW_LEAD)
            async with self._parts.database.write() as tx:
                review = await self.own(tx, review_id, account)
                return await opinions.use_aid(self._parts, tx, review, use, account)

    async def conclude(self, review_id: str, account: Account, opinion: Opinion) -> Worksheet:
        """Files the opinion. What becomes of the lead is not told here: the first one may still be out.

        Of a seeded case nothing becomes; only the administrator sees how it was answered.
        Raises as `view` and `opinions.file` do, and PolicyRefusalError (P11) when the reviewer has got a part in the
        lead since they took it.
        """
        async with self._parts.watching(account, "review.conclude", review_id):
            require_examiner(account, Deed.REVIEW_LEAD)
            async with self._parts.database.write() as tx:
                review, lead = await self._locked(tx, review_id)
                _require_taken_by(account, review)
                await _require_may_review(tx, account, review, lead)
                filed = await opinions.file(self._parts, tx, review, opinion, account)
                if lead is not None:
                    self._observe(tx, filed.examination)
                    await opinions.settle(self._parts, tx, lead)
                return filed

    async def own(self, tx: Transaction, review_id: str, account: Account) -> ExaminationRecord:
        """The review, for its own reviewer. Raises as `view` does."""
        review, _ = await self._locked(tx, review_id)
        _require_taken_by(account, review)
        return review

    async def _locked(self, tx: Transaction, review_id: str) -> tuple[ExaminationRecord, LeadRecord | None]:
        """The lead first, as everywhere, so that no two transactions wait for each other."""
        seen = await examinations.find(tx, review_id)
        if seen is None or seen.round == rounds.FIRST:
            raise NotFoundError("There is no such review.")
        lead = None if seen.lead_id is None else await locked(tx, seen.lead_id)
        if lead is not None:
            await require_usable(tx, lead, self._parts.policy, self._parts.clock.now())
        review = await examinations.find(tx, review_id, lock=True)
        if review is None:
            raise NotFoundError("There is no such review.")
        return review, lead

    def _observe(self, tx: Transaction, review: ExaminationRecord) -> None:
        if review.round != rounds.PEER or review.filed_at is None:
            return
        seconds = (review.filed_at - review.opened_at).total_seconds()
        timer = self._parts.metrics.time_to_peer_review_seconds.labels(review.lane)
        on_commit(tx, lambda: timer.observe(seconds))


async def _require_may_review(
    tx: Transaction, account: Account, review: ExaminationRecord, lead: LeadRecord | None
) -> None:
    if review.reserved_for is not None and not same_person(review.reserved_for, account.name):
        raise PolicyRefusalError("P12", "This review was assigned to somebody else: take one of your own queue.")
    if lead is not None:
        require_independent(account, await people_of(tx, lead, but_round=review.round))


def _require_taken_by(account: Account, review: ExaminationRecord) -> None:
    if review.examiner is None:
        raise ConflictError("Take this review first.")
    if not same_person(review.examiner, account.name):
        raise ConflictError("Another analyst has taken this review: take another one.")
