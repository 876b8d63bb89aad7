"""The purge of one search (P24): its keys, its bytes, and every name and word of it.

The keys go in one transaction with the rows, the audit entry and the record of the purge; the removals ledger has it
before that commits, so that no backup brings anything back. From the commit on nobody can read the pictures. Their
sealed bytes are deleted then; where the store is away meanwhile, later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from rtcc_bridge.audit import commitments
from rtcc_bridge.audit.commitments import Name, NameKind
from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.probes.state import WAITING, ProbeState
from rtcc_bridge.retention.parts import RetentionParts
from rtcc_bridge.retention.schedule import Standing, standing_of
from rtcc_bridge.storage import dispositions, leads, legal_holds, probes, purges, retention
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.storage.purges import PurgeRecord

PURGED: Final = "retention.purged"
BYTES_GONE: Final = "retention.bytes_gone"
_ABANDONED: Final = "nobody went on with it"
_BYTES_AT_ONCE: Final = 100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """A search with its lead, as it is about to be purged."""

    probe: ProbeRecord
    lead: LeadRecord | None

    @property
    def objects(self) -> list[str]:
        found = (
            self.probe.original_object,
            self.probe.crop_object,
            None if self.lead is None else self.lead.candidates_object,
        )
        return [one for one in found if one is not None]


class Purger:
    """Purges searches whose time is over. Doing it twice, or in two processes at once, does it once."""

    def __init__(self, parts: RetentionParts) -> None:
        self._parts = parts

    async def purge(self, probe_id: str, actor: str = SYSTEM) -> PurgeRecord | None:
        """Purges the search if it is due at this moment; None when it is not (any more). Commits.

        Raises UnavailableError: then nothing was done, or all of it, or all but the deletion of the sealed bytes.
        """
        async with self._parts.database.read() as tx:
            found = await _find(tx, probe_id, lock=False)
        if found is None:
            return None
        digests = {name: await self._parts.vault.digest_of_sealed(name) for name in found.objects}
        async with self._parts.database.write() as tx:
            purged = await self._purge(tx, probe_id, digests, actor)
        if purged is not None:
            await self._delete_bytes(purged)
        return purged

    async def purge_again(
        self, tx: Transaction, probe_id: str, outcome: str, digests: Mapping[str, str | None]
    ) -> bool:
        """Carries out in a restored database what was purged after its backup, whatever its row says. Commits not.

        digests: as the ledger has them. Says whether there was anything to purge.
        """
        found = await _find(tx, probe_id, lock=True)
        if found is None:
            return False
        now = self._parts.clock.now()
        standing = Standing(outcome=outcome, ended_at=found.probe.updated_at, due_at=now, kept=None)
        await self._destroy(tx, found, standing, digests, SYSTEM, "purged_again")
        return True

    async def finish_bytes(self) -> int:
        """Deletes the sealed bytes that earlier purges had to leave; returns of how many. Commits each.

        Raises UnavailableError.
        """
        async with self._parts.database.read() as tx:
            waiting = await purges.with_bytes_left(tx, _BYTES_AT_ONCE)
        for record in waiting:
            await self._remove_bytes(record)
        return len(waiting)

    async def _purge(
        self, tx: Transaction, probe_id: str, digests: Mapping[str, str | None], actor: str
    ) -> PurgeRecord | None:
        found = await _find(tx, probe_id, lock=True)
        facts = await retention.facts_of(tx, probe_id)
        if found is None or facts is None or digests.keys() != set(found.objects):
            return None
        now = self._parts.clock.now()
        standing = standing_of(facts, self._parts.rule, now)
        if standing.kept is not None:
            return None
        assert standing.outcome is not None
        await self._parts.vault.ledger.note_purged(now, probe_id=probe_id, outcome=standing.outcome, objects=digests)
        return await self._destroy(tx, found, standing, digests, actor, "purged")

    async def _destroy(
        self,
        tx: Transaction,
        found: _Found,
        standing: Standing,
        digests: Mapping[str, str | None],
        actor: str,
        outcome: str,
    ) -> PurgeRecord:
        """Everything but the ledger's entry and the bytes."""
        probe, lead, now = found.probe, found.lead, self._parts.clock.now()
        assert standing.outcome is not None
        assert standing.ended_at is not None
        assert standing.due_at is not None
        if probe.state in WAITING:
            details = {"rule": "P24", "reason": _ABANDONED}
            await self._parts.note(tx, actor, "probe.withdraw", probe.probe_id, ProbeState.WITHDRAWN, details)
        await self._parts.vault.destroy_noted(tx, *digests)
        await self._wipe(tx, found)
        record = PurgeRecord(
            probe_id=probe.probe_id,
            lead_id=None if lead is None else lead.lead_id,
            outcome=standing.outcome,
            ended_at=standing.ended_at,
            due_at=standing.due_at,
            purged_at=now,
            objects=[{"object": name, "sha256": digest} for name, digest in sorted(digests.items())],
            audit_leaf=await self._parts.note(
                tx, actor, PURGED, probe.probe_id, outcome, _receipt(probe, lead, standing, digests, now)
            ),
        )
        await purges.add(tx, record)
        return record

    async def _wipe(self, tx: Transaction, found: _Found) -> None:
        """Wipes the rows, and ends the log's commitments to names that nothing that is kept bears any more (P22)."""
        probe = found.probe
        state = ProbeState.WITHDRAWN if probe.state in WAITING else ProbeState(probe.state)
        await retention.wipe_probe(tx, probe.probe_id, state=state.value, at=self._parts.clock.now())
        handed_to = () if found.lead is None else await retention.wipe_lead(tx, found.lead.lead_id)
        case_is_gone = bool(probe.case_number) and not await retention.kept_of_case(tx, probe.case_number)
        if case_is_gone:
            await commitments.forget(tx, Name(NameKind.CASE, probe.case_number))
            await dispositions.remove_of_case(tx, probe.case_number)
        case_number = probe.case_number if case_is_gone else None
        await legal_holds.forget_words(tx, probe_id=probe.probe_id, case_number=case_number)
        for person in {probe.requestor, *handed_to} - {""}:
            if not await retention.is_person_kept(tx, person):
                await commitments.forget(tx, Name(NameKind.PERSON, person))

    async def _delete_bytes(self, record: PurgeRecord) -> None:
        """The purge has committed and must not be reported as failed: what fails here is tried again later."""
        try:
            await self._remove_bytes(record)
        except UnavailableError as error:
            _log.warning("sealed bytes of a purged search wait", probe_id=record.probe_id, error=str(error))

    async def _remove_bytes(self, record: PurgeRecord) -> None:
        await self._parts.vault.delete(*record.object_keys)
        async with self._parts.database.write() as tx:
            now = self._parts.clock.now()
            if await purges.bytes_gone(tx, record.probe_id, now):
                details = {"purgeLeaf": record.audit_leaf, "objects": len(record.objects)}
                await self._parts.note(tx, SYSTEM, BYTES_GONE, record.probe_id, "bytes_gone", details)


async def _find(tx: Transaction, probe_id: str, *, lock: bool) -> _Found | None:
    """None when there is no such search, or it was purged."""
    probe = await probes.find(tx, probe_id, lock=lock)
    if probe is None or probe.purged_at is not None:
        return None
    return _Found(probe, await leads.of_probe(tx, probe_id, lock=lock))


def _receipt(
    probe: ProbeRecord,
    lead: LeadRecord | None,
    standing: Standing,
    digests: Mapping[str, str | None],
    now: datetime,
) -> dict[str, Any]:
    """What was destroyed, by digest: of the still as it was uploaded, and of each object as it lay sealed."""
    assert standing.ended_at is not None
    assert standing.due_at is not None
    return {
        "leadId": None if lead is None else lead.lead_id,
        "endedAs": standing.outcome,
        "endedAt": rfc3339(standing.ended_at),
        "dueAt": rfc3339(standing.due_at),
        "purgedAt": rfc3339(now),
        "originalSha256": probe.original_sha256,
        "sealedSha256": {name.partition("/")[0]: digest for name, digest in sorted(digests.items())},
        "keysDestroyed": len(digests),
    }
