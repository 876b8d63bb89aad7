"""Writes the audit log, up to its newest checkpoint, into a folder that an outsider verifies offline."""

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rtcc_bridge.audit import export_files
from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.audit.proofs import newest_checkpoint
from rtcc_bridge.audit.stored_hashes import leaf_hashes
from rtcc_bridge.audit.tiles import WIDTH, hashes_of
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import ConflictError, UnavailableError
from rtcc_bridge.storage import audit_tree
from rtcc_bridge.storage.durability import sync_folder
from rtcc_bridge.storage.engine import Database, Transaction

_ROWS_AT_ONCE: Final = 2000


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    folder: Path
    origin: str
    size: int
    public_key: str


class AuditExport:
    """Exports the log as it is: what was done to its rows in the database comes along, and verifying finds it."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def run(self, folder: Path, actor: str, progress: Callable[[str, int, int], None]) -> ExportReport:
        """Writes a new folder, which appears when it is whole. The export is an act that is audited, before it begins.

        Raises ConflictError when something lies there already, NotFoundError when nothing was signed yet,
        IntegrityError when the tree is damaged, UnavailableError.
        """
        if await asyncio.to_thread(folder.exists):
            raise ConflictError(f"{folder} exists already: name a new folder for each export")
        await self._note(actor)
        draft = folder.with_name(f"{folder.name}.unfinished-{secrets.token_hex(4)}")
        try:
            await asyncio.to_thread(lambda: draft.mkdir(parents=True, mode=0o700))
            async with self._database.for_long_statements() as patient, patient.snapshot() as tx:
                report = await self._write(tx, draft, folder, progress)
            await asyncio.to_thread(draft.replace, folder)
            await asyncio.to_thread(sync_folder, folder.parent)
        except OSError as error:
            raise UnavailableError(f"the export cannot be written to {folder.parent}: {error.strerror}") from error
        finally:
            await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        return report

    async def _note(self, actor: str) -> None:
        async with self._database.write() as tx:
            await self._audit.append(
                tx,
                actor=actor,
                action="audit.exported",
                subject="audit-log",
                outcome="begun",
                authority={},
                details={"toSize": (await newest_checkpoint(tx)).checkpoint.size},
            )

    async def _write(
        self, tx: Transaction, draft: Path, folder: Path, progress: Callable[[str, int, int], None]
    ) -> ExportReport:
        newest = await newest_checkpoint(tx)
        origin, size = newest.checkpoint.origin, newest.checkpoint.size
        log = await audit_tree.log(tx)
        await _write_lines(draft / export_files.CHECKPOINTS, _checkpoints(tx, size))
        await _write_lines(draft / export_files.LEAVES, _leaves(tx, size))
        await _write_lines(draft / export_files.ENTRIES, _entries(tx, size, progress))
        about = export_files.ABOUT.format(origin=origin, size=size)
        await asyncio.to_thread((draft / export_files.README).write_text, about, encoding="utf-8")
        await asyncio.to_thread((draft / export_files.NEWEST).write_text, newest.note, encoding="utf-8")
        return ExportReport(folder, origin, size, "" if log is None else log.public_key)


async def _checkpoints(tx: Transaction, size: int) -> AsyncIterator[list[bytes]]:
    after = 0
    while records := await audit_tree.checkpoints_after(tx, after, _ROWS_AT_ONCE):
        after = records[-1].size
        yield [
            json.dumps({"note": one.note, "signedAt": rfc3339(one.signed_at)}, ensure_ascii=False).encode()
            for one in records
            if one.size <= size
        ]


async def _leaves(tx: Transaction, size: int) -> AsyncIterator[list[bytes]]:
    for first in range(0, size, WIDTH):
        hashes = hashes_of(await leaf_hashes(tx, first // WIDTH))
        yield [one.hex().encode() for one in hashes[: size - first]]


async def _entries(tx: Transaction, size: int, progress: Callable[[str, int, int], None]) -> AsyncIterator[list[bytes]]:
    first = 0
    while found := await audit_tree.entries_from(tx, first, size, _ROWS_AT_ONCE):
        first = found[-1].position + 1
        yield [canonical_json(one.entry) for one in found]
        progress("entries", first, size)


async def _write_lines(file: Path, lines: AsyncIterator[Iterable[bytes]]) -> None:
    with await asyncio.to_thread(file.open, "wb") as opened:
        async for some in lines:
            await asyncio.to_thread(opened.writelines, [line + b"\n" for line in some])
