"""Rows of the audit log. They are added and read, never changed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import audit_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntryRecord:
    """One row. `leaf_hash` is that of `entry` in canonical form; the other columns repeat parts of it to search by."""

    entry_id: str
    leaf_hash: str
    at: datetime
    actor: str
    action: str
    subject: str
    outcome: str
    entry: Mapping[str, Any]


async def add(tx: Transaction, record: AuditEntryRecord) -> None:
    """Adds an entry to the transaction."""
    await tx.execute(insert(audit_entries).values(asdict(record)))


async def by_leaf_hash(tx: Transaction, leaf_hash: str) -> AuditEntryRecord | None:
    """The entry that a lead event cites, or None."""
    row = (await tx.execute(select(audit_entries).where(audit_entries.c.leaf_hash == leaf_hash))).one_or_none()
    return None if row is None else AuditEntryRecord(**row._mapping)


async def by_subject(tx: Transaction, subject: str) -> list[AuditEntryRecord]:
    """What was done to one thing, oldest first."""
    query = select(audit_entries).where(audit_entries.c.subject == subject).order_by(audit_entries.c.at)
    return [AuditEntryRecord(**row._mapping) for row in await tx.execute(query)]


async def page(
    tx: Transaction, action: str, outcome: str, after: AuditEntryRecord | None, limit: int
) -> list[AuditEntryRecord]:
    """Acts of one kind that ended so, the oldest first, so many at a time; `after` is the last of the page before."""
    table = audit_entries.c
    query = select(audit_entries).where((table.action == action) & (table.outcome == outcome))
    if after is not None:
        query = query.where((table.at > after.at) | ((table.at == after.at) & (table.entry_id > after.entry_id)))
    found = await tx.execute(query.order_by(table.at, table.entry_id).limit(limit))
    return [AuditEntryRecord(**row._mapping) for row in found]
