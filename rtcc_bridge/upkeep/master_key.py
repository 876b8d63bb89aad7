"""Rotation of the master key as an act that is recorded."""

from collections.abc import Callable

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.key_rotation import KeyCounts, KeyRotation, RotationReport
from rtcc_bridge.storage.master_keys import MasterKeys


class MasterKeyRotation:
    """Says what the master keys wrap, and puts everything under a new one while the daemon works."""

    def __init__(
        self, database: Database, keys: MasterKeys, rotation: KeyRotation, audit: AuditLog, actor: str
    ) -> None:
        self._database = database
        self._keys = keys
        self._rotation = rotation
        self._audit = audit
        self._actor = actor

    async def counts(self) -> KeyCounts:
        """Raises UnavailableError."""
        return await self._rotation.counts()

    async def rotate(self, on_progress: Callable[[int, int], None], *, new_key: bool = True) -> RotationReport:
        """Makes a new master key and wraps every object key with it. Commits batch by batch.

        While something is still under an earlier master key, an interrupted rotation is finished, and no further master
        key is made. new_key: False when the operator has put the new one first. Raises ConfigurationError where a new
        key cannot be made from here, UnavailableError.
        """
        before = await self._rotation.counts()
        made = None
        if new_key and before.left == 0:
            made = await self._keys.renew()
            before = await self._rotation.counts()
        await self._note("begun", before, made)
        report = await self._rotation.rewrap_all(on_progress)
        await self._note("finished" if report.counts.left == 0 else "incomplete", report.counts, made)
        return report

    async def _note(self, outcome: str, counts: KeyCounts, made: str | None) -> None:
        async with self._database.write() as tx:
            await self._audit.append(
                tx,
                actor=self._actor,
                action="keys.rotate",
                subject=f"master-key/{counts.current}",
                outcome=outcome,
                authority={},
                details={"made": made, "objectKeys": dict(counts.by_master_key), "left": counts.left},
            )
