"""Taking a lead back (P19), and the ledger of everybody who has had it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads import ledger
from rtcc_bridge.leads.lead import ENDED
from rtcc_bridge.leads.ledger import Outstanding, Receiver, ReceiverKind
from rtcc_bridge.leads.life_parts import LifeParts, locked
from rtcc_bridge.leads.parts import BY_A_PERSON
from rtcc_bridge.policy.accounts import Account, Role, same_person
from rtcc_bridge.policy.permissions import Deed, may, require_permission
from rtcc_bridge.probes.reasons import stated_words
from rtcc_bridge.storage import leads, outside_receivers, releases
from rtcc_bridge.storage.leads import LeadRecord

MOST_OUTSTANDING: Final = 200


class WithdrawalDesk:
    """Where leads are taken back."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def withdraw(self, lead_id: str, account: Account, reason: str) -> LeadRecord:
        """Withdraws the lead at any time, with a reason that stays in the audit log.

        Raises PolicyRefusalError (P10), NotFoundError, InvalidInputError (no reason), ConflictError (ended already).
        """
        action = "lead.withdraw"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.WITHDRAW_LEAD)
            stated = stated_words(reason, "a reason")
            async with self._parts.on_lead(lead_id, action) as (tx, lead):
                await self._parts.leads.withdraw_all(tx, [lead], BY_A_PERSON, stated, account.name)
                return await locked(tx, lead_id)

    async def acknowledge(self, lead_id: str, account: Account) -> None:
        """A receiver says that they know that the lead is not to be used any more; once more changes nothing.

        Raises PolicyRefusalError (P10), NotFoundError (no lead, or it was never theirs), ConflictError (still valid).
        """
        action = "lead.acknowledge_withdrawal"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.RECEIVE_LEAD)
            async with self._parts.database.write() as tx:
                lead = await locked(tx, lead_id)
                if account.person not in {one.account for one in await releases.receivers(tx, lead_id)}:
                    raise NotFoundError("You have not received this lead.")
                _require_ended(lead)
                if await releases.acknowledge_withdrawal(tx, lead_id, account.person, self._parts.clock.now()):
                    await self._parts.note(tx, account, action, lead_id, "acknowledged")

    async def answer_for(self, lead_id: str, receiver_id: str, account: Account, told_at: datetime, how: str) -> None:
        """Says of a receiver who has no account here that they were told, when and how; once more changes nothing.

        For whoever handed the lead over, and for administrators. Raises PolicyRefusalError (P10), NotFoundError,
        InvalidInputError (not said how; not told between the end and now), ConflictError (still valid).
        """
        action = "lead.answer_for_receiver"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.ANSWER_FOR_RECEIVER)
            stated = stated_words(how, "how they were told")
            async with self._parts.database.write() as tx:
                lead = await locked(tx, lead_id)
                receiver = await outside_receivers.find(tx, lead_id, receiver_id)
                if receiver is None:
                    raise NotFoundError("This lead was not handed to such a receiver.")
                if not may_answer(account, receiver.handed_over_by):
                    raise PolicyRefusalError(
                        "P10", "Whoever handed the lead over says that its receiver was told, or an administrator."
                    )
                now = self._parts.clock.now()
                _require_ended(lead)
                if not lead.updated_at.replace(second=0, microsecond=0) <= told_at <= now:  # people give minutes
                    raise InvalidInputError(
                        "State when they were told: after the lead ended, and before now.", "fields"
                    )
                if await outside_receivers.acknowledge(
                    tx, receiver_id, by=account.person, at=now, told_at=told_at, told_how=stated
                ):
                    details = {"receiver": receiver_id, "toldAt": rfc3339(told_at), "how": stated}
                    await self._parts.note(tx, account, action, lead_id, "acknowledged", details)

    async def outstanding(self, account: Account) -> Outstanding:
        """Who has had a lead that ended and is not known to know it; at most `MOST_OUTSTANDING` people, and systems.

        Each look that names somebody is audited before it is had. Raises PolicyRefusalError (P10), UnavailableError.
        """
        action = "lead.outstanding"
        async with self._parts.watching(account, action, "leads"):
            require_permission(account, Deed.SEE_RECEIVERS)
        async with self._parts.database.read() as tx:
            found = await ledger.outstanding(tx, MOST_OUTSTANDING)
        if found.people:
            async with self._parts.database.write() as tx:
                await self._parts.note(tx, account, action, "leads", "shown", {"receivers": len(found.people)})
        return found

    async def receivers(self, lead_id: str, account: Account) -> Sequence[Receiver]:
        """Everybody who has had the lead, and who knows of its end.

        Each look that names somebody is audited before it is had. The page of a lead that nobody but systems had looks
        every few seconds. Raises PolicyRefusalError (P10), NotFoundError, UnavailableError.
        """
        action = "lead.receivers"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.SEE_RECEIVERS)
        async with self._parts.database.read() as tx:
            if await leads.find(tx, lead_id) is None:
                raise NotFoundError("There is no such lead.")
            found = await ledger.everybody(tx, lead_id)
        if any(one.kind is not ReceiverKind.SYSTEM for one in found):
            async with self._parts.database.write() as tx:
                await self._parts.note(tx, account, action, lead_id, "shown")
        return found


def may_answer(account: Account, handed_over_by: str | None) -> bool:
    """Whether the account may say of a receiver outside that they know of a withdrawal."""
    is_theirs = handed_over_by is not None and same_person(handed_over_by, account.name)
    return may(account, Deed.ANSWER_FOR_RECEIVER) and (is_theirs or Role.ADMINISTRATOR in account.roles)


def _require_ended(lead: LeadRecord) -> None:
    if lead.review_state not in ENDED:
        raise ConflictError("This lead was not taken back.")
