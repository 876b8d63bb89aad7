"""Brings a backup back, and carries out again what it must not bring back.

Until the last step the database says that it is being restored: no daemon starts on it, and one that runs ends. Each
step may be repeated, so an interrupted restoration is finished by running it again.
"""

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.broker.group_offsets import reset_offsets
from rtcc_bridge.broker.reading import read_to_end
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import CloudEvent, to_structured
from rtcc_bridge.errors import ConflictError, IntegrityError, InvalidInputError, NotFoundError
from rtcc_bridge.gallery.expunge import Expunger
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.leads.readback import LeadReadback, PublishedLeads, ReadbackReport
from rtcc_bridge.publishing.outbox import SOURCE
from rtcc_bridge.retention.replay import PurgeReplay
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import (
    audit_tree,
    galleries,
    object_keys,
    outbox,
    processes,
    restorations,
    schema,
    table_dump,
)
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.orders import DISCLOSURE_ORDERS, EXPORT_ORDERS
from rtcc_bridge.upkeep.backup import Progress
from rtcc_bridge.upkeep.ledger_check import LedgerState, require_ledger
from rtcc_bridge.upkeep.manifest import (
    OBJECT_LIST,
    OBJECTS,
    TABLES,
    Manifest,
    ObjectEntry,
    offsets_of_json,
    read_manifest,
    verify_file,
)
from rtcc_bridge.upkeep.object_list import read_objects

POSITIONS_LEFT_OUT: Final = 10**12
"""Places of the feed that are never given out: more than any daemon can have given since a backup. It leaves room for
a million restorations within the 18 digits of a place."""
VERSIONS_LEFT_OUT: Final = 1_000_000
"""Versions of a gallery that are never given out, for the same reason."""
RESTORED: Final = "floor.restored"
_LINES_AT_ONCE: Final = 500
_PIECE_BYTES: Final = 1 << 20

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RestoreParts:
    """What a restoration works with: everything of the installation that it writes to."""

    database: Database
    vault: ObjectVault
    audit: AuditLog
    expunger: Expunger
    scrubber: SegmentScrubber
    readback: LeadReadback
    purges: PurgeReplay
    kafka: KafkaSettings
    clock: Clock


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was done.

    unknown_galleries: expungements from galleries that the backup does not know. purges_carried_out: searches whose
    time was over and that the backup had brought back. holds_placed: legal holds that it did not know.
    """

    backup_id: str
    rows: int
    objects: int
    objects_kept: int
    removals_carried_out: int
    keys_destroyed: int
    unknown_galleries: int
    leads: ReadbackReport
    purges_carried_out: int = 0
    holds_placed: int = 0


class Restore:
    """Brings one backup back."""

    def __init__(self, parts: RestoreParts, folder: Path, actor: str) -> None:
        self._parts = parts
        self._folder = folder
        self._actor = actor

    async def run(
        self, progress: Progress, *, without_ledger: str | None = None, manifest_sha256: str | None = None
    ) -> RestoreReport:
        """Commits step by step; the last one lets the daemon start.

        manifest_sha256: as the backup told it; it shows that the backup was not altered as a whole. without_ledger: why
        the installation's removals ledger is not there; without a reason it has to be. Raises ConflictError when the
        database holds other data, a process of the daemon was seen there within ten seconds, a consumer group has
        members, or the ledger is missing: nothing is restored then; IntegrityError when the backup was altered;
        InvalidInputError when it is none or a newer program's; UnavailableError.
        """
        parts = self._parts
        manifest = await asyncio.to_thread(read_manifest, self._folder, manifest_sha256)
        await self._check(manifest, progress)
        ledger = await require_ledger(parts.vault.ledger, manifest, self._folder, without_ledger)
        destroyed = ledger.destroyed_objects
        # Before the rows, since it shows that nobody is left in the groups who would work with them.
        for group, offsets in manifest.group_offsets.items():
            await reset_offsets(parts.kafka, group, offsets_of_json(offsets))
        restoration_id = secrets.token_urlsafe(12)
        rows = await self._load(manifest, restoration_id, progress)
        objects, kept = await self._copy_objects(manifest, destroyed, progress)
        leads = await self._read_leads_back(manifest)
        carried_out, unknown = await self._remove_again(ledger, progress)
        purged, held = await parts.purges.carry_out_again(ledger.entries)
        gone = await self._destroy_again(destroyed)
        report = RestoreReport(manifest.backup_id, rows, objects, kept, carried_out, gone, unknown, leads, purged, held)
        await self._finish(restoration_id, report, ledger)
        return report

    async def _check(self, manifest: Manifest, progress: Progress) -> None:
        if not schema.knows(manifest.revision):
            raise InvalidInputError(
                f"the backup has revision {manifest.revision}, which this program does not know: use a newer program"
            )
        async with self._parts.database.read() as tx:
            await _require_free(tx)
        for done, entry in enumerate(manifest.files):
            progress("checking", done, len(manifest.files))
            await asyncio.to_thread(verify_file, self._folder, entry)
        await asyncio.to_thread(deque, read_objects(self._folder), 0)
        progress("checking", len(manifest.files), len(manifest.files))
        self._parts.vault.require_master_keys(manifest.master_key_ids)

    async def _load(self, manifest: Manifest, restoration_id: str, progress: Progress) -> int:
        """All rows in one transaction, with what makes the database another one than the one that was lost."""
        database, now = self._parts.database, self._parts.clock.now()
        rows = 0
        async with database.for_long_statements() as patient, patient.write() as tx:
            await _require_free(tx)
            await table_dump.clear(tx)
            await restorations.begin(tx, restoration_id, manifest.backup_id, now)
            for done, table in enumerate(table_dump.TABLES):
                progress("tables", done, len(table_dump.TABLES))
                async for lines in _lines_of(self._folder / TABLES / f"{table}.jsonl"):
                    await table_dump.load(tx, table, lines)
                    rows += len(lines)
            progress("tables", len(table_dump.TABLES), len(table_dump.TABLES))
            await table_dump.count_ids_on(tx)
            event = to_structured(CloudEvent(id=restoration_id, source=SOURCE, type=RESTORED, time=now, data={}))
            position = await outbox.latest_position(tx) + POSITIONS_LEFT_OUT
            await outbox.begin_anew(tx, position, event=event, at=now)
            await audit_tree.begin_anew(tx)
            await galleries.skip_versions(tx, VERSIONS_LEFT_OUT)
            await _require_nobody(tx)  # again, since loading may have taken long
        return rows

    async def _copy_objects(self, manifest: Manifest, destroyed: frozenset[str], progress: Progress) -> tuple[int, int]:
        """Copies what is not in the store already. Returns how many were copied, and how many were there.

        An object whose key was destroyed since the backup stays away, unless it is a gallery's segment: that one is
        needed to make the segment without the removed templates.
        """
        vault, total = self._parts.vault, manifest.file(OBJECT_LIST).lines
        async with self._parts.database.read() as tx:
            segments = {segment.object_key for segment in await galleries.segments_in(tx, destroyed)}
        copied = kept = 0
        for done, entry in enumerate(read_objects(self._folder)):
            if done % 20 == 0:
                progress("objects", done, total)
            if entry.object_key in destroyed and entry.object_key not in segments:
                continue
            if await self._is_there(entry):
                kept += 1
                continue
            await vault.write_sealed(
                entry.object_key, _pieces_of(self._folder / OBJECTS / entry.object_key, entry.sha256)
            )
            copied += 1
        progress("objects", total, total)
        return copied, kept

    async def _is_there(self, entry: ObjectEntry) -> bool:
        """Whether the store holds just these bytes: one that was damaged there is replaced by the copy."""
        vault = self._parts.vault
        if await vault.size_of_sealed(entry.object_key) != entry.size_bytes:
            return False
        digest = hashlib.sha256()
        async for piece in vault.read_sealed(entry.object_key):
            digest.update(piece)
        return digest.hexdigest() == entry.sha256

    async def _read_leads_back(self, manifest: Manifest) -> ReadbackReport:
        published = PublishedLeads()
        for topic, ends in offsets_of_json(manifest.lead_ends).items():
            async for record in read_to_end(self._parts.kafka, topic, ends):
                published.add(topic, record.value)
        return await self._parts.readback.apply(published)

    async def _remove_again(self, ledger: LedgerState, progress: Progress) -> tuple[int, int]:
        carried_out = unknown = 0
        for done, entry in enumerate(ledger.expungements):
            progress("removals", done, len(ledger.expungements))
            try:
                carried_out += await self._parts.expunger.carry_out_again(entry, self._actor)
            except NotFoundError as error:
                unknown += 1
                _log.warning("an expungement has nothing to act on", entry=entry.entry_id, error=str(error))
        await self._parts.scrubber.scrub_all()
        return carried_out, unknown

    async def _destroy_again(self, destroyed: frozenset[str]) -> int:
        """Destroys the keys that were destroyed since the backup. Returns how many the backup had brought back."""
        parts = self._parts
        async with parts.database.read() as tx:
            segments = await galleries.segments_in(tx, destroyed)
            before = len(await object_keys.known(tx, destroyed))
        for segment in segments:
            await parts.scrubber.rewrite(segment)
        async with parts.database.read() as tx:
            left = sorted(await object_keys.known(tx, destroyed))
        async with parts.database.write() as tx:
            await object_keys.remove_many(tx, left)
        await parts.vault.delete(*left)
        return before

    async def _finish(self, restoration_id: str, report: RestoreReport, ledger: LedgerState) -> None:
        now = self._parts.clock.now()
        async with self._parts.database.write() as tx:
            # An order that was carried out after the backup would be good once more (P17, P30).
            ended = await EXPORT_ORDERS.remove_unused(tx) + await DISCLOSURE_ORDERS.remove_unused(tx)
            await self._parts.audit.append(
                tx,
                actor=self._actor,
                action="system.restored",
                subject=f"backup/{report.backup_id}",
                outcome="restored" if ledger.missing_because is None else "restored_without_ledger",
                authority={},
                details={
                    "rows": report.rows,
                    "removalsCarriedOut": report.removals_carried_out,
                    "keysDestroyed": report.keys_destroyed,
                    "purgesCarriedOut": report.purges_carried_out,
                    "holdsPlaced": report.holds_placed,
                    "leadsTakenOver": report.leads.taken_over,
                    "leadsWithdrawn": report.leads.withdrawn,
                    "ordersEnded": ended,
                    "expungementsFromUnknownGalleries": report.unknown_galleries,
                    "ledgerMissingBecause": ledger.missing_because,
                },
            )
            await restorations.finish(tx, restoration_id, now)


async def _require_free(tx: Transaction) -> None:
    """Raises ConflictError when the database holds other data, or a daemon works with it."""
    if await restorations.unfinished(tx) is None and not await table_dump.is_empty(tx):
        raise ConflictError(
            "the database of database.url holds data: restore into an empty one, and keep the other until you "
            "are sure that nobody needs it"
        )
    await _require_nobody(tx)


async def _require_nobody(tx: Transaction) -> None:
    alive = [record for record in await processes.every(tx) if record.is_alive]
    if alive:
        roles = sorted({role for record in alive for role in record.roles})
        raise ConflictError(
            f"processes of the daemon ({', '.join(roles)}) work with the database of database.url: stop them all, and "
            f"wait {processes.SILENT_SECONDS:g} s after one that was killed"
        )


async def _lines_of(path: Path) -> AsyncIterator[list[bytes]]:
    with await asyncio.to_thread(path.open, "rb") as opened:
        while lines := await asyncio.to_thread(lambda: list(islice(opened, _LINES_AT_ONCE))):
            yield lines


async def _pieces_of(path: Path, sha256: str) -> AsyncIterator[bytes]:
    """Raises IntegrityError at the end when the bytes are not those that were copied, so that they are not kept."""
    digest = hashlib.sha256()
    try:
        with await asyncio.to_thread(path.open, "rb") as opened:
            while piece := await asyncio.to_thread(opened.read, _PIECE_BYTES):
                digest.update(piece)
                yield piece
    except OSError as error:
        raise IntegrityError(f"{path} of the backup cannot be read ({error.strerror})") from error
    if digest.hexdigest() != sha256:
        raise IntegrityError(f"{path} of the backup was altered: its sha256 is not the one of the list")
