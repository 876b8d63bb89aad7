"""Enters in the log what lies in the journal, as soon as the log can be written again (P23)."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import structlog

from rtcc_bridge.audit.entries import SYSTEM, AuditLog
from rtcc_bridge.audit.journal import AuditJournal, JournalEntry
from rtcc_bridge.audit.late_entry import LateEntry, read_late
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.periodic import periodically
from rtcc_bridge.storage import audit_entries
from rtcc_bridge.storage.engine import Database, Transaction

MERGED_ACTION: Final = "audit.journal_merged"
ASIDE_ACTION: Final = "audit.journal_set_aside"
UNKNOWN_AFTER_SECONDS: Final = 120.0
"""Longer than any transaction: an act that has not committed by then did not, or its process died."""

_EVERY_SECONDS: Final = 5.0
_AT_ONCE: Final = 100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry that the log takes."""

    noted: JournalEntry
    late: LateEntry

    @property
    def entry_id(self) -> str:
        return self.late.record.entry_id


@dataclass(frozen=True, slots=True)
class _Strange:
    """A file that it never will take, and why."""

    noted: JournalEntry
    cause: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.noted.content).hexdigest()


class JournalMerge:
    """Merges the journal of this machine. Doing it twice, or in two processes at once, enters nothing twice."""

    def __init__(self, database: Database, audit: AuditLog, journal: AuditJournal, metrics: Metrics) -> None:
        self._database = database
        self._audit = audit
        self._journal = journal
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Merges until cancelled. What cannot be written yet is tried again; any other error ends it."""
        await periodically("merging the audit journal", self.merge, every_seconds=_EVERY_SECONDS)

    async def merge(self) -> int:
        """Enters what is done, and what has no known end; returns how many. Raises UnavailableError.

        What the log will never take is set aside, which is entered as well, and holds up nothing.
        """
        found, strange, aside = await asyncio.to_thread(self._look)
        self._metrics.audit_journal_entries.set(len(found) + len(strange) + aside)
        oldest = time.time() - UNKNOWN_AFTER_SECONDS
        ripe = [one for one in found if one.noted.is_done or one.noted.noted_at < oldest][:_AT_ONCE]
        strange = strange[:_AT_ONCE]
        if not ripe and not strange:
            return 0
        await self._enter(ripe, strange)
        await asyncio.to_thread(self._clear, ripe, strange)
        self._metrics.audit_journal_entries.dec(len(ripe))
        return len(ripe)

    def _look(self) -> tuple[list[_Waiting], list[_Strange], int]:
        """What waits, what cannot be entered, and how much of that was set aside before."""
        found: list[_Waiting] = []
        strange: list[_Strange] = []
        for noted in self._journal.waiting():
            try:
                found.append(_Waiting(noted, read_late(noted.content)))
            except InvalidInputError as error:
                strange.append(_Strange(noted, str(error)))
        return found, strange, self._journal.count_aside()

    def _clear(self, ripe: Sequence[_Waiting], strange: Sequence[_Strange]) -> None:
        self._journal.remove([one.noted for one in ripe])
        for one in strange:
            _log.error(
                "a file of the audit journal is set aside: the log never takes it; keep it, and find out who wrote it",
                file=one.noted.file.name,
                sha256=one.sha256,
                cause=one.cause,
            )
            self._journal.set_aside(one.noted)

    async def _enter(self, ripe: Sequence[_Waiting], strange: Sequence[_Strange]) -> None:
        async with self._database.write() as tx:
            entered = [one for one in ripe if await audit_entries.add_if_absent(tx, one.late.record)]
            if entered:
                await self._append(
                    tx,
                    action=MERGED_ACTION,
                    subject="audit-log",
                    outcome="merged",
                    details={
                        "entries": [one.entry_id for one in entered],
                        "ofUnknownEnd": [one.entry_id for one in entered if not one.noted.is_done],
                        "altered": [one.entry_id for one in entered if one.late.is_altered],
                    },
                )
            for aside in strange:
                await self._tell(tx, aside)

    async def _tell(self, tx: Transaction, strange: _Strange) -> None:
        """Once for each file, also after a crash before it was renamed. Its name may be anything, and is not said."""
        subject = f"journal/{strange.sha256}"
        if not await audit_entries.by_subject(tx, subject):
            details = {"sha256": strange.sha256, "bytes": len(strange.noted.content), "cause": strange.cause}
            await self._append(tx, action=ASIDE_ACTION, subject=subject, outcome="set_aside", details=details)

    async def _append(
        self, tx: Transaction, *, action: str, subject: str, outcome: str, details: Mapping[str, Any]
    ) -> None:
        await self._audit.append(
            tx, actor=SYSTEM, action=action, subject=subject, outcome=outcome, authority={}, details=details
        )
