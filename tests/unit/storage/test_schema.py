"""Migrations lead to just the tables that the program uses."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, text

from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import schema
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import metadata


@pytest.fixture
def empty(tmp_path: Path) -> Database:
    return Database(DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite3'}")))


def difference(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_the_migrations_make_the_tables_of_the_program(empty: Database) -> None:
    await schema.upgrade(empty)
    async with empty.read() as tx:
        assert await tx.run_sync(difference) == []
    await empty.close()


async def test_upgrading_again_changes_nothing(empty: Database) -> None:
    await schema.upgrade(empty)
    await schema.upgrade(empty)
    async with empty.read() as tx:
        revisions = (await tx.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
    assert revisions == [schema.newest_revision()]
    await empty.close()


async def test_a_database_of_a_newer_program_is_refused(empty: Database) -> None:
    await schema.upgrade(empty)
    async with empty.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    with pytest.raises(ConfigurationError, match="from-the-future"):
        await schema.upgrade(empty)
    await empty.close()
