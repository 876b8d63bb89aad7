"""The clock of the database: one for all processes."""

from datetime import datetime

from sqlalchemy import func, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import UtcDateTime


async def database_now(tx: Transaction) -> datetime:
    """When this transaction began, by the database; on SQLite, whose clock is this machine's, in whole seconds."""
    now: datetime = (await tx.execute(select(func.current_timestamp(type_=UtcDateTime)))).scalar_one()
    return now
