"""Incidents that a supervisor opened while the feed was down (P01)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import provisional_incidents


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionalIncident:
    """One row. Until `reconcile_by` somebody has to say which incident of dispatch it is; else it is withdrawn."""

    incident_id: str
    opened_by: str
    opened_at: datetime
    reconcile_by: datetime
    reason: str
    reconciled_with: str | None = None
    reconciled_by: str | None = None
    reconciled_at: datetime | None = None
    withdrawn_at: datetime | None = None

    @property
    def is_waiting(self) -> bool:
        return self.reconciled_at is None and self.withdrawn_at is None

    def is_overdue(self, now: datetime) -> bool:
        """Whether it waits although its time is over: whoever withdraws it has not come to it yet."""
        return self.is_waiting and now >= self.reconcile_by


async def add(tx: Transaction, record: ProvisionalIncident) -> None:
    await tx.execute(provisional_incidents.insert().values(asdict(record)))


async def find(tx: Transaction, incident_id: str, *, lock: bool = False) -> ProvisionalIncident | None:
    """The row of this incident, or None. With `lock` nobody else changes it until the transaction ends."""
    query = select(provisional_incidents).where(provisional_incidents.c.incident_id == incident_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else ProvisionalIncident(**row)


async def change(tx: Transaction, incident_id: str, **values: Any) -> None:
    """Of a row that was found with `lock`."""
    where = provisional_incidents.c.incident_id == incident_id
    await tx.execute(update(provisional_incidents).where(where).values(values))


async def waiting(tx: Transaction, *, due: datetime | None = None, limit: int = 200) -> Sequence[ProvisionalIncident]:
    """Those that nobody has reconciled yet, the oldest first. due: only those whose time is over by then."""
    table = provisional_incidents
    query = select(table).where(table.c.reconciled_at.is_(None) & table.c.withdrawn_at.is_(None))
    if due is not None:
        query = query.where(table.c.reconcile_by <= due)
    rows = await tx.execute(query.order_by(table.c.reconcile_by, table.c.incident_id).limit(limit))
    return [ProvisionalIncident(**row) for row in rows.mappings()]
