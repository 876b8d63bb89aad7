"""Orders to identify everybody on lists of leads: one person asks, another approves, one packet is made (P17)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import disclosure_orders


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosureOrderRecord:
    """One row of `disclosure_orders`. court_order: which order of which court it rests on, in words."""

    order_id: str
    lead_ids: Sequence[str]
    court_order: str
    asked_by: str
    asked_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None
    made_at: datetime | None = None


async def add(tx: Transaction, record: DisclosureOrderRecord) -> None:
    await tx.execute(insert(disclosure_orders).values({**asdict(record), "lead_ids": list(record.lead_ids)}))


async def find(tx: Transaction, order_id: str, *, lock: bool = False) -> DisclosureOrderRecord | None:
    """With `lock` nobody else changes it until the transaction ends."""
    query = select(disclosure_orders).where(disclosure_orders.c.order_id == order_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else DisclosureOrderRecord(**row)


async def newest(tx: Transaction, limit: int) -> Sequence[DisclosureOrderRecord]:
    """The newest first."""
    table = disclosure_orders
    query = select(table).order_by(table.c.asked_at.desc(), table.c.order_id).limit(limit)
    return [DisclosureOrderRecord(**row) for row in (await tx.execute(query)).mappings()]


async def approve(tx: Transaction, order_id: str, *, approved_by: str, at: datetime) -> None:
    """Of an order that was found with `lock`."""
    await _set(tx, order_id, approved_by=approved_by, approved_at=at)


async def use(tx: Transaction, order_id: str, at: datetime) -> None:
    """Of an order that was found with `lock`: it is good for no other packet from here on."""
    await _set(tx, order_id, made_at=at)


async def remove_unused(tx: Transaction) -> int:
    """After a restoration nobody knows which of them were carried out. Returns how many there were."""
    return (await tx.execute(delete(disclosure_orders).where(disclosure_orders.c.made_at.is_(None)))).rowcount


async def _set(tx: Transaction, order_id: str, **values: Any) -> None:
    await tx.execute(update(disclosure_orders).where(disclosure_orders.c.order_id == order_id).values(values))
