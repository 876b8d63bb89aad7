"""Brings the database to the revision that this program was written for."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.storage.engine import Database

MIGRATIONS = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str | None:
    """The revision that the migrations lead to."""
    return ScriptDirectory.from_config(_config()).get_current_head()


async def upgrade(database: Database) -> None:
    """Runs the migrations that are missing, in one transaction.

    Raises ConfigurationError when the database was written by a newer program, UnavailableError when it does not answer
    or cannot be written.
    """

    def run(connection: Connection) -> None:
        known = ScriptDirectory.from_config(_config())
        present = MigrationContext.configure(connection).get_current_revision()
        try:
            if present is not None:
                known.get_revision(present)
        except CommandError as error:
            problem = ConfigurationProblem(
                "database.url",
                f"the database has revision {present}, which this program does not know",
                "Start the newer program that wrote it, or restore a backup",
            )
            raise ConfigurationError(problem) from error
        command.upgrade(_config(connection), "head")
        # SQLite lets a read-only database begin a write: only a write tells, and it should tell at the start.
        connection.execute(text("UPDATE alembic_version SET version_num = version_num"))

    async with database.write() as tx:
        await tx.run_sync(run)
