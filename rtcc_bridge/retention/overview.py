"""What is kept, why, and what will be purged when: for people who look before it happens, and after (P24)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.retention.parts import RetentionParts
from rtcc_bridge.retention.schedule import Standing, standing_of
from rtcc_bridge.storage import purges, retention
from rtcc_bridge.storage.purges import PurgeRecord

MOST_LISTED: Final = 1000
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class KeptSearch:
    """A search and where it stands."""

    probe_id: str
    lead_id: str | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class Preview:
    """kept: all searches that are kept. listed: those that are due until the moment that was asked for, or that a hold
    keeps from it; the soonest first, at most `MOST_LISTED`. due: how many of them no hold keeps."""

    kept: int
    due: int
    listed: Sequence[KeptSearch]


class RetentionOverview:
    """Read-only. Each look is audited (P22)."""

    def __init__(self, parts: RetentionParts) -> None:
        self._parts = parts

    async def preview(self, account: Account, until: datetime) -> Preview:
        """What will have been purged at that moment if nothing else happens, and what a hold keeps from it.

        Raises PolicyRefusalError (P10), UnavailableError.
        """
        await self._look(account, "retention.preview", {"until": until.isoformat()})
        now, rule, after = self._parts.clock.now(), self._parts.rule, ""
        kept, found = 0, list[tuple[datetime, KeptSearch]]()
        while True:
            async with self._parts.database.read() as tx:
                page = await retention.kept(tx, after, _AT_ONCE)
            for facts in page:
                standing = standing_of(facts, rule, now)
                if standing.due_at is not None and standing.due_at <= until:
                    found.append((standing.due_at, KeptSearch(facts.probe_id, facts.lead_id, standing)))
            kept += len(page)
            if len(page) < _AT_ONCE:
                break
            after = page[-1].probe_id
        found.sort(key=lambda one: (one[0], one[1].probe_id))
        due = sum(one.standing.kept != "held" for _, one in found)
        return Preview(kept, due, [one for _, one in found[:MOST_LISTED]])

    async def receipts(self, account: Account, limit: int = MOST_LISTED) -> Sequence[PurgeRecord]:
        """What was purged, the newest first. Raises PolicyRefusalError (P10), UnavailableError."""
        await self._look(account, "retention.receipts", {})
        async with self._parts.database.read() as tx:
            return await purges.newest(tx, min(limit, MOST_LISTED))

    async def receipt(self, account: Account, probe_or_lead_id: str) -> PurgeRecord:
        """The record of one purge; its entry's hash is what a proof is asked for with.

        Raises PolicyRefusalError (P10), NotFoundError, UnavailableError.
        """
        await self._look(account, "retention.receipts", {})
        async with self._parts.database.read() as tx:
            found = await purges.find(tx, probe_or_lead_id)
        if found is None:
            raise NotFoundError("Nothing of this id was purged.")
        return found

    async def _look(self, account: Account, action: str, details: dict[str, str]) -> None:
        async with self._parts.watching(account, action, "retention"):
            require_permission(account, Deed.SEE_RETENTION)
        async with self._parts.database.write() as tx:
            await self._parts.note(tx, account.name, action, "retention", "shown", details)
