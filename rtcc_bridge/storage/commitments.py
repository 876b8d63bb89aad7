"""Rows of commitments: for each name that was ever entered, its keyed digest and the wrapped key.

The name stands here and nowhere in the audit log. Deleting a row leaves the log with a digest that says nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, exists, func, select, tuple_, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.tables import audit_commitments, outside_receivers, probes


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRecord:
    """One row."""

    kind: str
    name: str
    commitment: str
    wrapped_key: bytes
    master_key_id: str
    created_at: datetime


async def add_if_absent(tx: Transaction, record: CommitmentRecord) -> bool:
    """Adds the row unless the name has one, which stays."""
    return await insert_if_absent(tx, audit_commitments, asdict(record))


async def find(tx: Transaction, kind: str, name: str) -> CommitmentRecord | None:
    columns = audit_commitments.c
    query = select(audit_commitments).where(columns.kind == kind, columns.name == name)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else CommitmentRecord(**row._mapping)


async def remove(tx: Transaction, kind: str, name: str) -> bool:
    """Deletes the row, key and name with it; False when there was none."""
    columns = audit_commitments.c
    statement = delete(audit_commitments).where(columns.kind == kind, columns.name == name)
    return (await tx.execute(statement)).rowcount == 1


async def remove_unborne(tx: Transaction, created_before: datetime) -> int:
    """Deletes the rows of names that no search that is kept bears; returns how many.

    Younger ones may be of an act that is under way, which has its names noted before its own transaction.
    """
    removed, name = 0, audit_commitments.c.name
    of_case = exists().where(probes.c.case_number == name, probes.c.purged_at.is_(None))
    of_requestor = exists().where(probes.c.requestor == name, probes.c.purged_at.is_(None))
    of_receiver = exists().where(outside_receivers.c.name == name)
    for kind, kept in (("case", of_case), ("person", of_requestor | of_receiver)):
        chosen = (audit_commitments.c.kind == kind, audit_commitments.c.created_at < created_before, ~kept)
        removed += (await tx.execute(delete(audit_commitments).where(*chosen))).rowcount
    return removed


async def count_by_master_key(tx: Transaction) -> Mapping[str, int]:
    """How many keys each master key wraps."""
    master = audit_commitments.c.master_key_id
    return {row[0]: row[1] for row in await tx.execute(select(master, func.count()).group_by(master).order_by(master))}


async def wrapped_by_others(
    tx: Transaction, master_key_id: str, after: tuple[str, str], limit: int
) -> Sequence[CommitmentRecord]:
    """Rows that another master key wraps, behind this one in the order of kind and name."""
    columns = audit_commitments.c
    place = tuple_(columns.kind, columns.name)
    query = select(audit_commitments).where(columns.master_key_id != master_key_id, place > tuple_(*after))
    rows = await tx.execute(query.order_by(columns.kind, columns.name).limit(limit))
    return [CommitmentRecord(**row._mapping) for row in rows]


async def rewrap(tx: Transaction, before: CommitmentRecord, wrapped_key: bytes, master_key_id: str) -> bool:
    """Puts the same key in another wrapping. False when it was destroyed or wrapped anew meanwhile."""
    columns = audit_commitments.c
    chosen = (columns.kind == before.kind, columns.name == before.name, columns.wrapped_key == before.wrapped_key)
    values = {"wrapped_key": wrapped_key, "master_key_id": master_key_id}
    return (await tx.execute(update(audit_commitments).where(*chosen).values(values))).rowcount == 1
