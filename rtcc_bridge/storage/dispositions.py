"""How cases were disposed of: until somebody has recorded it, what was released of them is held (P24)."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import dispositions


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


async def remove_of_case(tx: Transaction, case_number: str) -> None:
    await tx.execute(delete(dispositions).where(dispositions.c.case_number == case_number))
