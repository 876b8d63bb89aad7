"""Removes sealed objects that have no key: what a process left behind that died between sealing and its transaction.

Nobody can read them any more, so they harm nobody; they take room. An object is young until a safe age, since a
transaction that records its key may still be under way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import ConflictError
from rtcc_bridge.storage import object_keys
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault, StoredObject

LEAST_HOURS: Final = 1.0
"""Many times the longest upload and search, and the clocks of two machines."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """stored: objects in the store; orphans: those without a key; young: orphans that may still get theirs."""

    stored: int
    orphans: int
    young: int
    removed: int
    removed_bytes: int


class OrphanSweep:
    """Looks for objects without a key, and removes them."""

    def __init__(self, database: Database, vault: ObjectVault, audit: AuditLog, clock: Clock, actor: str) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._actor = actor

    async def run(self, older_than_hours: float, *, remove: bool) -> SweepReport:
        """Reads the list of the store and removes old orphans where `remove` says so. Raises UnavailableError.

        The audit log holds how many, before the first is gone (P23).
        Raises ConflictError before anything is removed when no object of the store has a key here: then it is
        another database's store.
        """
        if older_than_hours < LEAST_HOURS:
            raise ConflictError(f"an object that is younger than {LEAST_HOURS:g} h may still get its key")
        limit = self._clock.now() - timedelta(hours=older_than_hours)
        stored = young = 0
        old: list[StoredObject] = []
        async for some in self._vault.stored():
            stored += len(some)
            for one in await self._without_key(some):
                if one.stored_at < limit:
                    old.append(one)
                else:
                    young += 1
        if remove and old and stored == len(old) + young:
            raise ConflictError(
                "no object of this store has a key in this database: is it another one's store? Nothing was removed"
            )
        removed = await self._without_key(old) if remove else []
        if removed:
            await self._tell(removed, older_than_hours)
        for one in removed:
            await self._vault.delete(one.object_key)
        return SweepReport(stored, len(old) + young, young, len(removed), sum(one.size_bytes for one in removed))

    async def _tell(self, removed: Sequence[StoredObject], older_than_hours: float) -> None:
        async with self._database.write() as tx:
            await self._audit.append(
                tx,
                actor=self._actor,
                action="objects.sweep",
                subject="objects",
                outcome="begun",
                authority={},
                details={
                    "orphans": len(removed),
                    "bytes": sum(one.size_bytes for one in removed),
                    "olderThanSeconds": round(older_than_hours * 3600),
                },
            )

    async def _without_key(self, some: Sequence[StoredObject]) -> list[StoredObject]:
        async with self._database.read() as tx:
            known = await object_keys.known(tx, [one.object_key for one in some])
        return [one for one in some if one.object_key not in known]
