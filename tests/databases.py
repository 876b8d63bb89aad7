"""The database that the tests run on: pytest's option --database, and a fresh database for each test."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import schema
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import LIVING_SOURCES, metadata
from tests.postgres_server import PostgresMissingError, PostgresServer

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
URL_VARIABLE: Final = "RTCC_TEST_POSTGRES"
ENROLLED: Final = "enrolled"
"""A second template: the database of `tests/e2e`'s place with a portrait in its gallery."""
_EMPTY: Final = "template0"
_ASKED: Final = "asked_to_flush_nothing"


def schema_difference(connection: Connection) -> list[object]:
    """By what the database differs from the tables of the program."""

    def is_compared(_: object, name: str | None, *__: object) -> bool:
        return name != LIVING_SOURCES or connection.dialect.name == SQLITE  # Alembic does not look at `ddl_if`

    context = MigrationContext.configure(connection, opts={"include_object": is_compared})
    return list(compare_metadata(context, metadata))


async def migrate(url: str) -> None:
    """Gives an empty database the present schema, as a daemon does that begins on it."""
    database = Database(DatabaseSettings(url=SecretStr(url)))
    try:
        await schema.upgrade(database)
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class TestServer:
    """A PostgreSQL server on which tests may create databases. template: one with the present schema.

    how: what CREATE DATABASE is told of how to copy a template.
    """

    __test__ = False

    administration_url: str
    template: str
    how: str = ""

    @asynccontextmanager
    async def fresh(self, *, with_schema: bool) -> AsyncIterator[str]:
        """The URL of a database of its own, which is dropped at the end."""
        name = f"test_{secrets.token_hex(6)}"
        await self._administer(f"CREATE DATABASE {name} TEMPLATE {self.template if with_schema else _EMPTY}{self.how}")
        try:
            yield self.url_of(name)
        finally:
            await self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def url_of(self, database: str) -> str:
        return f"{self.administration_url.rpartition('/')[0]}/{database}"

    async def let_in(self, url: str, *, allowed: bool) -> None:
        """Says whether anybody may connect to that database, and ends every session that is there."""
        name = url.rpartition("/")[2]
        await self._administer(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {str(allowed).lower()}")
        await self.end_sessions(url)

    async def take_writes(self, url: str, *, allowed: bool) -> None:
        """Says whether sessions of that database may write, and ends those that are there."""
        only_reads = "off" if allowed else "on"
        await self._administer(
            f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = {only_reads}"
        )
        await self.end_sessions(url)

    async def end_sessions(self, url: str, application: str | None = None) -> None:
        """Ends every session of that database, or those of one `application_name`."""
        which = f"datname = '{url.rpartition('/')[2]}'"
        if application is not None:
            which += f" AND application_name = '{application}'"
        await self._administer(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {which}")

    async def make_template(self) -> None:
        await self._administer(f"CREATE DATABASE {self.template} TEMPLATE {_EMPTY}")
        await migrate(self.url_of(self.template))

    def has(self, url: str) -> bool:
        """Whether that database is on this server."""
        return url == self.url_of(url.rpartition("/")[2])

    def url_of_template(self, name: str) -> str:
        """Of a second template, which is made by `create_template`."""
        return self.url_of(f"{self.template}_{name}")

    async def create_template(self, name: str) -> None:
        """There is nothing in it yet; it is copied when nobody is connected to it any more."""
        await self._administer(f"CREATE DATABASE {self.template}_{name} TEMPLATE {_EMPTY}")

    async def become(self, url: str, name: str) -> None:
        """Makes that database a copy of the second template of this name."""
        database = url.rpartition("/")[2]
        await self._administer(f"DROP DATABASE {database} WITH (FORCE)")
        await self._administer(f"CREATE DATABASE {database} TEMPLATE {self.template}_{name}{self.how}")

    async def drop_templates(self, *names: str) -> None:
        """The template, and the second ones of these names that were made."""
        for database in (self.template, *(f"{self.template}_{name}" for name in names)):
            await self._administer(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    async def _administer(self, statement: str) -> None:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(self.administration_url.replace("+asyncpg", ""))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


_server = pytest.StashKey[TestServer | None]()
_own_server = pytest.StashKey[PostgresServer]()


def start(config: pytest.Config) -> None:
    """Gives the run its server: one for all workers, started by the process that hands out the tests."""
    if config.getoption("--database") != POSTGRESQL:
        config.stash[_server] = None
        return
    handed: dict[str, str] | None = getattr(config, "workerinput", {}).get(POSTGRESQL)
    if handed is not None:
        config.stash[_server] = TestServer(**handed)
        return
    url = os.environ.get(URL_VARIABLE)
    if url is None:
        try:
            own = PostgresServer()
        except PostgresMissingError as missing:
            raise pytest.UsageError(f"--database {POSTGRESQL}: {missing}") from missing
        config.stash[_own_server] = own
        own.start()
        url = own.url()
    server = TestServer(url, f"rtcc_template_{secrets.token_hex(6)}", asyncio.run(_cheapest_copy(url)))
    asyncio.run(server.make_template())
    config.stash[_server] = server


async def _cheapest_copy(url: str) -> str:
    """File by file, which takes two thirds of what going through the log takes; older servers know no other way."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return " STRATEGY FILE_COPY" if connection.get_server_version().major >= 15 else ""
    finally:
        await connection.close()


def hand_to_worker(config: pytest.Config, workerinput: dict[str, Any]) -> None:
    """Tells a worker of pytest-xdist where the server is."""
    server = config.stash[_server]
    if server is not None:
        workerinput[POSTGRESQL] = asdict(server)


def stop(config: pytest.Config) -> None:
    """Ends what `start` started in this process."""
    if hasattr(config, "workerinput"):
        return
    if own := config.stash.get(_own_server, None):
        own.remove()
    elif server := config.stash.get(_server, None):
        asyncio.run(server.drop_templates(ENROLLED))


_compiled: Final[dict[tuple[str, str], tuple[Dialect, dict[Any, Any]]]] = {}


@event.listens_for(Engine, "engine_connect")
def share_what_is_compiled(connection: Connection) -> None:
    """Lets every test use the SQL that SQLAlchemy wrote for an earlier one: a daemon has each statement written once in
    its life, and writing them anew takes a fifth of the time of a test with a database of its own.

    What is kept goes by the dialect too, so that every engine of a kind gets the first one's.
    """
    own = connection.dialect
    dialect, compiled = _compiled.setdefault((own.name, own.driver), (own, {}))
    connection.dialect = connection.engine.dialect = dialect
    connection.execution_options(compiled_cache=compiled)


flushes = False
"""Whether SQLite flushes, for a test of that."""


@event.listens_for(Pool, "checkout")
def flush_nothing(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """SQLite's files end with their test, as those of PostgreSQL do: no commit waits for a disk. A process that is
    killed loses nothing by that, and the programs that tests start flush as always."""
    if isinstance(connection, AsyncAdapt_aiosqlite_connection) and not flushes and _ASKED not in record.info:
        record.info[_ASKED] = True
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.close()


def server_of(config: pytest.Config) -> TestServer | None:
    """The server of the run, or None when it runs on SQLite."""
    return config.stash[_server]
