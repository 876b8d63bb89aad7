"""The database engine and its transactions. Everything that reads or writes SQL gets a `Transaction` from here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import DatabaseSettings

Transaction: TypeAlias = AsyncConnection
"""An open transaction. Callers outside `storage` only pass it on."""


_WRITES = "rtcc_writes"


class Database:
    """One database. `write()` and `read()` are the only ways to it.

    On SQLite writers of this process take turns on a fair lock, since SQLite's own wait for a lock is a polling one,
    and a write transaction starts as BEGIN IMMEDIATE so that it never fails half-way for want of the lock.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        url = settings.url.get_secret_value()
        self._sqlite = url.startswith("sqlite")
        self._engine = _create_engine(url, settings)
        self._writer = asyncio.Lock()
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Calls `callback` (which must not block or raise) after each commit of this process."""
        self._after_commit.append(callback)

    @property
    def is_sqlite(self) -> bool:
        return self._sqlite

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Raises UnavailableError when the database does not answer, is read-only, locked too long or full.
        """
        async with AsyncExitStack() as stack:
            if self._sqlite:
                await stack.enter_async_context(self._writer)
            async with _translated(), self._engine.connect() as connection:
                await connection.execution_options(**{_WRITES: True})
                async with connection.begin():
                    yield connection
        for callback in self._after_commit:
            callback()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction for reading; it is rolled back at the end. Raises UnavailableError."""
        async with _translated(), self._engine.connect() as connection:
            yield connection

    async def ping(self) -> None:
        """Raises UnavailableError when the database does not answer."""
        async with self.read() as tx:
            await tx.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except OperationalError as error:
        raise UnavailableError(f"the database refused: {error.orig}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise UnavailableError(f"the connection to the database was lost: {error.orig}") from error
        raise
    except TimeoutError as error:
        raise UnavailableError("no connection to the database came free in time") from error


def _create_engine(url: str, settings: DatabaseSettings) -> AsyncEngine:
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_size=settings.pool_size, pool_pre_ping=True, pool_timeout=10)
    arguments: dict[str, Any] = {"timeout": settings.busy_timeout_seconds}
    engine = create_async_engine(url, pool_size=settings.pool_size, pool_timeout=10, connect_args=arguments)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """WAL lets readers go on while one writes; FULL makes a commit survive a loss of power."""
    connection.isolation_level = None  # the driver must not open transactions by itself: `_begin_sqlite` does
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
