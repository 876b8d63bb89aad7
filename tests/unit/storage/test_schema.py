"""Migrations lead to just the tables that the program uses."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import schema
from rtcc_bridge.storage.engine import Database
from tests.databases import schema_difference


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Database]:
    opened = Database(DatabaseSettings(url=SecretStr(empty_database_url)))
    yield opened
    await opened.close()


async def test_the_migrations_make_the_tables_of_the_program(empty: Database) -> None:
    await schema.upgrade(empty)
    async with empty.read() as tx:
        assert await tx.run_sync(schema_difference) == []


async def test_upgrading_again_changes_nothing(empty: Database) -> None:
    await schema.upgrade(empty)
    await schema.upgrade(empty)
    async with empty.read() as tx:
        revisions = (await tx.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
    assert revisions == [schema.newest_revision()]
