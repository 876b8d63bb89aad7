"""The one statement that both databases have and SQLAlchemy writes for each in its own way."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from rtcc_bridge.storage.engine import Transaction


async def insert_if_absent(tx: Transaction, table: Table, values: Mapping[str, Any]) -> bool:
    """Inserts a row unless one with its key is there; says whether it did.

    On PostgreSQL it waits for another transaction that is about to write the same key.
    """
    build = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    result = await tx.execute(build(table).values(dict(values)).on_conflict_do_nothing())
    return result.rowcount == 1
