"""The first examination: of the list, by whoever took the lead (P13)."""

from rtcc_bridge.errors import ConflictError, PolicyRefusalError
from rtcc_bridge.leads import opinions, rounds
from rtcc_bridge.leads.comparison import AidUse, Opinion
from rtcc_bridge.leads.examiners import require_examiner
from rtcc_bridge.leads.gates import require_usable
from rtcc_bridge.leads.lead import ReviewState
from rtcc_bridge.leads.life_parts import LifeParts, locked
from rtcc_bridge.leads.opinions import Worksheet
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.storage import examinations
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import ExaminationRecord


class ExaminationDesk:
    """Where whoever took a lead examines it."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def view(self, lead_id: str, account: Account) -> Worksheet:
        """The list and the examiner's own notes; each look is audited before it is had.

        Raises PolicyRefusalError (P10; P01, P02, P07, P08: its incident ends it; P12: it is another analyst's; P14,
        P18: its time is over), NotFoundError, ConflictError (not taken yet).
        """
        action = "examination.view"
        async with self._parts.watching(account, action, lead_id):
            require_examiner(account, Deed.EXAMINE_LEAD)
            async with self._parts.database.write() as tx:
                examination = await self.own(tx, lead_id, account)
                await self._parts.note(tx, account, action, lead_id, "shown")
                return await opinions.worksheet_of(tx, examination)

    async def keep(self, lead_id: str, account: Account, opinion: Opinion) -> Worksheet:
        """Keeps what the examiner has noted so far. Raises as `view` and `opinions.keep` do."""
        async with self._parts.watching(account, "examination.keep", lead_id):
            require_examiner(account, Deed.EXAMINE_LEAD)
            async with self._parts.on_lead(lead_id, "examination.keep") as (tx, _):
                examination = await self.own(tx, lead_id, account)
                return await opinions.keep(self._parts, tx, examination, opinion)

    async def use_aid(self, lead_id: str, account: Account, use: AidUse) -> Worksheet:
        """Notes that overlay or blink is used, before it is. Raises as `view` and `opinions.use_aid` do."""
        async with self._parts.watching(account, opinions.AID_USED, lead_id):
            require_examiner(account, Deed.EXAMINE_LEAD)
            async with self._parts.on_lead(lead_id, opinions.AID_USED) as (tx, _):
                examination = await self.own(tx, lead_id, account)
                return await opinions.use_aid(self._parts, tx, examination, use, account)

    async def conclude(self, lead_id: str, account: Account, opinion: Opinion) -> Worksheet:
        """Files the conclusion, whatever it is, and opens the peer review where it is not open yet.

        Raises as `view` and `opinions.file` do.
        """
        action = "examination.conclude"
        async with self._parts.watching(account, action, lead_id):
            require_examiner(account, Deed.EXAMINE_LEAD)
            async with self._parts.on_lead(lead_id, action) as (tx, lead):
                examination = await self.own(tx, lead_id, account)
                filed = await opinions.file(self._parts, tx, examination, opinion, account)
                if lead.review_state == ReviewState.UNREVIEWED:
                    await self._parts.leads.open_review(tx, lead, account.name)
                else:  # on the imminent lane the reviewer may have concluded before
                    await opinions.settle(self._parts, tx, lead)
                return filed

    async def own(self, tx: Transaction, lead_id: str, account: Account) -> ExaminationRecord:
        """The first examination, for its own examiner. Raises as `view` does.

        The others are refused whether or not they have a part in the lead: an analyst may be asked to review it blind.
        """
        lead = await locked(tx, lead_id)
        if lead.acknowledged_by is not None and not same_person(lead.acknowledged_by, account.name):
            raise PolicyRefusalError(
                "P12", "Another analyst took this lead: its list is theirs, and you may be asked to review it blind."
            )
        await require_usable(tx, lead, self._parts.policy, self._parts.clock.now())
        examination = await examinations.of_round(tx, lead_id, rounds.FIRST, lock=True)
        if examination is None:
            raise ConflictError("Acknowledge the lead first. One that lists nobody has nothing to examine.")
        return examination
