"""The end of a clip: its key goes with what was stated beside it, its bytes after that, its hash stays."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.periodic import periodically
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.storage import clips
from rtcc_bridge.storage.clips import ClipRecord
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.objects import ObjectVault

EXPIRED: Final = "expired"
_EVERY_SECONDS: Final = 60.0
_AT_ONCE: Final = 100


class ClipKeeper:
    """Destroys clips whose time is over. Two at once do no harm: each clip is ended by who holds its row."""

    def __init__(self, parts: ProbeParts, vault: ObjectVault) -> None:
        self._parts = parts
        self._vault = vault

    async def run(self) -> NoReturn:
        """Looks each minute until cancelled. An outage is left to the next time."""
        await periodically("destroying clips whose time is over", self.end_overdue, every_seconds=_EVERY_SECONDS)

    async def end_overdue(self) -> int:
        """Destroys them, each in a transaction of its own; returns how many. Raises TransientError."""
        now = self._parts.clock.now()
        async with self._parts.database.read() as tx:
            found = await clips.overdue(tx, now=now, limit=_AT_ONCE)
        return sum([await self._end(clip_id) for clip_id in found])

    async def _end(self, clip_id: str) -> bool:
        async with self._parts.database.write() as tx:
            clip = await clips.find(tx, clip_id, lock=True)
            if clip is None or clip.ended_at is not None:
                return False
            await destroy_clip(self._parts, self._vault, tx, clip, actor=SYSTEM, outcome=EXPIRED)
        if clip.clip_object is not None:
            with suppress(UnavailableError):  # without a key nobody can read them; the sweep takes them later
                await self._vault.delete(clip.clip_object)
        return True


async def destroy_clip(
    parts: ProbeParts, vault: ObjectVault, tx: Transaction, clip: ClipRecord, *, actor: str, outcome: str
) -> None:
    """Of a clip that was found with `lock`. From the commit on nobody can read it; delete its bytes then.

    Raises UnavailableError.
    """
    if clip.clip_object is not None:
        await vault.destroy(tx, clip.clip_object)
    await clips.end(tx, clip.clip_id, outcome=outcome, at=parts.clock.now())
    await note_clip(parts, tx, clip, actor, "clip.destroyed", outcome, {})


async def note_clip(
    parts: ProbeParts,
    tx: Transaction,
    clip: ClipRecord,
    actor: str,
    action: str,
    outcome: str,
    details: Mapping[str, Any],
) -> None:
    """Writes the audit entry of an act on a clip. It commits to no name: those stand in the entries of the still, whose
    purge takes their key."""
    await parts.audit.append(
        tx,
        actor=actor,
        action=action,
        subject=clip.clip_id,
        outcome=outcome,
        authority={
            "incidentId": clip.incident_id,
            "purpose": clip.purpose,
            "lane": clip.lane,
            "policyHash": parts.policy.hash,
        },
        details={"clipSha256": clip.clip_sha256, **details},
    )
