"""Work that one process does at a time, however many run.

On PostgreSQL the right to it is an advisory lock, which lives as long as its connection: when the process or its
connection dies, the server gives it to the next. SQLite serves one process, so there is nothing to lock.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from enum import IntEnum
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.storage.engine import Database, Transaction

_PROGRAM: Final = 0x72746363
"""The first half of every key ("rtcc"), so that no other program on the same database takes the same lock."""


LONGEST_STEP_SECONDS: Final = 60.0
"""For work of many steps that confirms its right before each: longer than one step takes while nothing is wrong."""


class Work(IntEnum):
    """What has one owner. The numbers are the second half of the keys: never give one another meaning."""

    RELAY = 1
    RECONCILER = 2
    SEGMENT_SCRUBBER = 3
    EVENT_FORGETTER = 4
    UPGRADE = 5
    THREATS = 6
    RETENTION = 7
    SEGMENT_COMPACTOR = 8
    AUDIT_SEQUENCER = 9
    AUDIT_COURIER = 10
    PURGE = 13
    SENT_PICTURES = 14
    TOPIC_READERS = 15
    TOPIC_RIGHTS = 16


class SoleRight:
    """The right to do the work."""

    def __init__(self, connection: Transaction | None) -> None:
        self._connection = connection

    async def confirm(self) -> None:
        """Raises UnavailableError when the connection, and with it the right, is gone."""
        if self._connection is not None:
            await _ask(self._connection, "SELECT 1")


UNCONTESTED: Final = SoleRight(None)
"""For whoever does the work because somebody asked for it, whether another process is at it or not."""


@asynccontextmanager
async def sole_right(
    database: Database, work: Work, *, confirmed_within_seconds: float | None = None
) -> AsyncIterator[SoleRight | None]:
    """Yields the right to the work, or None when another process has it. Does not wait. Raises UnavailableError.

    confirmed_within_seconds: whoever does not `confirm` as often as that loses the right, so that a process that was
    stopped without dying does not keep it. Without it the right lasts until the end of the block.
    """
    if database.is_sqlite:
        yield SoleRight(None)
        return
    async with AsyncExitStack() as stack:
        connection = await database.connect(stack)
        async with _needed(connection):
            await connection.execution_options(isolation_level="AUTOCOMMIT")  # may be held for hours: in no transaction
        if not await _ask(connection, "SELECT pg_try_advisory_lock(:program, :work)", program=_PROGRAM, work=work):
            yield None
            return
        # A closed connection is the release that cannot be forgotten.
        stack.push_async_callback(connection.invalidate)
        if confirmed_within_seconds is not None:
            milliseconds = str(round(confirmed_within_seconds * 1000))
            await _ask(connection, "SELECT set_config('idle_session_timeout', :limit, false)", limit=milliseconds)
        yield SoleRight(connection)


async def alone(database: Database, work: Work, step: Callable[[SoleRight], Awaitable[object]]) -> None:
    """Does `step` with the right to the work, which it has to `confirm` once a minute; nothing where another process
    has the right. Raises UnavailableError, and what `step` does.
    """
    async with sole_right(database, work, confirmed_within_seconds=LONGEST_STEP_SECONDS) as right:
        if right is not None:
            await step(right)


async def wait_for_turn(tx: Transaction, work: Work) -> None:
    """Lets one transaction at a time go on, however long the ones before take. SQLite has one writer anyway."""
    if tx.dialect.name != "postgresql":
        return
    limit = (await tx.execute(text("SHOW lock_timeout"))).scalar_one()
    await tx.execute(text("SET LOCAL lock_timeout = 0"))
    await tx.execute(text("SELECT pg_advisory_xact_lock(:program, :work)"), {"program": _PROGRAM, "work": int(work)})
    await tx.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": limit})


async def _ask(connection: Transaction, statement: str, **values: Any) -> Any:
    async with _needed(connection):
        return (await connection.execute(text(statement), values)).scalar_one()


@asynccontextmanager
async def _needed(connection: Transaction) -> AsyncIterator[None]:
    """Raises UnavailableError where the driver finds that the connection is gone, at whatever it was doing there."""
    by_the_driver = connection.dialect.loaded_dbapi.Error  # not wrapped by SQLAlchemy where it only sets an option
    try:
        yield
    except (DBAPIError, by_the_driver, OSError, TimeoutError) as error:
        await connection.invalidate()
        raise UnavailableError("the connection that holds a lock of the database was lost") from error
