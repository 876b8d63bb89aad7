"""Orders that one person asks for and another approves: to export a gallery (P30), to name lists to a court (P17)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Table, delete, insert, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import disclosure_orders, export_orders


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """What the rows of each kind hold. approved_by, approved_at: none while it waits for the second person."""

    order_id: str
    asked_by: str
    asked_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrderRecord(OrderRecord):
    """One row of `export_orders`. folder: a digest of where it is written to, once it was begun."""

    gallery: str
    with_pictures: bool
    reason: str
    folder: str | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosureOrderRecord(OrderRecord):
    """One row of `disclosure_orders`. court_order: which order of which court it rests on, in words."""

    lead_ids: Sequence[str]
    court_order: str
    made_at: datetime | None = None


_Record = TypeVar("_Record", bound=OrderRecord)


class OrderTable(Generic[_Record]):
    """The orders of one kind. used_at: the column of when one was carried out."""

    def __init__(self, table: Table, kind: type[_Record], used_at: str) -> None:
        self._table = table
        self._kind = kind
        self._used_at = used_at

    async def add(self, tx: Transaction, record: _Record) -> None:
        await tx.execute(insert(self._table).values(asdict(record)))

    async def find(self, tx: Transaction, order_id: str, *, lock: bool = False) -> _Record | None:
        """With `lock` nobody else changes it until the transaction ends."""
        query = select(self._table).where(self._table.c.order_id == order_id)
        row = (await tx.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        return None if row is None else self._kind(**row)

    async def newest(self, tx: Transaction, limit: int) -> Sequence[_Record]:
        """The newest first."""
        query = select(self._table).order_by(self._table.c.asked_at.desc(), self._table.c.order_id).limit(limit)
        return [self._kind(**row) for row in (await tx.execute(query)).mappings()]

    async def approve(self, tx: Transaction, record: _Record, *, approved_by: str, at: datetime) -> _Record:
        """Of an order that was found with `lock`."""
        await self._set(tx, record.order_id, approved_by=approved_by, approved_at=at)
        return replace(record, approved_by=approved_by, approved_at=at)

    async def use(self, tx: Transaction, order_id: str, at: datetime) -> None:
        """It was carried out: it is good for nothing more from here on."""
        await self._set(tx, order_id, **{self._used_at: at})

    async def remove_unused(self, tx: Transaction) -> int:
        """After a restoration nobody knows which of them were carried out. Returns how many there were."""
        return (await tx.execute(delete(self._table).where(self._table.c[self._used_at].is_(None)))).rowcount

    async def _set(self, tx: Transaction, order_id: str, **values: Any) -> None:
        await tx.execute(update(self._table).where(self._table.c.order_id == order_id).values(values))


class ExportOrderTable(OrderTable[ExportOrderRecord]):
    """Orders to export a gallery."""

    async def begin(self, tx: Transaction, order_id: str, folder: str) -> None:
        """Of an order that was found with `lock`: it is good for this folder alone from here on."""
        await self._set(tx, order_id, folder=folder)


EXPORT_ORDERS: Final = ExportOrderTable(export_orders, ExportOrderRecord, used_at="finished_at")
DISCLOSURE_ORDERS: Final = OrderTable(disclosure_orders, DisclosureOrderRecord, used_at="made_at")
