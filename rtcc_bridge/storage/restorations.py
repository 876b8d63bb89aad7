"""Whether the database came out of a backup, and whether that was finished."""

from datetime import datetime

from sqlalchemy import delete, insert, select, update

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import restorations


async def begin(tx: Transaction, restoration_id: str, backup_id: str, at: datetime) -> None:
    """Notes a restoration that is under way, instead of one that was not finished."""
    await tx.execute(delete(restorations).where(restorations.c.finished_at.is_(None)))
    values = {"restoration_id": restoration_id, "backup_id": backup_id, "started_at": at}
    await tx.execute(insert(restorations).values(values))


async def finish(tx: Transaction, restoration_id: str, at: datetime) -> None:
    """From the commit on the database may be worked with."""
    where = restorations.c.restoration_id == restoration_id
    await tx.execute(update(restorations).where(where).values(finished_at=at))


async def unfinished(tx: Transaction) -> str | None:
    """The backup that is being restored, or None."""
    query = select(restorations.c.backup_id).where(restorations.c.finished_at.is_(None)).limit(1)
    return (await tx.execute(query)).scalar_one_or_none()


async def require_finished(tx: Transaction) -> None:
    """Raises ConfigurationError while a restoration is not finished: expunged people may still be in the gallery."""
    if (backup := await unfinished(tx)) is not None:
        problem = ConfigurationProblem(
            "database.url",
            f"the restoration of backup {backup} was not finished, so what was removed may be back",
            "Run the same `rtcc-bridge restore` again",
        )
        raise ConfigurationError(problem)
