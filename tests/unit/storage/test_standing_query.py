"""A question that is asked again and again costs nothing while nothing commits, and misses no commit of anybody."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.sqlite_commits import SqliteCommits
from rtcc_bridge.storage.standing_query import StandingQuery


class Numbers:
    """A table of numbers, and how often it was asked for them."""

    def __init__(self) -> None:
        self.asked = 0

    async def above(self, tx: Transaction, least: int) -> list[int]:
        self.asked += 1
        found = await tx.execute(text("SELECT number FROM numbers WHERE number > :least"), {"least": least})
        return list(found.scalars())


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture
async def database(empty_database_url: str) -> AsyncIterator[Database]:
    database = Database(DatabaseSettings(url=SecretStr(empty_database_url)))
    async with database.write() as tx:
        await tx.execute(text("CREATE TABLE numbers (number INTEGER)"))
    yield database
    await database.close()


async def add(database: Database, number: int) -> None:
    async with database.write() as tx:
        await tx.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})


async def test_it_sees_each_commit_of_this_process(database: Database, numbers: Numbers) -> None:
    query = StandingQuery(database, numbers.above)
    for number in range(1, 4):
        await add(database, number)
        assert await query.answer(0) == list(range(1, number + 1))


async def test_another_question_is_another_answer(database: Database, numbers: Numbers) -> None:
    query = StandingQuery(database, numbers.above)
    await add(database, 5)
    assert (await query.answer(0), await query.answer(5), await query.answer(0)) == ([5], [], [5])


@pytest.mark.sqlite
async def test_it_does_not_ask_again_while_nothing_commits(database: Database, numbers: Numbers) -> None:
    query = StandingQuery(database, numbers.above)
    await add(database, 5)
    assert [await query.answer(0) for _ in range(10)] == [[5]] * 10
    assert numbers.asked == 1


@pytest.mark.sqlite
async def test_it_sees_the_commit_of_another_connection_and_no_write_that_was_taken_back(
    database: Database, numbers: Numbers, tmp_path: Path
) -> None:
    query = StandingQuery(database, numbers.above)
    assert await query.answer(0) == []
    other = sqlite3.connect(tmp_path / "empty.sqlite3", isolation_level=None)
    try:
        for end, found, asked in (("ROLLBACK", [], 1), ("COMMIT", [7], 2)):
            other.execute("BEGIN IMMEDIATE")
            other.execute("INSERT INTO numbers VALUES (7)")
            assert await query.answer(0) == []
            other.execute(end)
            assert await query.answer(0) == found
            assert numbers.asked == asked
    finally:
        other.close()


@pytest.mark.sqlite
async def test_a_question_that_was_not_answered_is_asked_again(database: Database) -> None:
    asked = 0

    async def away_at_first(_tx: Transaction) -> int:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise UnavailableError("away")
        return asked

    query = StandingQuery(database, away_at_first)
    with pytest.raises(UnavailableError, match="away"):
        await query.answer()
    assert [await query.answer(), await query.answer()] == [2, 2]


@pytest.mark.sqlite
async def test_it_stands_in_no_checkpoints_way(database: Database, numbers: Numbers) -> None:
    await StandingQuery(database, numbers.above).answer(0)
    assert await database.forget_deleted(), "a reader keeps the log of changes from being emptied"


@pytest.mark.postgresql
async def test_postgresql_is_asked_each_time(database: Database, numbers: Numbers) -> None:
    query = StandingQuery(database, numbers.above)
    assert [await query.answer(0), await query.answer(0)] == [[], []]
    assert numbers.asked == 2


def test_no_number_is_known_of_a_file_that_is_not_there_or_is_no_database(tmp_path: Path) -> None:
    absent = SqliteCommits(tmp_path / "absent.sqlite3")
    assert absent.number() is None
    assert not (tmp_path / "absent.sqlite3").exists()
    (tmp_path / "other.sqlite3").write_text("this is no database" * 100)
    other = SqliteCommits(tmp_path / "other.sqlite3")
    assert other.number() is None
    other.close()
