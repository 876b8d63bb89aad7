"""Enters in the log what lies in the journal, as soon as the log can be written again (P23)."""

import asyncio
import time
from typing import Final, NoReturn

import structlog

from rtcc_bridge.audit.entries import SYSTEM, AuditLog, may_be_late, record_of
from rtcc_bridge.audit.journal import AuditJournal, JournalEntry, entered_at
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.periodic import periodically
from rtcc_bridge.storage import audit_entries
from rtcc_bridge.storage.engine import Database

MERGED_ACTION: Final = "audit.journal_merged"
UNKNOWN_AFTER_SECONDS: Final = 120.0
"""Longer than any transaction: an act that has not committed by then did not, or its process died."""

_EVERY_SECONDS: Final = 5.0
_AT_ONCE: Final = 100

_log = structlog.get_logger(__name__)


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
        """Enters what is done, and what has no known end; returns how many. Raises UnavailableError."""
        found = await asyncio.to_thread(self._waiting)
        self._metrics.audit_journal_entries.set(len(found))
        oldest = time.time() - UNKNOWN_AFTER_SECONDS
        ripe = [one for one in found if one.is_done or one.noted_at < oldest][:_AT_ONCE]
        if not ripe:
            return 0
        await self._enter(ripe)
        await asyncio.to_thread(self._journal.remove, ripe)
        self._metrics.audit_journal_entries.set(len(found) - len(ripe))
        return len(ripe)

    def _waiting(self) -> list[JournalEntry]:
        """What may be entered late. Else whoever writes to the folder enters an approval that nobody gave."""
        fit: list[JournalEntry] = []
        for one in self._journal.waiting():
            if may_be_late(one.entry["action"], one.entry["outcome"]):
                fit.append(one)
            else:
                _log.error("a file of the audit journal is set aside: no such act is entered late", file=one.file.name)
                self._journal.set_aside(one)
        return fit

    async def _enter(self, ripe: list[JournalEntry]) -> None:
        async with self._database.write() as tx:
            entered = [
                one
                for one in ripe
                if await audit_entries.add_if_absent(tx, record_of(one.entry, entered_at(one.entry)))
            ]
            if not entered:
                return
            await self._audit.append(
                tx,
                actor=SYSTEM,
                action=MERGED_ACTION,
                subject="audit-log",
                outcome="merged",
                authority={},
                details={
                    "entries": [one.entry["entryId"] for one in entered],
                    "ofUnknownEnd": [one.entry["entryId"] for one in entered if not one.is_done],
                },
            )
