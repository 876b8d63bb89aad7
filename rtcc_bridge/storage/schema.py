"""Brings the database to the revision that this program was written for.

Revisions only add (nullable columns, tables, indexes), so that the program of before goes on working, and may start
again, on the new schema while the processes are replaced one after the other. Each revision says which program is the
oldest that still works on it (`oldest_program`), and the database keeps what the newest of them said.

Most starts find nothing to migrate. They load no migration, nor Alembic, which takes a tenth of a second.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, delete, insert, inspect, select, text

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import Work, wait_for_turn
from rtcc_bridge.storage.tables import oldest_program

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"

_log = structlog.get_logger(__name__)


def configuration(connection: Connection | None = None) -> "Config":
    """What Alembic needs to know."""
    from alembic.config import Config  # noqa: PLC0415 - most starts migrate nothing and need no Alembic

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def known_revisions() -> list[str]:
    """From the first to the one that the migrations lead to: the name of each one's file begins with it."""
    return sorted(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def newest_revision() -> str:
    """The revision that the migrations lead to."""
    return known_revisions()[-1]


def knows(revision: str) -> bool:
    """Whether this program knows that revision of the schema."""
    return revision in known_revisions()


async def present_revision(database: Database) -> str | None:
    """The revision of the database; None while it is empty. Changes nothing.

    Raises ConfigurationError when a newer program wrote it and this one does not work on it, UnavailableError.
    """
    async with database.read() as tx:
        return await tx.run_sync(_present_revision)


def _present_revision(connection: Connection) -> str | None:
    present = _stated_revision(connection)
    if present is not None and not knows(present):
        _require_compatible(connection, present)
    return present


def _stated_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


async def upgrade(database: Database) -> None:
    """Runs the migrations that are missing, in one transaction. Of several processes one does it, the others wait.

    A database of a newer program is left as it is, if it says that this program still works on it.

    Raises ConfigurationError when it does not say so, UnavailableError when the database does not answer, cannot be
    written, or a table stays locked by the work of others.
    """
    async with database.for_long_statements() as patient, patient.write() as tx:
        await wait_for_turn(tx, Work.UPGRADE)
        await tx.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    present = _stated_revision(connection)
    if present is not None and not knows(present):
        _require_compatible(connection, present)
        _log.info("a newer program has migrated the database: running beside it", revision=present)
        return
    if present != newest_revision():
        _migrate(connection)
    # Also when nothing had to be done: SQLite lets a read-only database begin a write, and only a write tells.
    connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - loaded by the starts that migrate, no others
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - likewise, with all migrations

    config = configuration(connection)
    command.upgrade(config, "head")
    head = ScriptDirectory.from_config(config).get_revision("head")
    assert head is not None
    connection.execute(delete(oldest_program))
    connection.execute(insert(oldest_program).values(revision=head.module.oldest_program))


def _require_compatible(connection: Connection, present: str) -> None:
    """Raises ConfigurationError unless the database lets a program as old as this one work on it."""
    stated = None
    if inspect(connection).has_table(oldest_program.name):
        stated = connection.execute(select(oldest_program.c.revision)).scalar_one_or_none()
    if stated is None or not knows(stated):
        wanted = "" if stated is None else f" and wants a program of revision {stated} at least"
        problem = ConfigurationProblem(
            "database.url",
            f"the database has revision {present}, which this program does not know{wanted}",
            "Start the newer program that wrote it, or restore a backup",
        )
        raise ConfigurationError(problem)
