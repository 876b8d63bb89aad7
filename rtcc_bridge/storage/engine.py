"""The database engine and its transactions. Everything that reads or writes SQL gets a `Transaction` from here."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from rtcc_bridge.errors import BusyError, IntegrityError, UnavailableError
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import postgres
from rtcc_bridge.storage.cancellation import cancellation_kept
from rtcc_bridge.storage.sqlite_commits import SqliteCommits
from rtcc_bridge.storage.sqlite_driver import SqliteDriver

Transaction: TypeAlias = AsyncConnection
"""An open transaction. Callers outside `storage` only pass it on."""


_SILENT: Final = "the database did not answer in time"
_LONG_STATEMENT_SECONDS: Final = 4 * 3600.0
_LONG_AT_ONCE: Final = 2
_LONG_RETRY_SECONDS: Final = 60.0
_WRITES = "rtcc_writes"
_ALONE = "rtcc_alone"
_ON_COMMIT = "rtcc_on_commit"


def on_commit(tx: Transaction, callback: Callable[[], None]) -> None:
    """Calls `callback` (which must not block or raise) when this write transaction has committed, else never.

    What counts in a metric is counted this way, since a transaction that rolls back has done nothing.
    """
    assert tx.sync_connection is not None
    tx.sync_connection.get_execution_options()[_ON_COMMIT].append(callback)


@asynccontextmanager
async def savepoint(tx: Transaction) -> AsyncIterator[None]:
    """A part of a write transaction: when the block raises, what it did is undone, and the rest goes on."""
    assert tx.sync_connection is not None
    committed = tx.sync_connection.get_execution_options()[_ON_COMMIT]
    before = len(committed)
    try:
        async with tx.begin_nested():
            yield
    except BaseException:
        del committed[before:]
        raise


class Database:
    """One database. `write()` and `read()` are the ways to it.

    On SQLite writers of this process take turns on a fair lock, since SQLite's own wait for a lock is a polling one,
    and a write transaction starts as BEGIN IMMEDIATE so that it never fails half-way for want of the lock.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._sqlite = settings.is_sqlite
        self._engine = _create_sqlite_engine(settings) if self._sqlite else postgres.create_engine(settings)
        self._commits = None if settings.sqlite_file is None else SqliteCommits(settings.sqlite_file)
        self._writer = asyncio.Lock()
        self._turn_seconds = 2 * settings.busy_timeout_seconds
        self._long = asyncio.Semaphore(_LONG_AT_ONCE)
        self._refused_last_write = False
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Calls `callback` (which must not block or raise) after each commit of this process."""
        self._after_commit.append(callback)

    def commits(self) -> int | None:
        """A number that is another one once anything has committed, in whatever process; None where none is known.

        Blocks for microseconds. Always asked in the same thread.
        """
        return None if self._commits is None else self._commits.number()

    @property
    def is_sqlite(self) -> bool:
        return self._sqlite

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Raises UnavailableError when the database does not answer, is read-only, locked too long or full, or gave way to
        another transaction. If that happens while it commits, it is unknown whether it did.
        """
        committed: list[Callable[[], None]] = []
        async with AsyncExitStack() as stack:
            if self._sqlite:
                await self._take_turn(stack)
            try:
                async with self._transaction() as connection:
                    await connection.execution_options(**{_WRITES: True, _ON_COMMIT: committed})
                    await connection.begin()
                    yield connection
                    await connection.commit()
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
        async with self._transaction() as connection:
            yield connection

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Transaction]:
        """For a single statement that reads and is asked again and again. Raises UnavailableError.

        On SQLite no transaction is opened around it: its thread is woken once in place of three times. On PostgreSQL
        to begin one is how a connection of the pool is found alive, so there it is `read`.
        """
        async with self._transaction() as connection:
            if self._sqlite:
                await connection.execution_options(**{_ALONE: True})
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Transaction]:
        """A transaction for reading in which all reads see one moment of the database, that of the first read.

        For what is read in several statements and has to fit together. Raises UnavailableError.
        """
        async with self.read() as connection:
            if not self._sqlite:  # on SQLite in WAL mode every transaction is that
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        """A connection whose open transaction is rolled back at the end, with the driver's errors translated."""
        with cancellation_kept():
            try:
                async with self._connection() as connection:
                    yield connection
            except DBAPIError as error:  # of the rollback too, whose connection may have died meanwhile
                problem = _sqlite_problem(error) if self._sqlite else postgres.problem(error)
                if problem is None:
                    raise
                raise problem from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Transaction]:
        """A connection that goes back to the pool at the end, or nowhere when its server may never answer on it."""
        async with AsyncExitStack() as stack:
            connection = await self.connect(stack)
            stack.push_async_exit(partial(_roll_back, connection))
            try:
                yield connection
            except (TimeoutError, asyncio.CancelledError) as error:
                if not self._sqlite:  # a server that was not waited for may never answer to a rollback either
                    await connection.invalidate()
                if isinstance(error, TimeoutError):
                    raise UnavailableError(_SILENT) from error
                raise
            except DBAPIError as error:
                if postgres.takes_no_writes(error):  # nor does it on the other connections to that server
                    await connection.invalidate()
                    await self._engine.dispose()
                raise

    async def connect(self, stack: AsyncExitStack) -> Transaction:
        """A connection of the pool, in no transaction yet, until the stack closes. Raises UnavailableError.

        For `storage.locks`, whose locks belong to a connection: everything else goes through `write` and `read`.
        """
        with cancellation_kept():
            try:
                return await stack.enter_async_context(self._engine.connect())
            except PoolTimeoutError as error:
                raise UnavailableError("no connection to the database came free in time") from error
            except TimeoutError as error:
                raise UnavailableError(_SILENT) from error
            except (DBAPIError, OSError) as error:
                problem = _sqlite_problem(error) if self._sqlite else postgres.connection_problem(error)
                raise problem or error from error

    async def ping(self) -> None:
        """Raises UnavailableError when the database does not answer, or still refuses writes after it refused one."""
        async with self.read() as tx:
            await tx.execute(text("SELECT 1"))
        if self._refused_last_write and self._sqlite:
            async with self.write() as tx:
                await tx.exec_driver_sql(
                    "PRAGMA user_version = 1"
                )  # writes a page, as a read or an empty commit does not

    async def forget_deleted(self) -> bool:
        """Takes what was deleted out of the database's files, as far as the program can; False: try it again later.

        On SQLite, which writes zeros over it (`secure_delete`), the log of changes is emptied too, unless somebody
        reads it at this moment. PostgreSQL reuses the room when it likes: docs/retention.md. Raises UnavailableError.
        """
        if not self._sqlite:
            return True
        async with self._transaction() as connection:
            raw = await connection.get_raw_connection()  # in no transaction, which a checkpoint cannot be in
            assert raw.driver_connection is not None
            try:
                cursor = await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy, _, _ = await cursor.fetchone()
                await cursor.close()
            except sqlite3.OperationalError:
                return False
            return not busy

    @asynccontextmanager
    async def for_long_statements(self) -> AsyncIterator["Database"]:
        """The same database with a connection of its own, whose statements may take hours, as migrations may.

        At most two at once in this process, whoever asks how often. Raises BusyError when others take too long.
        """
        async with AsyncExitStack() as stack:
            await self._take_long_turn(stack)
            if self._sqlite:  # limits no statement
                yield self
                return
            limits = {"statement_timeout_seconds": _LONG_STATEMENT_SECONDS, "pool_size": 1}
            patient = Database(self._settings.model_copy(update=limits))
            stack.push_async_callback(patient.close)
            yield patient

    async def _take_long_turn(self, stack: AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(self._turn_seconds):
                await self._long.acquire()
        except TimeoutError as error:
            message = "Other reports are being made at this moment: try again in a minute."
            raise BusyError(message, _LONG_RETRY_SECONDS) from error
        stack.callback(self._long.release)

    async def close(self) -> None:
        if self._commits is not None:
            self._commits.close()
        await self._engine.dispose()


async def _roll_back(connection: Transaction, *_ended: object) -> None:
    """Ends what is not committed. Raises UnavailableError when that is not answered, and gives the connection up."""
    try:
        await connection.rollback()
    except TimeoutError as error:
        await connection.invalidate()
        raise UnavailableError(_SILENT) from error


def _sqlite_problem(error: Exception) -> UnavailableError | IntegrityError | None:
    if isinstance(error, OperationalError):
        return UnavailableError(f"the database refused: {error.orig}")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return UnavailableError(f"the connection to the database was lost: {error.orig}")
    if type(error) is DatabaseError:  # SQLite says so of a file that is damaged or is none of its own
        return IntegrityError(f"the database is damaged: {error.orig}. Restore it from a backup")
    return None


def _create_sqlite_engine(settings: DatabaseSettings) -> AsyncEngine:
    engine = create_async_engine(
        settings.url.get_secret_value(),
        module=SqliteDriver(),
        connect_args={"timeout": settings.busy_timeout_seconds},
        pool_size=settings.pool_size,
        pool_timeout=10,
        # Parameters are names, case numbers and texts of threats: an error message must not carry them to a log.
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """WAL lets readers go on while one writes; FULL makes a commit survive a loss of power.

    What is deleted is written over with zeros, so that no key of a purged picture stays in a page that is free (P24).
    """
    connection.isolation_level = None  # the driver must not open transactions by itself: `_begin_sqlite` does
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_ALONE):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES) else "BEGIN")
