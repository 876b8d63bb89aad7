"""An upgrade from every earlier revision keeps the rows and leaves a schema on which the earlier program still works.

New revisions are covered without a line here: the tests go through whatever the migrations hold. That these lead to
just the tables of the program is in `test_schema`.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.script import Script, ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import JSON, Boolean, Connection, DateTime, Integer, LargeBinary, MetaData, Table, insert, select, text

from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import schema
from rtcc_bridge.storage.engine import Database

KNOWN = ScriptDirectory.from_config(schema.configuration())
REVISIONS = [script.revision for script in reversed(list(KNOWN.walk_revisions()))]
BOOKKEEPING = {"alembic_version", "oldest_program"}


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Database]:
    opened = Database(DatabaseSettings(url=SecretStr(empty_database_url)))
    yield opened
    await opened.close()


def script(revision: str) -> Script:
    found = KNOWN.get_revision(revision)
    assert found is not None
    return found


def tables_of(connection: Connection) -> list[Table]:
    """As they are in the database, those that others refer to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name not in BOOKKEEPING]


def a_row(table: Table, number: int) -> dict[str, Any]:
    """One value of the right kind for each column; rows of the same number refer to each other."""
    return {column.name: a_value(column.type, number) for column in table.columns}


def a_value(kind: Any, number: int) -> Any:
    match kind:
        case Boolean():
            return True
        case Integer():
            return number
        case DateTime():
            return datetime(2026, 11, 24, 12, number, tzinfo=UTC)
        case LargeBinary():
            return bytes([number])
        case JSON():
            return {"number": number}
        case _:
            return f"r{number}"


def fill(connection: Connection, tables: list[Table], number: int) -> None:
    for table in tables:
        connection.execute(insert(table).values(a_row(table, number)))


def content(connection: Connection, tables: list[Table]) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: sorted(map(tuple, connection.execute(select(table)).all()), key=str) for table in tables}


@pytest.mark.parametrize("revision", REVISIONS)
async def test_rows_survive_and_the_earlier_program_can_go_on(empty: Database, revision: str) -> None:
    async with empty.write() as tx:
        await tx.run_sync(lambda connection: command.upgrade(schema.configuration(connection), revision))
    async with empty.write() as tx:
        earlier = await tx.run_sync(tables_of)
        await tx.run_sync(fill, earlier, 1)
    async with empty.read() as tx:
        before = await tx.run_sync(content, earlier)
    await schema.upgrade(empty)
    async with empty.read() as tx:
        assert await tx.run_sync(content, earlier) == before
    if REVISIONS.index(revision) >= REVISIONS.index(script(REVISIONS[-1]).module.oldest_program):
        async with empty.write() as tx:  # what the program of that revision writes, knowing no newer column
            await tx.run_sync(fill, earlier, 2)


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_revision_says_which_program_is_the_oldest_that_still_works(revision: str) -> None:
    stated = script(revision).module.oldest_program
    assert REVISIONS.index(stated) <= REVISIONS.index(revision)
    before = script(revision).down_revision
    if before is not None:
        assert isinstance(before, str)
        assert REVISIONS.index(script(before).module.oldest_program) <= REVISIONS.index(stated), "it can only rise"


def test_the_revisions_that_the_program_knows_are_those_of_the_migrations() -> None:
    """It reads their names alone."""
    assert schema.known_revisions() == REVISIONS
    assert schema.newest_revision() == KNOWN.get_current_head()
    assert all(schema.knows(revision) for revision in REVISIONS)
    assert not schema.knows("later")


def test_the_program_is_there_without_alembic() -> None:
    tells = "import sys; import rtcc_bridge.commands.serve; sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", tells], check=True)


async def test_a_start_that_finds_nothing_to_migrate_loads_no_migration(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await schema.upgrade(empty)
    monkeypatch.setattr(schema, "configuration", None)  # without it nobody finds them
    await schema.upgrade(empty)
    assert await schema.present_revision(empty) == REVISIONS[-1]
    async with empty.read() as tx:
        assert (await tx.execute(text("SELECT revision FROM oldest_program"))).scalar_one()


async def newer(database: Database, oldest: str | None) -> None:
    """Makes it look as if a later program had migrated the database."""
    await schema.upgrade(database)
    async with database.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = 'later'"))
        await tx.execute(text("DELETE FROM oldest_program"))
        if oldest is not None:
            await tx.execute(text("INSERT INTO oldest_program VALUES (:oldest)"), {"oldest": oldest})


@pytest.mark.parametrize("oldest", [REVISIONS[0], REVISIONS[-1]])
async def test_a_program_starts_beside_a_newer_one_that_allows_it(empty: Database, oldest: str) -> None:
    await newer(empty, oldest)
    await schema.upgrade(empty)
    async with empty.read() as tx:
        assert (await tx.execute(text("SELECT version_num FROM alembic_version"))).scalar_one() == "later"
        assert (await tx.execute(text("SELECT revision FROM oldest_program"))).scalar_one() == oldest


@pytest.mark.parametrize("oldest", [None, "later"])
async def test_a_program_that_is_too_old_for_the_database_is_refused(empty: Database, oldest: str | None) -> None:
    await newer(empty, oldest)
    with pytest.raises(ConfigurationError, match="revision later, which this program does not know"):
        await schema.upgrade(empty)


async def test_several_processes_that_upgrade_at_once_do_it_once(empty_database_url: str) -> None:
    several = [Database(DatabaseSettings(url=SecretStr(empty_database_url))) for _ in range(6)]
    await asyncio.gather(*(schema.upgrade(one) for one in several))
    async with several[0].read() as tx:
        assert (await tx.execute(text("SELECT version_num FROM alembic_version"))).scalars().all() == REVISIONS[-1:]
        assert len((await tx.execute(text("SELECT revision FROM oldest_program"))).all()) == 1
    await asyncio.gather(*(one.close() for one in several))
