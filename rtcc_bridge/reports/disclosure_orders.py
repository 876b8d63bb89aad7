"""Orders to identify everybody on a list for a court: one person asks, another approves, one packet is made (P17).

A packet names whom two examiners agreed on and who was released. The others it names on such an order alone: else one
administrator could have, of any lead that ended, what no examiner has concluded on.
"""

import secrets
from collections.abc import Sequence, Set
from datetime import datetime
from typing import Any, Final

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError
from rtcc_bridge.leads.examiners import require_never_examines
from rtcc_bridge.policy import case_numbers, disclosure
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.disclosure import DisclosureOrderFacts
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.reasons import stated_words
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.reports.whole_lead import find_lead, searches_of_case
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.orders import DISCLOSURE_ORDERS, DisclosureOrderRecord

MOST_LISTED: Final = 200
_ASK: Final = "lead.ask_disclosure"
_APPROVE: Final = "lead.approve_disclosure"
_SEE: Final = "lead.see_disclosures"


class DisclosureOrderDesk:
    """Where disclosures are asked for and approved. Nobody on a list is named here."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts

    async def ask(
        self, account: Account, court_order: str, *, lead_id: str | None = None, case_number: str | None = None
    ) -> DisclosureOrderRecord:
        """The first of two people. That permits nothing yet. Commits.

        Of a case it is for the leads that it has at this moment. court_order: which one it rests on, in words. Raises
        PolicyRefusalError (P10; P12: an analyst), NotFoundError (no such lead, none of this case), InvalidInputError
        (not one of the two, no order), UnavailableError.
        """
        async with self._parts.watching(account, _ASK, lead_id or "case"):
            require_permission(account, Deed.ASK_DISCLOSURE)
            require_never_examines(account)
            words = stated_words(court_order, "the order of the court")
            record = DisclosureOrderRecord(
                order_id=secrets.token_urlsafe(16),
                lead_ids=await self._leads(lead_id, case_number),
                court_order=words,
                asked_by=account.name,
                asked_at=self._parts.clock.now(),
            )
            async with self._parts.database.write() as tx:
                await DISCLOSURE_ORDERS.add(tx, record)
                await self._tell(tx, account, _ASK, record, "asked", {"courtOrder": words})
        return record

    async def approve(self, account: Account, order_id: str) -> DisclosureOrderRecord:
        """The second person, who is another one by any account. Commits.

        Raises PolicyRefusalError (P10; P12: an analyst; P17: the same person, or the order is older than a day),
        NotFoundError, ConflictError (approved before), UnavailableError.
        """
        async with self._parts.watching(account, _APPROVE, order_id):
            require_permission(account, Deed.APPROVE_DISCLOSURE)
            require_never_examines(account)
            now = self._parts.clock.now()
            async with self._parts.database.write() as tx:
                found = await _find(tx, order_id, lock=True)
                disclosure.require_other_person(account, asked_by=found.asked_by)
                if found.approved_by is not None:
                    raise ConflictError("This disclosure was approved before.")
                disclosure.require_fresh(found.asked_at, now)
                approved = await DISCLOSURE_ORDERS.approve(tx, found, approved_by=account.name, at=now)
                await self._tell(tx, account, _APPROVE, found, "approved", {"askedBy": found.asked_by})
        return approved

    async def every(self, account: Account) -> Sequence[DisclosureOrderRecord]:
        """The newest first. Each look is audited. Raises PolicyRefusalError (P10; P12), UnavailableError."""
        async with self._parts.watching(account, _SEE, "leads"):
            require_permission(account, Deed.SEE_DISCLOSURES)
            require_never_examines(account)
        async with self._parts.database.write() as tx:
            await self._parts.note(tx, account, _SEE, "leads", "shown", {})
            return await DISCLOSURE_ORDERS.newest(tx, MOST_LISTED)

    async def _leads(self, lead_id: str | None, case_number: str | None) -> Sequence[str]:
        if (lead_id is None) == (case_number is None):
            raise InvalidInputError("Name a lead, or a case.", "fields")
        if lead_id is not None:
            return [(await find_lead(self._parts.database, lead_id)).lead_id]
        async with self._parts.database.read() as tx:
            found = await searches_of_case(tx, case_numbers.case_number(str(case_number)))
        of_case = [lead.lead_id for _, lead in found if lead is not None]
        if not of_case:
            raise NotFoundError("No lead belongs to this case.")
        return of_case

    async def _tell(
        self,
        tx: Transaction,
        account: Account,
        action: str,
        order: DisclosureOrderRecord,
        outcome: str,
        details: dict[str, Any],
    ) -> None:
        """An entry for each lead, so that the packet of each tells who wanted this and on what."""
        for lead_id in order.lead_ids:
            await self._parts.note(tx, account, action, lead_id, outcome, {"order": order.order_id, **details})


async def require_order(
    tx: Transaction, order_id: str, lead_ids: Set[str], now: datetime, *, lock: bool = False
) -> DisclosureOrderRecord:
    """The order by which a packet of these leads identifies everybody on the lists that it is for.

    Raises NotFoundError, PolicyRefusalError (P17).
    """
    order = await _find(tx, order_id, lock=lock)
    facts = DisclosureOrderFacts(
        lead_ids=frozenset(order.lead_ids),
        asked_by=order.asked_by,
        approved_by=order.approved_by,
        approved_at=order.approved_at,
        made=order.made_at is not None,
    )
    disclosure.require_disclosure_order(facts, lead_ids, now)
    return order


async def _find(tx: Transaction, order_id: str, *, lock: bool = False) -> DisclosureOrderRecord:
    found = await DISCLOSURE_ORDERS.find(tx, order_id, lock=lock)
    if found is None:
        raise NotFoundError("There is no such order: an administrator asks for one (POST /api/v1/disclosure-orders).")
    return found
