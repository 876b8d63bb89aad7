"""What reports read of the audit log, and the few facts about incidents that the log does not tell. Nothing is written.

Reports count what the log says: retention purges the rows of searches and leads, and the log stays.
"""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select

from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.slices import padded, slices
from rtcc_bridge.storage.streaming import pieces
from rtcc_bridge.storage.tables import audit_entries, incidents


@dataclass(frozen=True, slots=True)
class IncidentKind:
    """What dispatch calls it now, and whether it is an exercise."""

    incident_type: str
    exercise: bool


async def acts(
    tx: Transaction,
    actions: Collection[str],
    since: datetime,
    before: datetime | None = None,
    *,
    refused: str | None = None,
) -> AsyncGenerator[AuditEntryRecord, None]:
    """Entries of these actions, the oldest first, as they come from the database; up to now where no end is named.

    refused: the outcome of refusals, whose entries then come along whatever their action is.
    """
    table = audit_entries.c
    wanted: ColumnElement[bool] = table.action.in_(padded(sorted(actions)))
    if refused is not None:
        wanted = or_(wanted, table.outcome == refused)
    query = select(audit_entries).where((table.at >= since) & wanted)
    if before is not None:
        query = query.where(table.at < before)
    query = query.order_by(table.at, table.entry_id)
    async for rows in pieces(tx, query):
        for row in rows:
            yield AuditEntryRecord(**row._mapping)


async def moments(
    tx: Transaction, actions: Collection[str], since: datetime, before: datetime, *, refused: str
) -> AsyncGenerator[tuple[datetime, str, str], None]:
    """When, by whom and to what any of this was done, the oldest first, as it comes from the database. Left out is what
    was refused, whose outcome is `refused`."""
    table = audit_entries.c
    query = select(table.at, table.actor, table.subject).where(
        table.action.in_(padded(sorted(actions)))
        & (table.at >= since)
        & (table.at < before)
        & (table.outcome != refused)
    )
    async for rows in pieces(tx, query.order_by(table.at, table.entry_id)):
        for row in rows:
            yield row.at, row.actor, row.subject


async def about(tx: Transaction, subjects: Collection[str]) -> Sequence[AuditEntryRecord]:
    """Everything that was done to these things, the oldest first."""
    found: list[AuditEntryRecord] = []
    for some in slices(sorted(subjects)):
        query = select(audit_entries).where(audit_entries.c.subject.in_(some))
        found += [AuditEntryRecord(**row._mapping) for row in await tx.execute(query)]
    return sorted(found, key=lambda entry: (entry.at, entry.entry_id))


async def incident_kinds(tx: Transaction, incident_ids: Collection[str]) -> Mapping[str, IncidentKind]:
    """By incident; one that the database does not know is left out."""
    found: dict[str, IncidentKind] = {}
    for some in slices(sorted(incident_ids)):
        query = select(incidents.c.incident_id, incidents.c.incident_type, incidents.c.exercise)
        rows = await tx.execute(query.where(incidents.c.incident_id.in_(some)))
        found |= {row.incident_id: IncidentKind(row.incident_type, row.exercise) for row in rows}
    return found
