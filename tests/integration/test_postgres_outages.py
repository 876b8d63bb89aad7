"""PostgreSQL is killed, restarted, stopped, slow, read-only or replaced: an outage, and over when it is over."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgresql

LIMIT_SECONDS = 30.0
"""Guards a test against hanging; nothing is asserted about it."""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer(durable=True) as started:
        yield started


@asynccontextmanager
async def opened(url: str, **limits: Any) -> AsyncIterator[Database]:
    """A database with a table of numbers, and short limits unless they are given."""
    settings = {"statement_timeout_seconds": 5, "connect_timeout_seconds": 5, "pool_size": 4} | limits
    database = Database(DatabaseSettings(url=SecretStr(url), **settings))
    try:
        async with database.write() as tx:
            await tx.execute(text("CREATE TABLE IF NOT EXISTS numbers (number integer PRIMARY KEY)"))
        yield database
    finally:
        await database.close()


@pytest.fixture
async def database(server: PostgresServer) -> AsyncIterator[Database]:
    async with opened(server.url()) as made:
        yield made


async def add(database: Database, number: int) -> None:
    async with database.write() as tx:
        await tx.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})


async def numbers(database: Database) -> list[int]:
    async with database.read() as tx:
        return list((await tx.execute(text("SELECT number FROM numbers ORDER BY number"))).scalars())


async def fill_pool(database: Database) -> None:
    """Opens as many connections as the pool keeps."""
    ready = asyncio.Barrier(4)

    async def hold() -> None:
        async with database.read() as tx:
            await tx.execute(text("SELECT 1"))
            await ready.wait()

    await asyncio.gather(*(hold() for _ in range(4)))


async def until_it_works(database: Database, number: int) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                return await add(database, number)
            except UnavailableError:
                await asyncio.sleep(0.02)


async def end_other_sessions(database: Database) -> None:
    ended = text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    async with database.read() as tx:
        await tx.execute(ended)


async def test_a_session_that_is_killed_in_a_transaction_leaves_nothing(
    database: Database, server: PostgresServer
) -> None:
    async def write_twice() -> None:
        async with opened(server.url()) as administrator, database.write() as tx:
            await tx.execute(text("INSERT INTO numbers VALUES (1)"))
            await end_other_sessions(administrator)
            await tx.execute(text("INSERT INTO numbers VALUES (2)"))

    with pytest.raises(UnavailableError):
        await write_twice()
    assert await numbers(database) == []
    await add(database, 3)
    assert await numbers(database) == [3]


async def test_a_pool_of_dead_connections_costs_nobody_an_error(database: Database, server: PostgresServer) -> None:
    await fill_pool(database)
    async with opened(server.url()) as administrator:
        await end_other_sessions(administrator)
    await asyncio.gather(*(add(database, number) for number in range(8)))
    assert await numbers(database) == list(range(8))


async def test_a_transaction_asks_the_server_for_nothing_but_what_it_is(database: Database) -> None:
    """Whether the connection lives is told by its own beginning: a question before it doubled the round trips.

    The driver's log does not hold what is executed as a prepared statement, which INSERT and SELECT are.
    """
    asked: list[str] = []
    async with database.read() as tx:
        driver = (await tx.get_raw_connection()).driver_connection
        assert driver is not None
        driver.add_query_logger(lambda query: asked.append(query.query.split()[0].rstrip(";")))
    asked.clear()
    await add(database, 1)
    await numbers(database)
    assert asked == ["BEGIN", "COMMIT", "BEGIN", "ROLLBACK"]


async def test_a_restart_between_two_transactions_goes_unnoticed(database: Database, server: PostgresServer) -> None:
    await fill_pool(database)
    await add(database, 1)
    server.restart()
    await add(database, 2)
    assert await numbers(database) == [1, 2]


async def test_what_was_committed_survives_a_crash_and_what_was_not_is_gone(
    database: Database, server: PostgresServer
) -> None:
    await add(database, 1)

    async def write_and_crash() -> None:
        async with database.write() as tx:
            await tx.execute(text("INSERT INTO numbers VALUES (2)"))
            server.kill()

    with pytest.raises(UnavailableError):
        await write_and_crash()
    with pytest.raises(UnavailableError):
        await database.ping()
    server.start()
    await until_it_works(database, 3)
    assert await numbers(database) == [1, 3]


async def test_work_goes_on_when_a_database_that_was_gone_is_back(database: Database, server: PostgresServer) -> None:
    server.stop()
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await add(database, 1)
    work = asyncio.gather(*(until_it_works(database, number) for number in range(5)))
    server.start()
    await work
    assert await numbers(database) == list(range(5))


async def test_a_server_that_hangs_is_an_outage_and_no_hang(server: PostgresServer) -> None:
    async with opened(server.url(), statement_timeout_seconds=0.3, connect_timeout_seconds=0.3) as database:
        await fill_pool(database)
        server.pause()
        async with asyncio.timeout(LIMIT_SECONDS):
            outcomes = await asyncio.gather(*(add(database, number) for number in range(6)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {UnavailableError}
        server.resume()
        await until_it_works(database, 10)
        assert 10 in await numbers(database)


async def test_a_commit_that_is_never_answered_is_an_outage_and_no_hang(server: PostgresServer) -> None:
    async with opened(server.url(), statement_timeout_seconds=0.3, connect_timeout_seconds=0.3) as database:

        async def write_and_hang() -> None:
            async with asyncio.timeout(LIMIT_SECONDS), database.write() as tx:
                await tx.execute(text("INSERT INTO numbers VALUES (1)"))
                server.pause()

        with pytest.raises(UnavailableError):
            await write_and_hang()
        server.resume()
        await until_it_works(database, 2)


async def test_a_database_that_answers_late_is_waited_for(database: Database, server: PostgresServer) -> None:
    await fill_pool(database)
    server.pause()
    work = asyncio.create_task(add(database, 1))
    done, _ = await asyncio.wait([work], timeout=1)
    server.resume()
    assert not done
    await work
    assert await numbers(database) == [1]


async def test_a_statement_that_takes_too_long_is_ended_and_its_connection_kept(server: PostgresServer) -> None:
    async with opened(server.url(), statement_timeout_seconds=0.2, pool_size=1) as database:

        async def write_slowly() -> None:
            async with database.write() as tx:
                await tx.execute(text("INSERT INTO numbers VALUES (1)"))
                await tx.execute(text("SELECT pg_sleep(60)"))

        with pytest.raises(UnavailableError, match="statement timeout"):
            await write_slowly()
        assert await numbers(database) == []


async def test_a_lock_that_others_hold_is_not_waited_for_without_limit(server: PostgresServer) -> None:
    async with opened(server.url(), busy_timeout_seconds=0.2) as database, database.write() as holder:
        await holder.execute(text("LOCK TABLE numbers"))
        with pytest.raises(UnavailableError, match="lock"):
            await add(database, 1)


async def test_a_deadlock_is_an_outage_for_one_and_nothing_for_the_other(server: PostgresServer) -> None:
    async with opened(server.url()) as database:
        await add(database, 1)
        await add(database, 2)
        both = asyncio.Barrier(2)

        async def change(*order: int) -> None:
            async with database.write() as tx:
                for number in order:
                    await tx.execute(text("SELECT 1 FROM numbers WHERE number = :n FOR UPDATE"), {"n": number})
                    if number == order[0]:
                        await both.wait()

        outcomes = await asyncio.gather(change(1, 2), change(2, 1), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "UnavailableError"]


async def test_who_is_cancelled_while_the_server_dies_ends(server: PostgresServer) -> None:
    """Wherever in a read that is: some of these are in the driver's clearing up, whose error hid the cancellation."""
    async with opened(server.url(), pool_size=1) as database:
        for steps in range(10, 40, 5):
            await until_it_works(database, steps)
            reading = asyncio.create_task(numbers(database))
            for _ in range(steps):
                await asyncio.sleep(0)
            server.pause()
            asked = reading.cancel()
            await asyncio.sleep(0.02)  # the driver is to wait for the server's answer to its own clearing up
            server.kill()
            server.start()
            await asyncio.wait([reading], timeout=LIMIT_SECONDS)
            assert reading.cancelled() or not asked, steps


async def test_a_process_that_stops_in_a_transaction_does_not_keep_its_locks(server: PostgresServer) -> None:
    async with opened(server.url(), statement_timeout_seconds=0.5) as database, opened(server.url()) as other:

        async def lock_and_stop() -> None:
            async with database.write() as tx:
                await tx.execute(text("LOCK TABLE numbers"))
                await add(other, 1)  # waits until the server has ended the transaction that does nothing

        with pytest.raises(UnavailableError):
            await lock_and_stop()
        assert await numbers(other) == [1]


async def test_a_server_that_became_read_only_is_left_at_once(database: Database, server: PostgresServer) -> None:
    await fill_pool(database)
    await until_setting(database, server, "on")
    with pytest.raises(UnavailableError, match="takes no writes"):
        await add(database, 1)
    assert database.engine.pool.checkedin() == 0, "no connection to that server is kept"  # type: ignore[attr-defined]  # the pool in use has it


async def until_setting(database: Database, server: PostgresServer, value: str) -> None:
    """Sets `default_transaction_read_only` for all sessions, and waits until one that is open has it."""
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(f"ALTER SYSTEM SET default_transaction_read_only = {value}"))
        await connection.execute(text("SELECT pg_reload_conf()"))
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            async with database.read() as tx:
                if (await tx.execute(text("SHOW default_transaction_read_only"))).scalar_one() == value:
                    return
            await asyncio.sleep(0.02)


async def test_work_goes_on_at_the_host_that_took_over(server: PostgresServer) -> None:
    standby = server.make_standby()
    try:
        standby.start()
        url = f"postgresql+asyncpg://rtcc@/postgres?host={standby.address}&host={server.address}"
        async with opened(url) as database:
            await add(database, 1)  # went past the standby, which is named first
            async with opened(server.url()) as primary:
                await caught_up(primary)
            server.kill()
            with pytest.raises(UnavailableError):
                await add(database, 2)
            standby.promote()
            await until_it_works(database, 3)
            assert await numbers(database) == [1, 3]
    finally:
        standby.remove()


async def caught_up(primary: Database) -> None:
    behind = text("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()")
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            async with primary.read() as tx:
                if (await tx.execute(behind)).scalar_one() == 1:
                    return
            await asyncio.sleep(0.02)


async def test_a_host_that_never_answers_does_not_keep_the_next_from_being_tried(server: PostgresServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+asyncpg://rtcc@/postgres?host=127.0.0.1:{silent.getsockname()[1]}&host={server.address}"
        async with opened(url, connect_timeout_seconds=0.3) as database:
            await add(database, 1)


async def test_an_account_that_is_refused_is_told_without_its_password(server: PostgresServer) -> None:
    url = server.url().replace("rtcc@", "nobody:correct-horse@")
    with pytest.raises(UnavailableError, match="nobody") as raised:
        async with opened(url):
            pass
    assert "correct-horse" not in str(raised.value)


async def test_a_database_that_does_not_exist_is_told(server: PostgresServer) -> None:
    with pytest.raises(UnavailableError, match="there is no such database"):
        async with opened(server.url("elsewhere")):
            pass


async def test_postgresql_sees_who_we_are_and_how_we_isolate(server: PostgresServer) -> None:
    async with opened(server.url(), application_name="bridge-7") as database, database.read() as tx:
        query = text("SELECT current_setting('application_name'), current_setting('transaction_isolation')")
        assert tuple((await tx.execute(query)).one()) == ("bridge-7", "read committed")
