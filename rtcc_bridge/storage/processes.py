"""The processes that work on this database: each has one row, which it writes anew as long as it lives.

All times are the database's own, so that a process whose clock is wrong is neither thought dead nor kept alive by it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select, update

from rtcc_bridge.storage.database_clock import database_now
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import processes

SILENT_SECONDS: Final = 10.0
"""A process that has not reported for this long counts as dead. It reports every two seconds, and takes up to two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """One row. dependencies: by name None, or the reason why it is not ready. unseen_seconds: since `seen_at`."""

    process_id: str
    roles: tuple[str, ...]
    started_at: datetime
    seen_at: datetime
    dependencies: Mapping[str, str | None]
    unseen_seconds: float

    @property
    def is_alive(self) -> bool:
        return self.unseen_seconds < SILENT_SECONDS


async def report(
    tx: Transaction, process_id: str, roles: Collection[str], dependencies: Mapping[str, str | None]
) -> datetime:
    """Writes that the process lives now, and how it is. Returns the time that the database wrote."""
    now = await database_now(tx)
    seen = {"seen_at": now, "dependencies": dict(dependencies)}
    known = await tx.execute(update(processes).where(processes.c.process_id == process_id).values(seen))
    if known.rowcount == 0:
        row = {"process_id": process_id, "roles": list(roles), "started_at": now, **seen}
        await tx.execute(insert(processes).values(row))
    return now


async def forget(tx: Transaction, process_id: str) -> None:
    """The process has ended, or is about to."""
    await tx.execute(delete(processes).where(processes.c.process_id == process_id))


async def forget_unseen(tx: Transaction, age: timedelta) -> None:
    """Deletes the rows of processes that have not been seen for so long."""
    await tx.execute(delete(processes).where(processes.c.seen_at < await database_now(tx) - age))


async def every(tx: Transaction) -> list[ProcessRecord]:
    """All rows, in the order in which the processes started."""
    now = await database_now(tx)
    rows = (await tx.execute(select(processes).order_by(processes.c.started_at, processes.c.process_id))).mappings()
    return [
        ProcessRecord(
            process_id=row["process_id"],
            roles=tuple(row["roles"]),
            started_at=row["started_at"],
            seen_at=row["seen_at"],
            dependencies=row["dependencies"],
            unseen_seconds=(now - row["seen_at"]).total_seconds(),
        )
        for row in rows
    ]
