"""Legal holds (P24): placed on a case or on one search, lifted, listed. A hold outlives every restoration."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from rtcc_bridge.audit.commitments import Name, NameKind
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError, UnavailableError
from rtcc_bridge.leads.examiners import require_never_examines
from rtcc_bridge.policy import case_numbers
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.reasons import stated
from rtcc_bridge.retention.parts import RetentionParts
from rtcc_bridge.storage import leads, legal_holds, probes, retention
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.legal_holds import LegalHoldRecord

MOST_LISTED: Final = 1000
_PLACE: Final = "retention.hold"
_LIFT: Final = "retention.release_hold"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOrder:
    """What is to be held: one of the three."""

    case_number: str | None = None
    probe_id: str | None = None
    lead_id: str | None = None


class HoldDesk:
    """Where holds are placed and lifted."""

    def __init__(self, parts: RetentionParts) -> None:
        self._parts = parts

    async def place(self, account: Account, order: HoldOrder, reason: str) -> LegalHoldRecord:
        """Holds a case, with what is attached to it later, or one search. Commits.

        Raises PolicyRefusalError (P10; P24: it was purged, there is nothing left to hold), NotFoundError,
        InvalidInputError (no reason; not one thing), ConflictError (a hold stands on it), UnavailableError.
        """
        async with self._parts.watching(account, _PLACE, "retention"):
            require_permission(account, Deed.PLACE_HOLD)
            order = _checked(order)
            why = stated(reason, "A legal hold")
            if order.case_number is not None:
                await self._prepare(order.case_number)
            async with self._parts.database.write() as tx:
                return await self._place(tx, account, order, why)

    async def lift(self, account: Account, hold_id: str, reason: str) -> LegalHoldRecord:
        """Ends a hold: what it kept is purged when it is due, which may be at once. Commits.

        Raises PolicyRefusalError (P10), NotFoundError, InvalidInputError (no reason), ConflictError (lifted before),
        UnavailableError.
        """
        async with self._parts.watching(account, _LIFT, hold_id):
            require_permission(account, Deed.LIFT_HOLD)
            why, now = stated(reason, "Lifting a legal hold"), self._parts.clock.now()
            async with self._parts.database.write() as tx:
                if await legal_holds.find(tx, hold_id, lock=True) is None:
                    raise NotFoundError("There is no such legal hold.")
                if not await legal_holds.lift(tx, hold_id, lifted_by=account.name, at=now, reason=why):
                    raise ConflictError("This legal hold was lifted before.")
                await self._parts.vault.ledger.note_hold(now, hold_id=hold_id, lifted=True)
                await self._parts.note(tx, account.name, _LIFT, hold_id, "lifted", {})
                lifted = await legal_holds.find(tx, hold_id)
        assert lifted is not None
        return lifted

    async def every(self, account: Account, *, standing_only: bool = True) -> Sequence[LegalHoldRecord]:
        """The newest first. Each look is audited, since it shows case numbers.

        Raises PolicyRefusalError (P10; P12: somebody who examines faces).
        """
        action = "retention.holds"
        async with self._parts.watching(account, action, "retention"):
            require_permission(account, Deed.SEE_RETENTION)
            require_never_examines(account)
        async with self._parts.database.write() as tx:
            await self._parts.note(tx, account.name, action, "retention", "shown", {})
            return await legal_holds.page(tx, standing_only=standing_only, limit=MOST_LISTED)

    async def _prepare(self, case_number: str) -> None:
        """The log can name a case of which something is kept; of a purged one no name comes back.

        Where no key can be had for that, the hold is placed all the same, since it is what keeps evidence (P23): its
        entry cites the row of the hold, and the row names the case.
        """
        async with self._parts.database.read() as tx:
            kept = await retention.kept_of_case(tx, case_number)
        if not kept:
            return
        try:
            await self._parts.audit.prepare(Name(NameKind.CASE, case_number))
        except UnavailableError as error:
            _log.warning("a legal hold is entered without a commitment to its case", error=str(error))

    async def _place(self, tx: Transaction, account: Account, order: HoldOrder, why: str) -> LegalHoldRecord:
        """The searches are locked first: a purge that is under way comes before the hold, or sees it."""
        if order.case_number is not None:
            held, probe_id = (
                [found for found, _ in await retention.kept_of_case(tx, order.case_number, lock=True)],
                None,
            )
            if not held:
                raise PolicyRefusalError(
                    "P24",
                    "Nothing that was searched for this case is kept: it was purged, or there never was anything. "
                    "There is nothing left to hold; the list of purges tells what was destroyed and when.",
                )
        else:
            probe_id = await _kept_probe(tx, order)
            held = [probe_id]
        if await legal_holds.standing_on(tx, case_number=order.case_number, probe_id=probe_id) is not None:
            raise ConflictError("A legal hold stands on this already.")
        now = self._parts.clock.now()
        record = LegalHoldRecord(
            hold_id=secrets.token_urlsafe(16),
            case_number=order.case_number,
            probe_id=probe_id,
            reason=why,
            placed_by=account.name,
            placed_at=now,
        )
        await legal_holds.add(tx, record)
        await self._parts.vault.ledger.note_hold(now, hold_id=record.hold_id, probes=held)
        names = {} if order.case_number is None else {"case": Name(NameKind.CASE, order.case_number)}
        details = {"probeId": probe_id, "searches": len(held)}
        await self._parts.note(tx, account.name, _PLACE, record.hold_id, "held", details, names)
        return record


def _checked(order: HoldOrder) -> HoldOrder:
    case = None if order.case_number is None else case_numbers.case_number(order.case_number)
    given = [text.strip() for text in (case, order.probe_id, order.lead_id) if text is not None]
    if len(given) != 1 or not given[0]:
        raise InvalidInputError("Name what is to be held: a case number, a probe, or a lead.", "fields")
    return order if case is None else HoldOrder(case_number=case)


async def _kept_probe(tx: Transaction, order: HoldOrder) -> str:
    """The search that is meant, locked. Raises NotFoundError, PolicyRefusalError when it was purged."""
    probe_id = order.probe_id
    if order.lead_id is not None:
        lead = await leads.find(tx, order.lead_id)
        if lead is None:
            raise NotFoundError("There is no such lead.")
        probe_id = lead.probe_id
    assert probe_id is not None
    probe = await probes.find(tx, probe_id, lock=True)
    if probe is None:
        raise NotFoundError("There is no such probe.")
    if probe.purged_at is not None:
        raise PolicyRefusalError(
            "P24",
            f"This was purged on {probe.purged_at:%Y-%m-%d}: there is nothing left to hold. Its receipt tells what was "
            "destroyed.",
        )
    return probe.probe_id
