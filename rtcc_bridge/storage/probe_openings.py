"""Who has opened which probe: an approval by somebody who never did is a sign of misuse (P27)."""

from datetime import datetime

from sqlalchemy import select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.tables import probe_openings


async def note(tx: Transaction, probe_id: str, account: str, at: datetime) -> None:
    """Keeps the first time."""
    await insert_if_absent(tx, probe_openings, {"probe_id": probe_id, "account": account, "opened_at": at})


async def first(tx: Transaction, probe_id: str, account: str) -> datetime | None:
    """When the account opened the probe for the first time; None when it never did."""
    query = select(probe_openings.c.opened_at).where(
        probe_openings.c.probe_id == probe_id, probe_openings.c.account == account
    )
    found: datetime | None = await tx.scalar(query)
    return found
