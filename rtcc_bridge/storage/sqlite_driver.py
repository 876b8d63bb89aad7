"""SQLite's driver for SQLAlchemy, which hands a statement over to its thread once.

aiosqlite works in a thread of its own for each connection, and SQLAlchemy asks it four times for each statement: for a
cursor, to execute, for the rows and to close. Each time both threads are woken, which takes longer than most
statements do. Here a cursor is made and closed where the caller is, since both only touch memory, and the rows come
with the answer.

Nothing is done to a connection where the caller is while its thread has a statement: SQLAlchemy gives up a connection
whose caller was cancelled, and what ends it waits for its turn in the thread.
"""

import sqlite3
from collections import deque
from contextlib import suppress
from typing import Any

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    __slots__ = ()

    _adapt_connection: "_Connection"
    _connection: Any  # SQLAlchemy's types are those that its drivers have in common
    _cursor: Any

    def _make_new_cursor(self, connection: Any) -> Any:
        try:
            return aiosqlite.Cursor(connection, connection._conn.cursor())
        except Exception as error:  # noqa: BLE001 - SQLAlchemy's own place for all of them
            self._adapt_connection._handle_exception(error)

    def _aenter_cursor(self, cursor: Any) -> Any:
        return cursor

    async def _execute_async(self, operation: str, parameters: Any) -> None:
        async with self._adapt_connection._execute_mutex:
            self._rows = await self._connection._execute(_executed, self._cursor._cursor, operation, parameters)

    async def _executemany_async(self, operation: str, seq_of_parameters: Any) -> None:
        async with self._adapt_connection._execute_mutex:
            await self._connection._execute(self._cursor._cursor.executemany, operation, seq_of_parameters)

    async def _async_soft_close(self) -> None:
        self._soft_closed_memoized = self._soft_closed_memoized.union({"description": self._cursor.description})
        self._cursor._cursor.close()

    def close(self) -> None:
        self._rows.clear()
        if not self._soft_closed_memoized:
            self._cursor._cursor.close()


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()

    _cursor_cls = _Cursor
    _connection: Any

    def rollback(self) -> None:
        """Asked for after each transaction, and nothing to do after most."""
        opened = self._connection._connection
        if opened is not None and opened.in_transaction:
            super().rollback()

    async def _terminate_graceful_close(self) -> None:
        """SQLite closes a connection, and lets go of its locks, only when nothing refers to a statement any more that
        was under way, as the error does that tells of the cancellation: so its transaction is ended first.
        """
        with suppress(ValueError, sqlite3.Error):  # closed already, or broken: there is nothing to keep
            await self._connection.rollback()
        await self._connection.close()


class SqliteDriver(AsyncAdapt_aiosqlite_dbapi):
    """For `module` of `create_async_engine`. Files only: a database in memory belongs to the thread that opened it."""

    def __init__(self) -> None:
        super().__init__(aiosqlite, sqlite3)

    def connect(self, *arguments: Any, **options: Any) -> _Connection:
        return _Connection(self, super().connect(*arguments, **options)._connection)


def _executed(cursor: sqlite3.Cursor, operation: str, parameters: Any) -> deque[Any]:
    """In the driver's thread: executes, and returns the rows."""
    cursor.execute(operation, () if parameters is None else parameters)
    return deque(cursor.fetchall() if cursor.description else ())
