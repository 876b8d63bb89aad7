"""Who waits for a lock of PostgreSQL."""

from sqlalchemy import text

from rtcc_bridge.storage.engine import Database


async def waiting_for_a_lock(database: Database) -> int:
    """How many transactions of this database wait for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with database.read() as tx:
        return int((await tx.execute(query)).scalar_one())


async def reaches(database: Database, waiting: int) -> bool:
    return await waiting_for_a_lock(database) == waiting
