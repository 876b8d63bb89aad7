"""The audit log for those who oversee the program: found, read whole, and proved. Each look is an entry itself (P22).

Whoever may have to examine a lead does not look (P12): the moments of others' acts would tell them what they may not
know.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rtcc_bridge.audit.note import VerifierKey
from rtcc_bridge.audit.proofs import LogState, ProofReader, read_state
from rtcc_bridge.audit.receipts import InclusionReceipt
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.leads.examiners import require_never_examines
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.reports.parts import ReportParts, page_end
from rtcc_bridge.storage import audit_search, examinations, leads
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.audit_search import EntryQuery
from rtcc_bridge.storage.engine import Transaction

ACTION: Final = "audit.view"
SHOWN: Final = "shown"
ENTRIES_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A part of what was found, the newest first. next: to be given as `behind` for the rest; None at the end."""

    items: Sequence[AuditEntryRecord]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedEntry:
    """One entry. receipt: what proves it to a stranger; None while no checkpoint covers it. state: of the whole log;
    None before the first checkpoint. finding: what came of checking the receipt here, by the log's own key."""

    record: AuditEntryRecord
    receipt: InclusionReceipt | None
    state: LogState | None
    finding: str

    @property
    def outside(self) -> Sequence[str]:
        """The places outside that have acknowledged a checkpoint over this entry."""
        if self.state is None or self.record.position is None:
            return ()
        return [place for place, size in self.state.acknowledged.items() if size > self.record.position]


class AuditExplorer:
    """Where entries are looked for."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts
        self._proofs = ProofReader(parts.database)

    async def search(
        self, account: Account, query: EntryQuery, about: str = "", behind: str | None = None
    ) -> EntryPage:
        """about: the subject of the entries; where it is a lead or its search, with the other one and with every
        examination of the lead. behind: `next` of the page before.

        Raises PolicyRefusalError (P10; P12: an analyst), InvalidInputError (no such page), BusyError, UnavailableError.
        """
        details = _told(query, about) if behind is None else {**_told(query, about), "behind": behind}
        await self._look(account, "audit", details)
        async with self._parts.database.for_long_statements() as patient, patient.snapshot() as tx:
            wanted = replace(query, subjects=await _spread(tx, about)) if about else query
            found = await audit_search.newest(tx, wanted, await page_end(tx, behind), ENTRIES_AT_ONCE)
        return EntryPage(found, found[-1].entry_id if len(found) == ENTRIES_AT_ONCE else None)

    async def entry(self, account: Account, entry_id: str) -> ProvedEntry:
        """Raises PolicyRefusalError (P10, P12), NotFoundError, UnavailableError."""
        await self._look(account, f"audit/{entry_id}"[:256], {})
        async with self._parts.database.read() as tx:
            record = await audit_search.find(tx, entry_id)
        if record is None:
            raise NotFoundError("The audit log has no such entry.")
        try:
            receipt = await self._proofs.of_leaf(record.leaf_hash)
            state = await read_state(self._parts.database)
        except NotFoundError:
            return ProvedEntry(record=record, receipt=None, state=None, finding="")
        finding = receipt.verify(VerifierKey.read(state.public_key))
        return ProvedEntry(record=record, receipt=receipt, state=state, finding=finding)

    async def receipt(self, account: Account, entry_id: str) -> InclusionReceipt:
        """The proof alone, for whoever does not trust this program. Raises as `entry` does, NotFoundError too while no
        checkpoint covers the entry."""
        found = await self.entry(account, entry_id)
        if found.receipt is None:
            raise NotFoundError("No checkpoint covers this entry yet: try again in a minute.")
        return found.receipt

    async def _look(self, account: Account, subject: str, details: dict[str, Any]) -> None:
        """Enters that somebody looks, before they do. Commits."""
        async with self._parts.watching(account, ACTION, subject):
            require_permission(account, Deed.SEE_AUDIT_LOG)
            require_never_examines(account)
        async with self._parts.database.write() as tx:
            await self._parts.note(tx, account, ACTION, subject, SHOWN, details)


def _told(query: EntryQuery, about: str) -> dict[str, Any]:
    """What was looked for, as the entry of the look has it."""
    asked: dict[str, Any] = {
        "since": rfc3339(query.since),
        "before": rfc3339(query.before),
        "kind": query.kind,
        "actors": sorted(query.actors),
        "about": about,
        "outcome": query.outcome,
    }
    return {name: value for name, value in asked.items() if value}


async def _spread(tx: Transaction, about: str) -> Collection[str]:
    """A lead, its search and its examinations are subjects of their own, and one matter."""
    lead = await leads.find(tx, about) or await leads.of_probe(tx, about)
    if lead is None:
        return {about}
    listed = {one.examination_id for one in await examinations.of_lead(tx, lead.lead_id)}
    replaced = {examination_id for examination_id, _ in await examinations.handed_over(tx, lead.lead_id)}
    return {about, lead.lead_id, lead.probe_id, *listed, *replaced}
