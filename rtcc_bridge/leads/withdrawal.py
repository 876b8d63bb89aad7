"""Taking a lead back (P19), and the ledger of everybody who has had it."""

from collections.abc import Sequence

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError
from rtcc_bridge.leads.lead import ENDED
from rtcc_bridge.leads.life_parts import LifeParts, locked
from rtcc_bridge.leads.parts import BY_A_PERSON
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.faces import MAX_REASON_CHARACTERS
from rtcc_bridge.storage import leads, releases
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.releases import ReceiverRecord


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
            stated = stated_reason(reason)
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
                if lead.review_state not in ENDED:
                    raise ConflictError("This lead was not taken back.")
                if await releases.acknowledge_withdrawal(tx, lead_id, account.person, self._parts.clock.now()):
                    await self._parts.note(tx, account, action, lead_id, "acknowledged")

    async def receivers(self, lead_id: str, account: Account) -> Sequence[ReceiverRecord]:
        """Everybody who has had the lead, and who knows of its end.

        Each look that names somebody is audited before it is had; the page of a lead that nobody had looks every few
        seconds. Raises PolicyRefusalError (P10), NotFoundError, UnavailableError.
        """
        action = "lead.receivers"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.SEE_RECEIVERS)
        async with self._parts.database.read() as tx:
            if await leads.find(tx, lead_id) is None:
                raise NotFoundError("There is no such lead.")
            found = await releases.receivers(tx, lead_id)
        if found:
            async with self._parts.database.write() as tx:
                await self._parts.note(tx, account, action, lead_id, "shown")
        return found


def stated_reason(reason: str) -> str:
    """Raises InvalidInputError when there is none, or it is too long."""
    stated = reason.strip()
    if not 0 < len(stated) <= MAX_REASON_CHARACTERS:
        raise InvalidInputError(f"State a reason of at most {MAX_REASON_CHARACTERS} characters.", "fields")
    return stated
