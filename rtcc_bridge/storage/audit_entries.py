"""Rows of the audit log. They are added and read, and never change but for the place that each gets once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import String, insert, select
from sqlalchemy.exc import DBAPIError

from rtcc_bridge.storage.engine import Transaction, savepoint
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.tables import audit_entries

_log = structlog.get_logger(__name__)

_INSERT: Final = insert(audit_entries)
"""Made once, since every act of the program executes it."""

LONGEST: Final[Mapping[str, int]] = {
    column.name: column.type.length
    for column in audit_entries.c
    if isinstance(column.type, String) and column.type.length is not None
}
"""How many characters PostgreSQL takes, by column."""


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
    position: int | None = None
    """Its leaf in the tree; none while it waits for the sequencer."""


async def add(tx: Transaction, record: AuditEntryRecord) -> None:
    """Adds an entry to the transaction."""
    await tx.execute(_INSERT, _values(record))


async def add_if_absent(tx: Transaction, record: AuditEntryRecord) -> bool:
    """Adds an entry unless it is there; says whether it did."""
    return await insert_if_absent(tx, audit_entries, _values(record))


async def add_if_possible(tx: Transaction, record: AuditEntryRecord) -> bool:
    """Adds an entry; False when the table takes none (locked, full, forbidden), and the transaction can go on."""
    try:
        async with savepoint(tx):
            await add(tx, record)
    except DBAPIError as error:
        _log.error("the audit log cannot be written", error=str(error.orig))
        return False
    return True


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


def _values(record: AuditEntryRecord) -> dict[str, Any]:
    """Not `asdict`, which would copy the entry deeply."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
