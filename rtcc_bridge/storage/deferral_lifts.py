"""When an administrator let an analyst's approvals be deferred again (P14)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import deferral_lifts


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralLift:
    """One row of `deferral_lifts`."""

    lift_id: str
    analyst: str
    lifted_by: str
    lifted_at: datetime
    reason: str


async def add(tx: Transaction, lift: DeferralLift) -> None:
    await tx.execute(deferral_lifts.insert().values(asdict(lift)))


async def latest(tx: Transaction) -> Mapping[str, datetime]:
    """By analyst the last time."""
    query = select(deferral_lifts.c.analyst, func.max(deferral_lifts.c.lifted_at)).group_by(deferral_lifts.c.analyst)
    return {row[0]: row[1] for row in await tx.execute(query)}


async def last_of(tx: Transaction, analyst: str) -> datetime | None:
    """The last time for this analyst; None when there was none."""
    query = select(func.max(deferral_lifts.c.lifted_at)).where(deferral_lifts.c.analyst == analyst)
    found: datetime | None = (await tx.execute(query)).scalar_one()
    return found
