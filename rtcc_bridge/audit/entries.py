"""Entries of the audit log: written in the transaction of the act, each cited by the hash that it has as a leaf."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.storage import audit_entries
from rtcc_bridge.storage.engine import Transaction

ENTRY_VERSION: Final = 1

SYSTEM: Final = "system"
"""The actor of what a rule does by itself."""


def leaf_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256(0x00 || canonical entry) in hex: the hash of a leaf in RFC 9162, section 2.1.1."""
    return hashlib.sha256(b"\x00" + canonical_json(entry)).hexdigest()


class AuditLog:
    """Appends entries (P22). Until the Merkle tree orders them they are a set, each with its own leaf hash.

    Names of people and case numbers stay out of entries until they can be kept as keyed commitments.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

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
    ) -> str:
        """Adds the entry to the transaction and returns its leaf hash: no entry, no act (P23).

        Raises ValueError for authority or details that canonical JSON cannot hold.
        """
        now = self._clock.now()
        entry_id = secrets.token_urlsafe(16)
        entry = {
            "version": ENTRY_VERSION,
            "entryId": entry_id,
            "at": rfc3339(now),
            "actor": actor,
            "action": action,
            "subject": subject,
            "outcome": outcome,
            "authority": dict(authority),
            "details": dict(details),
        }
        record = audit_entries.AuditEntryRecord(
            entry_id=entry_id,
            leaf_hash=leaf_hash(entry),
            at=now,
            actor=actor,
            action=action,
            subject=subject,
            outcome=outcome,
            entry=entry,
        )
        await audit_entries.add(tx, record)
        return record.leaf_hash
