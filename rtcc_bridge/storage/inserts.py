"""Statements that both databases have and SQLAlchemy writes for each in its own way."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from rtcc_bridge.errors import TransientError
from rtcc_bridge.storage.engine import Transaction

_UNIQUE_VIOLATION: Final = "23505"
"""PostgreSQL's manual, appendix A."""

_Insert: TypeAlias = postgresql.Insert | sqlite.Insert


async def insert_if_absent(tx: Transaction, table: Table, values: Mapping[str, Any]) -> bool:
    """Inserts a row unless one with its key is there; says whether it did.

    On PostgreSQL it waits for another transaction that is about to write the same key.
    """
    statement = _insert(tx, table).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return (await tx.execute(statement, dict(values))).one_or_none() is not None


async def insert_missing(tx: Transaction, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those of the rows whose key is not there. Whole rows, in the order of their keys."""
    if rows:
        await tx.execute(_insert(tx, table).on_conflict_do_nothing(), [dict(row) for row in rows])


async def insert_all(tx: Transaction, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows whose keys were not there when they were looked for.

    Raises TransientError when another transaction inserted one meanwhile; on PostgreSQL it waits for one that is about
    to. Give them in the order of their keys: two transactions that insert the same ones in different orders end up
    waiting for each other.
    """
    if not rows:
        return
    try:
        await tx.execute(_insert(tx, table), [dict(row) for row in rows])
    except IntegrityError as error:
        if _is_taken(error):
            raise TransientError(f"another transaction added the same to {table.name} at the same moment") from error
        raise


async def replace_all(tx: Transaction, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows over those with the same key, many in one statement. Whole rows, in the order of their keys."""
    if not rows:
        return
    statement = _insert(tx, table)
    keys = {column.name for column in table.primary_key.columns}
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    await tx.execute(statement.on_conflict_do_update(index_elements=sorted(keys), set_=changed), [*map(dict, rows)])


async def add_to_all(tx: Transaction, table: Table, rows: Sequence[Mapping[str, Any]], number: str) -> None:
    """Adds to the column `number` of the rows with the same key, and inserts those that are not there.

    Whole rows, in the order of their keys.
    """
    if not rows:
        return
    statement = _insert(tx, table)
    keys = sorted(column.name for column in table.primary_key.columns)
    total = table.c[number] + statement.excluded[number]
    await tx.execute(statement.on_conflict_do_update(index_elements=keys, set_={number: total}), [*map(dict, rows)])


def _insert(tx: Transaction, table: Table) -> _Insert:
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


def _is_taken(error: IntegrityError) -> bool:
    """Whether a row with that key is there already, and not another rule of the table broken."""
    if isinstance(error.orig, sqlite3.IntegrityError):
        return error.orig.sqlite_errorname in {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"}
    return getattr(error.orig, "sqlstate", None) == _UNIQUE_VIOLATION
