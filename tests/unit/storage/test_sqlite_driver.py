"""A statement wakes the driver's thread once, and one whose caller has gone is waited for as before."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database, Transaction


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    """With one connection, and a table of one column."""
    url = SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'driver.sqlite3'}")
    database = Database(DatabaseSettings(url=url, pool_size=1))
    async with database.write() as tx:
        await tx.execute(text("CREATE TABLE words (word TEXT UNIQUE)"))
    yield database
    await database.close()


async def words(database: Database) -> list[str]:
    async with database.read() as tx:
        return list((await tx.execute(text("SELECT word FROM words ORDER BY word"))).scalars())


async def add(tx: Transaction, word: str) -> None:
    await tx.execute(text("INSERT INTO words VALUES (:word)"), {"word": word})


async def test_each_statement_is_handed_over_once(file: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    handed_over = []
    execute: Any = aiosqlite.Connection._execute

    async def noting(connection: aiosqlite.Connection, function: Any, *arguments: Any, **options: Any) -> Any:
        handed_over.append(function)
        return await execute(connection, function, *arguments, **options)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", noting)
    async with file.write() as tx:
        await add(tx, "one")
        assert (await tx.execute(text("SELECT word FROM words"))).scalars().all() == ["one"]
    assert len(handed_over) == 4, "BEGIN, both statements and COMMIT"


async def test_several_rows_at_once_and_rows_that_are_given_back(file: Database) -> None:
    async with file.write() as tx:
        await tx.execute(text("INSERT INTO words VALUES (:word)"), [{"word": "one"}, {"word": "two"}])
        added = await tx.execute(text("INSERT INTO words VALUES ('three') RETURNING word"))
        assert added.scalar_one() == "three"
    async with file.read() as tx, tx.stream(text("SELECT word FROM words ORDER BY word")) as rows:
        assert [row.word async for row in rows] == ["one", "three", "two"]


async def query(tx: Transaction) -> None:
    await tx.execute(text("SELECT wait()"))


async def change(tx: Transaction) -> None:
    await tx.execute(text("INSERT INTO words SELECT 'late' WHERE wait()"))


async def change_twice(tx: Transaction) -> None:
    late = [{"word": "late"}, {"word": "later"}]
    await tx.execute(text("INSERT INTO words SELECT :word WHERE wait()"), late)


async def stream(tx: Transaction) -> None:
    async with tx.stream(text("SELECT wait() UNION ALL SELECT wait()")) as rows:
        assert [row async for row in rows] == []


@pytest.mark.parametrize("waits", [query, change, change_twice, stream])
async def test_a_statement_whose_caller_has_gone_is_waited_for_and_undone(
    file: Database, waits: Callable[[Transaction], Awaitable[None]]
) -> None:
    """Although the error of the task that was left holds on to it."""
    began, goes_on = threading.Event(), threading.Event()

    def wait() -> int:
        began.set()
        goes_on.wait()
        return 1

    async def left() -> None:
        async with file.write() as tx:
            raw = await tx.get_raw_connection()
            assert raw.driver_connection is not None
            await raw.driver_connection.create_function("wait", 0, wait)
            await add(tx, "undone")
            await waits(tx)

    task = asyncio.create_task(left())
    await asyncio.to_thread(began.wait)
    task.cancel()
    reading = asyncio.create_task(words(file))
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await reading == []
    async with file.write() as tx:
        await add(tx, "after")
    assert await words(file) == ["after"]
