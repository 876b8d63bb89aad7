"""Orders to export a live gallery: one person asks, another approves, one export is made (P30)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import export_orders


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrderRecord:
    """One row of `export_orders`. folder: a digest of where it is written to, once it was begun."""

    order_id: str
    gallery: str
    with_pictures: bool
    reason: str
    asked_by: str
    asked_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None
    folder: str | None = None
    finished_at: datetime | None = None


async def add(tx: Transaction, record: ExportOrderRecord) -> None:
    await tx.execute(insert(export_orders).values(asdict(record)))


async def find(tx: Transaction, order_id: str, *, lock: bool = False) -> ExportOrderRecord | None:
    """With `lock` nobody else changes it until the transaction ends."""
    query = select(export_orders).where(export_orders.c.order_id == order_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else ExportOrderRecord(**row)


async def newest(tx: Transaction, limit: int) -> Sequence[ExportOrderRecord]:
    """The newest first."""
    query = select(export_orders).order_by(export_orders.c.asked_at.desc(), export_orders.c.order_id).limit(limit)
    return [ExportOrderRecord(**row) for row in (await tx.execute(query)).mappings()]


async def approve(tx: Transaction, order_id: str, *, approved_by: str, at: datetime) -> None:
    """Of an order that was found with `lock`."""
    await _set(tx, order_id, approved_by=approved_by, approved_at=at)


async def begin(tx: Transaction, order_id: str, folder: str) -> None:
    """Of an order that was found with `lock`: it is good for this folder alone from here on."""
    await _set(tx, order_id, folder=folder)


async def finish(tx: Transaction, order_id: str, at: datetime) -> None:
    """It was carried out."""
    await _set(tx, order_id, finished_at=at)


async def remove_unfinished(tx: Transaction) -> int:
    """After a restoration nobody knows which of them were carried out. Returns how many there were."""
    return (await tx.execute(delete(export_orders).where(export_orders.c.finished_at.is_(None)))).rowcount


async def _set(tx: Transaction, order_id: str, **values: Any) -> None:
    await tx.execute(update(export_orders).where(export_orders.c.order_id == order_id).values(values))
