"""Entries of the audit log: written in the transaction of the act, each cited by the hash that it has as a leaf."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from rtcc_bridge.audit.arrival import arrival
from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.commitments import Commitments, Name, commitments_to
from rtcc_bridge.audit.journal import AuditJournal
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.storage import audit_entries
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Transaction, on_commit

ENTRY_VERSION: Final = 1

SYSTEM: Final = "system"
"""The actor of what a rule does by itself."""

REFUSED: Final = "refused"
"""The outcome of an attempt that the policy refused."""

DECLINED: Final = "declined"
"""The outcome of a request that a person refused, who may: an act like others, and no attempt."""

SAFER: Final = frozenset(
    {
        "probe.withdraw", "probe.refuse", "probe.suspend", "probe.approval_lapsed",
        "lead.withdrawn", "lead.approval_lapsed", "lead.expired",
        "gallery.expunged", "gallery.bytes_gone", "gallery.scrubbed", "gallery.retention_ended",
        "session.end", "session.lock", "people.end_sessions", "token.revoke", "account.disable",
        "retention.hold",
    }
)  # fmt: skip
"""Acts that only take something away or back, or keep it from being destroyed: they go on when the log cannot be
written, with the journal (P23)."""

_NO_NAMES: Final[Mapping[str, Name]] = MappingProxyType({})


def may_be_late(action: str, outcome: str) -> bool:
    """Whether such an act goes on while the log cannot be written, and is entered afterwards (P23)."""
    return action in SAFER or outcome == REFUSED


def leaf_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256(0x00 || canonical entry) in hex: the hash of a leaf in RFC 9162, section 2.1.1."""
    return hashlib.sha256(b"\x00" + canonical_json(entry)).hexdigest()


def record_of(entry: Mapping[str, Any], at: datetime) -> AuditEntryRecord:
    """The row of an entry. Raises ValueError for what canonical JSON cannot hold."""
    return AuditEntryRecord(
        entry_id=entry["entryId"],
        leaf_hash=leaf_hash(entry),
        at=at,
        actor=entry["actor"],
        action=entry["action"],
        subject=entry["subject"],
        outcome=entry["outcome"],
        entry=entry,
    )


class AuditLog:
    """Appends entries (P22). The sequencer gives each its place in the tree when it has committed.

    Names of people and case numbers are in no entry: it holds commitments to them.
    """

    def __init__(
        self, clock: Clock, commitments: Commitments | None = None, journal: AuditJournal | None = None
    ) -> None:
        """commitments: without them entries say nothing of names. journal: without it nothing goes on unlogged."""
        self._clock = clock
        self._commitments = commitments
        self._journal = journal

    async def prepare(self, *names: Name) -> None:
        """Lets entries commit to these names from here on. Commits, so call it before the act's transaction.

        Raises UnavailableError.
        """
        if self._commitments is not None:
            await self._commitments.prepare(names)

    async def append(
        self,
        tx: Transaction,
        *,
        actor: str,
        action: str,
        subject: str,
        outcome: str,
        authority: Mapping[str, Any],
        details: Mapping[str, Any],
        names: Mapping[str, Name] = _NO_NAMES,
    ) -> str:
        """Adds the entry to the transaction and returns its leaf hash: no entry, no act (P23).

        names: by the part that they play ("case", "requestor"); commitments to those that were prepared are entered.
        What only makes things safer is noted in the journal where the log cannot be written, and goes on. Raises
        ValueError for authority or details that canonical JSON cannot hold.
        """
        now = self._clock.now()
        entry = {
            "version": ENTRY_VERSION,
            "entryId": secrets.token_urlsafe(16),
            "at": rfc3339(now),
            "actor": actor,
            "action": action,
            "subject": subject,
            "outcome": outcome,
            "authority": dict(authority),
            "details": dict(details),
        }
        if (came_from := arrival()) is not None:
            entry["from"] = came_from
        if committed := await commitments_to(tx, names):
            entry["names"] = committed
        record = record_of(entry, now)
        if self._journal is None or not may_be_late(action, outcome):
            await audit_entries.add(tx, record)
        elif not await audit_entries.add_if_possible(tx, record):
            await self._journal.note(entry)
            on_commit(tx, lambda: self._done(record.entry_id))
        return record.leaf_hash

    def _done(self, entry_id: str) -> None:
        if self._journal is not None:
            self._journal.done(entry_id)
