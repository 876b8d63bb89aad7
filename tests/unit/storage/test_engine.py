"""Transactions: committed or rolled back as a whole, writers in turn, and failures told as what they are."""

import asyncio
import sqlite3
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError as DuplicateError

from rtcc_bridge.errors import BusyError, IntegrityError, UnavailableError
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database, Transaction, on_commit, savepoint
from tests import databases


@pytest.fixture
async def counter(database: Database) -> Database:
    async with database.write() as tx:
        await tx.execute(text("CREATE TABLE counter (value INTEGER NOT NULL)"))
        await tx.execute(text("INSERT INTO counter VALUES (0)"))
    return database


async def driver_threads_ended() -> None:
    """The driver does not wait for its thread after a failed connection, and the thread still answers to the loop."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 5)


async def value_of(database: Database) -> int:
    async with database.read() as tx:
        value: int = (await tx.execute(text("SELECT value FROM counter"))).scalar_one()
        return value


async def test_a_block_that_raises_leaves_nothing(counter: Database) -> None:
    commits: list[int] = []
    counter.after_commit(lambda: commits.append(1))

    async def fail_half_way() -> None:
        async with counter.write() as tx:
            await tx.execute(text("UPDATE counter SET value = 7"))
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        await fail_half_way()
    assert await value_of(counter) == 0
    assert commits == []


async def test_a_savepoint_that_raises_undoes_its_part_and_the_rest_commits(counter: Database) -> None:
    happened: list[str] = []

    async def fail_half_way(tx: Transaction) -> None:
        async with savepoint(tx):
            await tx.execute(text("UPDATE counter SET value = 8"))
            on_commit(tx, lambda: happened.append("inside"))
            raise RuntimeError("on the way")

    async with counter.write() as tx:
        await tx.execute(text("UPDATE counter SET value = 7"))
        on_commit(tx, lambda: happened.append("outside"))
        with pytest.raises(RuntimeError, match="on the way"):
            await fail_half_way(tx)
    assert await value_of(counter) == 7
    assert happened == ["outside"]


@pytest.mark.sqlite
@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)])
async def test_sqlite_is_opened_so_that_a_commit_survives_and_readers_go_on(
    pragma: str, value: str | int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "flushes", True)
    async with database.read() as reading, database.write() as writing:
        for tx in (reading, writing):
            assert (await tx.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value


@pytest.mark.sqlite
async def test_concurrent_writers_do_not_lose_updates(counter: Database) -> None:
    async def add_one() -> None:
        async with counter.write() as tx:
            value = (await tx.execute(text("SELECT value FROM counter"))).scalar_one()
            await asyncio.sleep(0)
            await tx.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    await asyncio.gather(*(add_one() for _ in range(50)))
    assert await value_of(counter) == 50


async def test_a_reader_sees_nothing_that_is_not_committed(counter: Database) -> None:
    async with counter.write() as tx:
        await tx.execute(text("UPDATE counter SET value = 7"))
        assert await value_of(counter) == 0
    assert await value_of(counter) == 7


async def test_a_read_transaction_keeps_nothing(counter: Database) -> None:
    async with counter.read() as tx:
        await tx.execute(text("UPDATE counter SET value = 9"))
    assert await value_of(counter) == 0


@pytest.mark.sqlite
async def test_a_look_opens_no_transaction_and_the_next_user_of_its_connection_gets_one(tmp_path: Path) -> None:
    url = SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'looked-at.sqlite3'}")
    database = Database(DatabaseSettings(url=url, pool_size=1))

    async def is_in_transaction(connection: Transaction) -> bool:
        await connection.execute(text("SELECT 1"))
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        return bool(driver.in_transaction)

    async with database.look() as tx:
        assert not await is_in_transaction(tx)
    async with database.read() as tx:
        assert await is_in_transaction(tx)
    await database.close()


@pytest.mark.sqlite
async def test_a_commit_survives_the_process_cold(counter: Database, tmp_path: Path) -> None:
    async with counter.write() as tx:
        await tx.execute(text("UPDATE counter SET value = 3"))
    with sqlite3.connect(tmp_path / "test.sqlite3") as other:
        assert other.execute("SELECT value FROM counter").fetchone() == (3,)
    other.close()


async def test_a_lock_held_elsewhere_is_unavailable_and_not_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "locked.sqlite3"
    settings = DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{file}"), busy_timeout_seconds=0.05)
    database = Database(settings)
    await database.ping()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="locked"):
        async with database.write():
            pass
    other.rollback()
    other.close()
    async with database.write() as tx:
        await tx.execute(text("CREATE TABLE it_works (value INTEGER)"))
    await database.close()


@pytest.mark.sqlite
async def test_a_database_that_became_read_only_is_unavailable(counter: Database) -> None:
    async def write_read_only() -> None:
        async with counter.write() as tx:
            await tx.execute(text("PRAGMA query_only = 1"))
            await tx.execute(text("UPDATE counter SET value = 7"))

    with pytest.raises(UnavailableError, match="readonly"):
        await write_read_only()


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    database = Database(DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such.sqlite3'}")))
    with pytest.raises(UnavailableError):
        await database.ping()
    await database.close()
    await driver_threads_ended()


async def test_an_error_says_nothing_of_the_values(counter: Database) -> None:
    async def write_twice() -> None:
        async with counter.write() as tx:
            await tx.execute(text("CREATE TABLE named (name TEXT PRIMARY KEY)"))
            for _ in range(2):
                await tx.execute(text("INSERT INTO named VALUES (:name)"), {"name": "a requestor's name"})

    with pytest.raises(DuplicateError) as raised:
        await write_twice()
    assert "requestor" not in str(raised.value)


async def test_a_pool_without_a_free_connection_is_unavailable(
    counter: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter.engine.pool, "_timeout", 0.05)
    async with AsyncExitStack() as stack:
        for _ in range(15):  # the pool and its overflow
            await stack.enter_async_context(counter.read())
        with pytest.raises(UnavailableError, match="came free"):
            await counter.ping()


async def test_a_damaged_file_is_a_breach(tmp_path: Path) -> None:
    file = tmp_path / "damaged.sqlite3"
    file.write_bytes(b"this is no database " * 1000)
    database = Database(DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{file}")))
    with pytest.raises(IntegrityError, match="damaged"):
        await database.ping()
    await database.close()
    await driver_threads_ended()


async def test_writers_do_not_queue_without_limit_behind_a_locked_file(tmp_path: Path) -> None:
    file = tmp_path / "locked.sqlite3"
    database = Database(DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{file}"), busy_timeout_seconds=0.2))
    await database.ping()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with database.write():
            pass

    outcomes = await asyncio.gather(*(write() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(outcome, UnavailableError) for outcome in outcomes)
    assert sum("other writers wait" in str(outcome) for outcome in outcomes) > 10
    with pytest.raises(UnavailableError):
        await database.ping()
    other.rollback()
    other.close()
    await database.ping()
    await database.close()


@pytest.mark.sqlite
async def test_what_was_deleted_is_in_none_of_the_files(tmp_path: Path) -> None:
    secret = b"a key that wraps a picture's" * 8
    url = SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'kept.sqlite3'}")
    database = Database(DatabaseSettings(url=url, busy_timeout_seconds=0.1))

    def files_with_it() -> list[str]:
        return [file.name for file in sorted(tmp_path.iterdir()) if secret in file.read_bytes()]

    try:
        async with database.write() as tx:
            await tx.execute(text("CREATE TABLE kept (value BLOB)"))
            await tx.execute(text("INSERT INTO kept VALUES (:value), (:value)"), {"value": secret})
        assert files_with_it()
        async with database.write() as tx:
            await tx.execute(text("DELETE FROM kept"))
        async with database.read() as tx:
            await tx.execute(text("SELECT * FROM kept"))
            assert not await database.forget_deleted(), "somebody reads: it has to be tried again"
        assert await database.forget_deleted()
        assert files_with_it() == []
    finally:
        await database.close()


async def test_long_statements_take_turns_so_that_reports_cannot_use_up_the_database(database_url: str) -> None:
    database = Database(DatabaseSettings(url=SecretStr(database_url), busy_timeout_seconds=0.1))
    try:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                patient = await stack.enter_async_context(database.for_long_statements())
                async with patient.read() as tx:
                    await tx.execute(text("SELECT 1"))
            with pytest.raises(BusyError, match="Other reports"):
                await stack.enter_async_context(database.for_long_statements())
        async with database.for_long_statements() as patient, patient.snapshot() as tx:
            assert (await tx.execute(text("SELECT 1"))).scalar_one() == 1
    finally:
        await database.close()
