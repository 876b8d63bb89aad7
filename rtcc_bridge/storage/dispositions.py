"""How cases were disposed of: until somebody has recorded it, what was released of them is held (P24)."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, delete, exists, func, insert, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import dispositions

REOPENED: Final = "reopened"
"""The one that takes the others back: the case goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispositionRecord:
    """One row. disposed_on: a date as in 2030-12-31."""

    disposition_id: str
    case_number: str
    disposition: str
    disposed_on: str
    recorded_by: str
    recorded_at: datetime


async def add(tx: Transaction, record: DispositionRecord) -> None:
    await tx.execute(insert(dispositions).values(asdict(record)))


async def is_known(tx: Transaction, disposition_id: str) -> bool:
    query = select(dispositions.c.disposition_id).where(dispositions.c.disposition_id == disposition_id)
    return (await tx.execute(query)).first() is not None


def last_disposed(case_number: ColumnElement[str] | str) -> ScalarSelect[Any]:
    """When the case was last disposed of; null where it never was, or was taken up again since."""
    later = dispositions.alias()
    reopened = exists().where(
        later.c.case_number == dispositions.c.case_number,
        later.c.disposition == REOPENED,
        later.c.recorded_at >= dispositions.c.recorded_at,
    )
    where = (dispositions.c.case_number == case_number) & (dispositions.c.disposition != REOPENED)
    query = select(func.max(dispositions.c.recorded_at)).where(where, ~reopened.correlate(dispositions))
    return query.scalar_subquery()


async def is_disposed(tx: Transaction, case_number: str) -> bool:
    return (await tx.execute(select(last_disposed(case_number)))).scalar_one() is not None


async def remove_of_case(tx: Transaction, case_number: str) -> None:
    await tx.execute(delete(dispositions).where(dispositions.c.case_number == case_number))
