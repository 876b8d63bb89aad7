"""How a lead stands for whoever may release it. Nobody is told who may still be asked what they think of it (P12)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.leads import opinions, rounds
from rtcc_bridge.leads.agreement import Agreement, ListOutcome
from rtcc_bridge.leads.comparison import Aid
from rtcc_bridge.leads.examiners import decides_and_never_examines
from rtcc_bridge.leads.lead import LeadResult
from rtcc_bridge.leads.life_parts import LifeParts, locked
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.storage import examinations
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.leads import LeadRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """agreed: what the examiners say alike, by the lead's references; None while somebody has to conclude.

    aids: what examiners have used overlay and blink on, by those references; nothing before they agree.

    Whether a second or a third examiner is waited for is not told: that would tell whether two have differed.
    """

    lead: LeadRecord
    agreed: Agreement | None
    aids: Mapping[str, Collection[Aid]] = field(default_factory=dict)


class StandingDesk:
    """Where those who release a lead look how far it is."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def of_lead(self, lead_id: str, account: Account) -> Standing:
        """For whoever took the lead, once they have concluded, and for supervisors who examine nothing themselves.

        Each look at what they agree on is audited before it is had.

        Raises PolicyRefusalError (P10; P12: everybody else), NotFoundError.
        """
        action = "lead.standing"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.RELEASE_LEAD)
            async with self._parts.database.write() as tx:
                lead = await locked(tx, lead_id)
                await _require_concluded(tx, account, lead)
                agreed = await _agreed(tx, lead)
                if agreed is None:  # nothing of it is told
                    return Standing(lead, None)
                await self._parts.note(tx, account, action, lead_id, "shown")
                return Standing(lead, agreed, await opinions.aids_used(tx, lead_id))


async def _require_concluded(tx: Transaction, account: Account, lead: LeadRecord) -> None:
    """P12. Raises PolicyRefusalError."""
    if decides_and_never_examines(account):
        return
    if lead.acknowledged_by is None or not same_person(lead.acknowledged_by, account.name):
        raise PolicyRefusalError(
            "P12", "How this lead stands is told to whoever took it: you may be asked to review it blind."
        )
    own = await examinations.of_round(tx, lead.lead_id, rounds.FIRST)
    if own is not None and own.filed_at is None and own.closed_at is None:
        raise PolicyRefusalError("P12", "Conclude first: until then nothing of this lead's examination is told.")


async def _agreed(tx: Transaction, lead: LeadRecord) -> Agreement | None:
    """A search that found nobody was decided by the search."""
    if lead.result == LeadResult.NO_CANDIDATE:
        return Agreement(ListOutcome.NO_CANDIDATE, {})
    return await opinions.standing(tx, lead.lead_id)
