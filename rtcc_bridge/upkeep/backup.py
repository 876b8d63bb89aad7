"""Copies the database, the sealed objects and the offsets of the consumer groups, while the daemon works.

The copy is what somebody sees who has the disk: rows as they are, objects sealed, their keys wrapped, and no master
key. Offsets are read first and the database after them, in one snapshot, so everything up to the offsets is in the
snapshot. Objects follow. They never change, but they may go meanwhile: what is purged stays away, while a gallery's
segment that an expungement sealed anew is needed under the name that the snapshot knows. So the segments come first,
and a snapshot that names one that is gone is taken again.
"""

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeAlias

import structlog

from rtcc_bridge import __version__
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.broker.group_offsets import committed_offsets, end_offsets
from rtcc_bridge.broker.groups import consumed_topics
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import ConflictError, IntegrityError, NotFoundError, UnavailableError
from rtcc_bridge.gallery.segments import OBJECT_KIND as SEGMENT
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import object_keys, table_dump
from rtcc_bridge.storage.durability import sync_folder, sync_to_disk
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.key_rotation import count_by_master_key
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.removals_ledger import write_entry
from rtcc_bridge.upkeep.manifest import (
    FORMAT,
    LEDGER,
    OBJECT_LIST,
    OBJECTS,
    TABLES,
    FileEntry,
    Manifest,
    ObjectEntry,
    offsets_as_json,
    write_manifest,
)
from rtcc_bridge.upkeep.object_list import write_object

Progress: TypeAlias = Callable[[str, int, int], None]
"""(what is being done, how much is done, of how much); may be called often."""

_OBJECTS_AT_ONCE: Final = 500
_UNFINISHED: Final = ".unfinished-"
_SNAPSHOTS: Final = 5
"""So often the database is read before a backup gives up: each time somebody was expunged in the seconds after it."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was copied. manifest_sha256: kept elsewhere, it shows a restoration that nobody altered the whole backup."""

    backup_id: str
    folder: Path
    rows: int
    objects: int
    objects_bytes: int
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What one reading of the database gave. segments and others: the names of the objects that have a key."""

    revision: str
    tables: Sequence[FileEntry]
    master_key_ids: tuple[str, ...]
    segments: Sequence[str]
    others: Sequence[str]


class Backup:
    """Makes backups."""

    def __init__(
        self, database: Database, vault: ObjectVault, audit: AuditLog, kafka: KafkaSettings, clock: Clock, actor: str
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._actor = actor
        self._kafka = kafka
        self._clock = clock

    async def run(self, folder: Path, progress: Progress) -> BackupReport:
        """Writes the backup into a new folder, which appears when it is whole; a failure leaves nothing but an entry.

        That it was begun is audited first, since it takes everything along that the disk holds (P22, P23).
        What a killed one left beside it is named in the log, and stays: it may be of one that is under way.
        Raises ConflictError when something lies there already, UnavailableError when the broker, the database, the
        object store or the disk fails, or expungements change the galleries faster than they are copied,
        IntegrityError when an object of the database is missing.
        """
        if await asyncio.to_thread(folder.exists):
            raise ConflictError(f"{folder} exists already: name a new folder for each backup")
        await asyncio.to_thread(_tell_leftovers, folder.parent)
        draft = folder.with_name(f"{folder.name}{_UNFINISHED}{secrets.token_hex(4)}")
        backup_id = secrets.token_urlsafe(12)
        await self._tell(backup_id)
        try:
            report = await self._write(backup_id, draft, folder, progress)
            await asyncio.to_thread(draft.replace, folder)
            await asyncio.to_thread(sync_folder, folder.parent)
        except OSError as error:
            raise UnavailableError(f"the backup cannot be written to {folder.parent}: {error.strerror}") from error
        finally:
            await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        return report

    async def _tell(self, backup_id: str) -> None:
        async with self._database.write() as tx:
            await self._audit.append(
                tx,
                actor=self._actor,
                action="system.backed_up",
                subject=f"backup/{backup_id}",
                outcome="begun",
                authority={},
                details={},
            )

    async def _write(self, backup_id: str, draft: Path, folder: Path, progress: Progress) -> BackupReport:
        offsets = {
            group: offsets_as_json(await committed_offsets(self._kafka, group, topics))
            for group, topics in consumed_topics(self._kafka).items()
        }
        topics = self._kafka.topics
        lead_ends = await end_offsets(self._kafka, (topics.leads, topics.leads_exercise))
        snapshot, segments = await self._copy_rows_and_segments(draft, progress)
        object_file, size = await self._copy_objects(segments, snapshot.others, draft, progress)
        ledger = await self._copy_ledger(draft)
        manifest = Manifest(
            format=FORMAT,
            backup_id=backup_id,
            created_at=rfc3339(self._clock.now()),
            program=__version__,
            revision=snapshot.revision,
            master_key_ids=snapshot.master_key_ids,
            ledger_id=await self._vault.ledger.ledger_id(),
            group_offsets=offsets,
            lead_ends=offsets_as_json(lead_ends),
            files=(*snapshot.tables, object_file, ledger),
        )
        digest = await asyncio.to_thread(write_manifest, draft, manifest)
        await asyncio.to_thread(sync_to_disk, draft / "manifest.json")
        rows = sum(table.lines for table in snapshot.tables)
        return BackupReport(manifest.backup_id, folder, rows, object_file.lines, size, digest)

    async def _copy_rows_and_segments(self, draft: Path, progress: Progress) -> tuple[_Snapshot, list[ObjectEntry]]:
        """A snapshot with every segment that it names: a restoration makes those without the removed from them."""
        for _ in range(_SNAPSHOTS):
            await asyncio.to_thread(_begin_anew, draft)
            snapshot = await self._copy_rows(draft, progress)
            copied = await self._copy_segments(snapshot.segments, draft, progress)
            if copied is not None:
                return snapshot, copied
            _log.info("a gallery's segment was sealed anew during the backup: the database is read again")
        raise UnavailableError(
            f"somebody was expunged during each of {_SNAPSHOTS} readings of the database: take the backup again later"
        )

    async def _copy_rows(self, draft: Path, progress: Progress) -> _Snapshot:
        async with table_dump.snapshot(self._database) as tx:
            revision = await table_dump.revision(tx)
            tables = [await self._dump(tx, name, draft, progress) for name in table_dump.TABLES]
            keys_by_master = await count_by_master_key(tx)
            names = [name async for name in _object_names(tx)]
        segments = [name for name in names if _is_segment(name)]
        others = [name for name in names if not _is_segment(name)]
        return _Snapshot(revision, tables, tuple(keys_by_master), segments, others)

    async def _copy_segments(self, named: Sequence[str], draft: Path, progress: Progress) -> list[ObjectEntry] | None:
        """None when one of them is gone."""
        copied: list[ObjectEntry] = []
        for done, object_key in enumerate(named):
            progress("segments", done, len(named))
            if (entry := await self._copy_unless_purged(object_key, draft)) is None:
                return None
            copied.append(entry)
        progress("segments", len(named), len(named))
        return copied

    async def _dump(self, tx: Transaction, table: str, draft: Path, progress: Progress) -> FileEntry:
        progress(f"table {table}", 0, 1)
        async with _File(draft, f"{TABLES}/{table}.jsonl") as file:
            async for lines in table_dump.dump(tx, table):
                await file.write_lines(lines)
        progress(f"table {table}", 1, 1)
        return file.entry

    async def _copy_objects(
        self, copied: Sequence[ObjectEntry], named: Sequence[str], draft: Path, progress: Progress
    ) -> tuple[FileEntry, int]:
        """Copies the objects of these names, and lists them after those that are copied already."""
        total = sum(entry.size_bytes for entry in copied)
        async with _File(draft, OBJECT_LIST) as listed:
            await listed.write_lines([write_object(entry) for entry in copied])
            for done, object_key in enumerate(named):
                if done % 20 == 0:
                    progress("objects", done, len(named))
                if (entry := await self._copy_unless_purged(object_key, draft)) is not None:
                    total += entry.size_bytes
                    await listed.write_lines([write_object(entry)])
        progress("objects", len(named), len(named))
        return listed.entry, total

    async def _copy_unless_purged(self, object_key: str, draft: Path) -> ObjectEntry | None:
        """None when it was purged since the snapshot. Raises IntegrityError for one that has a key: it is lost."""
        try:
            return await self._copy_object(object_key, draft)
        except NotFoundError as error:
            async with self._database.read() as tx:
                if await object_keys.find(tx, object_key) is not None:
                    raise IntegrityError(f"{object_key} has a key and no bytes: {error}") from error
        _log.info("an object was purged during the backup", object_key=object_key)
        return None

    async def _copy_object(self, object_key: str, draft: Path) -> ObjectEntry:
        async with _File(draft, f"{OBJECTS}/{object_key}") as file:
            async for piece in self._vault.read_sealed(object_key):
                await file.write(piece)
        return ObjectEntry(object_key, file.entry.size_bytes, file.entry.sha256)

    async def _copy_ledger(self, draft: Path) -> FileEntry:
        async with _File(draft, LEDGER) as file:
            async for entry in self._vault.ledger.entries():
                await file.write_lines([write_entry(entry)])
        return file.entry


async def _object_names(tx: Transaction) -> AsyncIterator[str]:
    after = ""
    while names := await object_keys.names_after(tx, after, _OBJECTS_AT_ONCE):
        for name in names:
            yield name
        after = names[-1]


@dataclass
class _File:
    """A file of the backup that is being written, for the owner alone, with its size and sha256. Writes in a thread."""

    folder: Path
    name: str
    lines: int = 0
    size_bytes: int = 0
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _opened: IO[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._opened = await asyncio.to_thread(_open_new, self.folder / self.name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._opened is not None
        await asyncio.to_thread(_close, self._opened)

    @property
    def entry(self) -> FileEntry:
        return FileEntry(self.name, self.lines, self.size_bytes, self._digest.hexdigest())

    async def write_lines(self, lines: Sequence[bytes]) -> None:
        await self.write(b"".join(line + b"\n" for line in lines))
        self.lines += len(lines)

    async def write(self, data: bytes) -> None:
        assert self._opened is not None
        await asyncio.to_thread(self._opened.write, data)
        self._digest.update(data)
        self.size_bytes += len(data)


def _tell_leftovers(folder: Path) -> None:
    for found in sorted(folder.glob(f"*{_UNFINISHED}*")):
        _log.warning(
            "a backup that was not finished lies here, with incidents in the clear: unless it is under way, remove it",
            folder=str(found),
        )


def _is_segment(object_key: str) -> bool:
    return object_key.startswith(f"{SEGMENT}/")


def _begin_anew(draft: Path) -> None:
    """Empty folders, without what an earlier reading of the database left in them."""
    draft.parent.mkdir(parents=True, exist_ok=True)
    if draft.exists():
        shutil.rmtree(draft)
    for folder in (draft, draft / TABLES, draft / OBJECTS):
        folder.mkdir(mode=0o700)


def _open_new(path: Path) -> IO[bytes]:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _close(opened: IO[bytes]) -> None:
    with opened:
        opened.flush()
        os.fsync(opened.fileno())
