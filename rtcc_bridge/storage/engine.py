"""The database engine and its transactions. Everything that reads or writes SQL gets a `Transaction` from here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from rtcc_bridge.errors import IntegrityError, UnavailableError
from rtcc_bridge.settings import DatabaseSettings

Transaction: TypeAlias = AsyncConnection
"""An open transaction. Callers outside `storage` only pass it on."""


_WRITES = "rtcc_writes"
_ON_COMMIT = "rtcc_on_commit"


def on_commit(tx: Transaction, callback: Callable[[], None]) -> None:
    """Calls `callback` (which must not block or raise) when this write transaction has committed, else never.

    What counts in a metric is counted this way, since a transaction that rolls back has done nothing.
    """
    assert tx.sync_connection is not None
    tx.sync_connection.get_execution_options()[_ON_COMMIT].append(callback)


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
        self._turn_seconds = 2 * settings.busy_timeout_seconds
        self._refused_last_write = False
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
        committed: list[Callable[[], None]] = []
        async with AsyncExitStack() as stack:
            if self._sqlite:
                await self._take_turn(stack)
            try:
                async with _translated(), self._engine.connect() as connection:
                    await connection.execution_options(**{_WRITES: True, _ON_COMMIT: committed})
                    async with connection.begin():
                        yield connection
            except UnavailableError:
                self._refused_last_write = True
                raise
        self._refused_last_write = False
        for callback in (*committed, *self._after_commit):
            callback()

    async def _take_turn(self, stack: AsyncExitStack) -> None:
        """Raises UnavailableError when the writers before take too long: no queue grows behind a locked file."""
        try:
            async with asyncio.timeout(self._turn_seconds):
                await self._writer.acquire()
        except TimeoutError as error:
            raise UnavailableError("the database is busy: other writers wait already") from error
        stack.callback(self._writer.release)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction for reading; it is rolled back at the end. Raises UnavailableError."""
        async with _translated(), self._engine.connect() as connection:
            yield connection

    async def ping(self) -> None:
        """Raises UnavailableError when the database does not answer, or still refuses writes after it refused one."""
        async with self.read() as tx:
            await tx.execute(text("SELECT 1"))
        if self._refused_last_write and self._sqlite:
            async with self.write() as tx:
                await tx.exec_driver_sql(
                    "PRAGMA user_version = 1"
                )  # writes a page, as a read or an empty commit does not

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
        if type(error) is DatabaseError:  # SQLite says so of a file that is damaged or is none of its own
            raise IntegrityError(f"the database is damaged: {error.orig}. Restore it from a backup") from error
        raise
    except (TimeoutError, PoolTimeoutError) as error:
        raise UnavailableError("no connection to the database came free in time") from error


def _create_engine(url: str, settings: DatabaseSettings) -> AsyncEngine:
    # Parameters are names, case numbers and texts of threats: an error message must not carry them to a log.
    shared: dict[str, Any] = {"pool_size": settings.pool_size, "pool_timeout": 10, "hide_parameters": True}
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_pre_ping=True, **shared)
    engine = create_async_engine(url, connect_args={"timeout": settings.busy_timeout_seconds}, **shared)
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
