"""Statements that both databases have and SQLAlchemy writes for each in its own way."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from rtcc_bridge.storage.engine import Transaction

_Insert: TypeAlias = postgresql.Insert | sqlite.Insert


async def insert_if_absent(tx: Transaction, table: Table, values: Mapping[str, Any]) -> bool:
    """Inserts a row unless one with its key is there; says whether it did.

    On PostgreSQL it waits for another transaction that is about to write the same key.
    """
    return await insert_all_if_absent(tx, table, [values]) == 1


async def insert_all_if_absent(tx: Transaction, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """As `insert_if_absent`, for many rows; returns how many were inserted.

    Give them in the order of their keys: two transactions that insert the same ones in different orders end up waiting
    for each other.
    """
    if not rows:
        return 0
    statement = _insert(tx, table).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return len((await tx.execute(statement, [dict(row) for row in rows])).all())


async def replace_all(tx: Transaction, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows over those with the same key, many in one statement. Whole rows, in the order of their keys."""
    if not rows:
        return
    statement = _insert(tx, table)
    keys = {column.name for column in table.primary_key.columns}
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    await tx.execute(statement.on_conflict_do_update(index_elements=sorted(keys), set_=changed), [*map(dict, rows)])


def _insert(tx: Transaction, table: Table) -> _Insert:
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)
