"""All rows of the database as lines of JSON, from one moment, and back: what both databases can read.

A table is read in the order of its key. Moments are written as RFC 3339, bytes as base64, documents as they are.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Column, LargeBinary, RowMapping, Table, delete, func, insert, select, text

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.tables import (
    UtcDateTime,
    metadata,
    oldest_program,
    processes,
    restorations,
    sessions,
    sign_ins,
    used_sign_ins,
)

_ROWS_AT_ONCE: Final = 500

_OF_THE_MOMENT: Final = {oldest_program, processes, restorations, sessions, sign_ins, used_sign_ins}
"""Nobody who has signed out is let in again by a backup."""

TABLES: Final[Mapping[str, Table]] = {
    table.name: table for table in metadata.sorted_tables if table not in _OF_THE_MOMENT
}
"""Every table that holds the program's work, by name; a table comes after those that its rows refer to."""


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Transaction]:
    """As `Database.snapshot`, with time for long statements; it begins with the first read, which is made here."""
    async with database.for_long_statements() as patient, patient.snapshot() as tx:
        await revision(tx)
        yield tx


async def revision(tx: Transaction) -> str:
    """The revision of the schema."""
    return str((await tx.execute(text("SELECT version_num FROM alembic_version"))).scalar_one())


async def dump(tx: Transaction, table: str) -> AsyncIterator[list[bytes]]:
    """The table's rows, some at a time, each as one line of JSON without its line break."""
    found = TABLES[table]
    rows = await tx.stream(select(found).order_by(*found.primary_key.columns))
    async for some in rows.mappings().partitions(_ROWS_AT_ONCE):
        yield [_write_row(found, row) for row in some]


async def load(tx: Transaction, table: str, lines: Sequence[bytes]) -> None:
    """Adds these rows. Raises IntegrityError for lines that are no rows of the table.

    Columns that the lines do not know, since an earlier program wrote them, stay empty.
    """
    found = TABLES[table]
    rows = [_read_row(found, line) for line in lines]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        await tx.execute(insert(found), rows[start : start + _ROWS_AT_ONCE])


async def is_empty(tx: Transaction) -> bool:
    """Whether no table of the program holds a row."""
    for table in TABLES.values():
        if (await tx.execute(select(1).select_from(table).limit(1))).first() is not None:
            return False
    return True


async def clear(tx: Transaction) -> None:
    """Deletes the rows of every table."""
    for table in reversed(list(TABLES.values())):
        await tx.execute(delete(table))


async def count_ids_on(tx: Transaction) -> None:
    """Lets the database number new rows after the highest id that was loaded. SQLite does it by itself."""
    if tx.dialect.name != "postgresql":
        return
    for table in TABLES.values():
        for column in table.primary_key.columns:
            if isinstance(column.type, BigInteger) and len(table.primary_key.columns) == 1:
                highest = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                await tx.execute(select(func.setval(sequence, highest, False)))  # noqa: FBT003 - the database's own


def _write_row(table: Table, row: RowMapping) -> bytes:
    values = {column.name: _written(column, row[column.name]) for column in table.columns}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _read_row(table: Table, line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
        return {name: _read(table.columns[name], value) for name, value in values.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise IntegrityError(f"the backup holds something that is no row of {table.name}") from error


def _written(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    return _FORMS[type(column.type)][0](value) if type(column.type) in _FORMS else value


def _read(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    return _FORMS[type(column.type)][1](value) if type(column.type) in _FORMS else value


_FORMS: Final[Mapping[type, tuple[Callable[[Any], str], Callable[[str], Any]]]] = {
    UtcDateTime: (rfc3339, datetime.fromisoformat),
    LargeBinary: (lambda value: base64.b64encode(value).decode(), lambda text: base64.b64decode(text, validate=True)),
}
