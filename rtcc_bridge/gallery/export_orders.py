"""Orders to export a gallery: one signed-in person asks, another approves (P30), a command carries it out once."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

from rtcc_bridge.errors import ConflictError, NotFoundError
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.reasons import stated
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.orders import EXPORT_ORDERS, ExportOrderRecord

MOST_LISTED: Final = 200
_ASK: Final = "gallery.ask_export"
_APPROVE: Final = "gallery.approve_export"
_SEE: Final = "gallery.see_exports"


class ExportOrderDesk:
    """Where exports are asked for and approved. The words of a reason stay in the database."""

    def __init__(self, parts: GalleryParts) -> None:
        self._parts = parts

    async def ask(self, account: Account, gallery: str, reason: str, *, with_pictures: bool) -> ExportOrderRecord:
        """The first of two people. That permits nothing yet. Commits.

        Raises PolicyRefusalError (P10), NotFoundError when there is no such gallery, InvalidInputError (no reason),
        UnavailableError.
        """
        async with self._parts.watching(account, _ASK, f"gallery/{gallery}"):
            require_permission(account, Deed.ASK_EXPORT)
            why = stated(reason, "An export")
            async with self._parts.database.write() as tx:
                if await galleries.find(tx, gallery) is None:
                    raise NotFoundError(f"There is no gallery {gallery}.")
                record = ExportOrderRecord(
                    order_id=secrets.token_urlsafe(16),
                    gallery=gallery,
                    with_pictures=with_pictures,
                    reason=why,
                    asked_by=account.name,
                    asked_at=self._parts.clock.now(),
                )
                await EXPORT_ORDERS.add(tx, record)
                await self._tell(tx, account, _ASK, record, "asked", {})
        return record

    async def approve(self, account: Account, order_id: str) -> ExportOrderRecord:
        """The second person, who is another one by any account. Commits.

        Raises PolicyRefusalError (P10; P30: the same person, or the order is older than a day), NotFoundError,
        ConflictError (approved before), UnavailableError.
        """
        async with self._parts.watching(account, _APPROVE, order_id):
            require_permission(account, Deed.APPROVE_EXPORT)
            now = self._parts.clock.now()
            async with self._parts.database.write() as tx:
                found = await EXPORT_ORDERS.find(tx, order_id, lock=True)
                if found is None:
                    raise NotFoundError("There is no such order.")
                rules.require_second_person(account, asked_by=found.asked_by)
                if found.approved_by is not None:
                    raise ConflictError("This export was approved before.")
                rules.require_fresh_order(found.asked_at, now)
                approved = await EXPORT_ORDERS.approve(tx, found, approved_by=account.name, at=now)
                await self._tell(tx, account, _APPROVE, found, "approved", {"askedBy": found.asked_by})
        return approved

    async def every(self, account: Account) -> Sequence[ExportOrderRecord]:
        """The newest first. Each look is audited. Raises PolicyRefusalError (P10), UnavailableError."""
        async with self._parts.watching(account, _SEE, "galleries"):
            require_permission(account, Deed.SEE_EXPORTS)
        async with self._parts.database.write() as tx:
            await self._parts.audit.append(
                tx, actor=account.name, action=_SEE, subject="galleries", outcome="shown", authority={}, details={}
            )
            return await EXPORT_ORDERS.newest(tx, MOST_LISTED)

    async def _tell(
        self,
        tx: Transaction,
        account: Account,
        action: str,
        order: ExportOrderRecord,
        outcome: str,
        details: dict[str, Any],
    ) -> None:
        await self._parts.audit.append(
            tx,
            actor=account.name,
            action=action,
            subject=f"gallery/{order.gallery}",
            outcome=outcome,
            authority={"rule": "P30"},
            details={"order": order.order_id, "withPictures": order.with_pictures, **details},
        )
