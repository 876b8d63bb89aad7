"""Purges, legal holds and reopened cases younger than a backup, carried out again after a restoration (P24)."""

from collections.abc import Container, Sequence
from datetime import datetime
from typing import Final

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.retention.parts import RetentionParts
from rtcc_bridge.retention.purge import Purger
from rtcc_bridge.storage import dispositions, legal_holds, probes
from rtcc_bridge.storage.dispositions import DispositionRecord
from rtcc_bridge.storage.legal_holds import LegalHoldRecord
from rtcc_bridge.storage.removals_ledger import HoldNote, LedgerEntry, ReopenedNote, purges_in_effect

_AGAIN: Final = "placed again after a restoration"


class PurgeReplay:
    """Reads the removals ledger. Doing it again changes nothing."""

    def __init__(self, parts: RetentionParts) -> None:
        self._parts = parts
        self._purger = Purger(parts)

    async def carry_out_again(self, entries: Sequence[LedgerEntry]) -> tuple[int, int]:
        """How many searches were purged, and on how many searches holds were placed. Commits each.

        entries: all of the ledger, in the order of the acts. Raises UnavailableError.
        """
        purged = 0
        for purge in purges_in_effect(entries):
            async with self._parts.database.write() as tx:
                purged += await self._purger.purge_again(tx, purge.probe_id, purge.outcome, purge.objects)
        for entry in entries:
            if isinstance(entry, ReopenedNote):
                await self._reopen(entry)
        held = 0
        notes = [entry for entry in entries if isinstance(entry, HoldNote)]
        lifted = {note.hold_id: note for note in notes if note.lifted}
        for note in notes:
            if note.hold_id not in lifted:
                held += await self._hold(note, lifted)
        for note in lifted.values():
            await self._lift(note)
        return purged, held

    async def _reopen(self, note: ReopenedNote) -> None:
        """The ledger names the searches of the case and no case number: that is told by one that is kept."""
        at = datetime.fromisoformat(note.at)
        async with self._parts.database.write() as tx:
            found = [await probes.find(tx, probe_id, lock=True) for probe_id in note.probes]
            case = next((probe.case_number for probe in found if probe is not None and probe.purged_at is None), None)
            if case is None or await dispositions.is_known(tx, note.disposition_id):
                return
            record = DispositionRecord(
                disposition_id=note.disposition_id,
                case_number=case,
                disposition=dispositions.REOPENED,
                disposed_on=at.date().isoformat(),
                recorded_by=SYSTEM,
                recorded_at=at,
            )
            await dispositions.add(tx, record)
            details = {"disposition": dispositions.REOPENED, "disposedOn": record.disposed_on}
            await self._parts.note(tx, SYSTEM, "retention.disposition", note.disposition_id, "recorded_again", details)

    async def _hold(self, note: HoldNote, lifted: Container[str]) -> int:
        """Of a case that was held the ledger names the searches, and no case number: each gets a hold of its own.

        Each of those is lifted by itself, also before a second restoration from the same backup.
        """
        placed = 0
        async with self._parts.database.write() as tx:
            if await legal_holds.find(tx, note.hold_id) is not None:
                return 0
            for number, probe_id in enumerate(note.probes):
                probe = await probes.find(tx, probe_id, lock=True)
                hold_id = note.hold_id if len(note.probes) == 1 else f"{note.hold_id}.{number}"
                if hold_id in lifted:
                    continue
                if probe is None or probe.purged_at is not None or await legal_holds.find(tx, hold_id) is not None:
                    continue
                record = LegalHoldRecord(
                    hold_id=hold_id,
                    case_number=None,
                    probe_id=probe_id,
                    reason=_AGAIN,
                    placed_by=SYSTEM,
                    placed_at=datetime.fromisoformat(note.at),
                )
                await legal_holds.add(tx, record)
                await self._parts.note(tx, SYSTEM, "retention.hold", hold_id, "held_again", {"probeId": probe_id})
                placed += 1
        return placed

    async def _lift(self, note: HoldNote) -> None:
        at = datetime.fromisoformat(note.at)
        async with self._parts.database.write() as tx:
            if await legal_holds.lift(tx, note.hold_id, lifted_by=SYSTEM, at=at, reason=_AGAIN):
                await self._parts.note(tx, SYSTEM, "retention.release_hold", note.hold_id, "lifted_again", {})
