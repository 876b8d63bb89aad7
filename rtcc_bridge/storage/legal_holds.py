"""Legal holds: what is kept although its time is over, because somebody has said so (P24)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import insert, or_, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import legal_holds


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalHoldRecord:
    """One row: a hold on all of a case, or on one search. Both are none when the case of a lifted hold was purged."""

    hold_id: str
    case_number: str | None
    probe_id: str | None
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str | None = None
    lifted_at: datetime | None = None
    lift_reason: str | None = None


async def add(tx: Transaction, record: LegalHoldRecord) -> None:
    await tx.execute(insert(legal_holds).values(asdict(record)))


async def find(tx: Transaction, hold_id: str, *, lock: bool = False) -> LegalHoldRecord | None:
    query = select(legal_holds).where(legal_holds.c.hold_id == hold_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else LegalHoldRecord(**row)


async def standing_on(tx: Transaction, *, case_number: str | None, probe_id: str | None) -> LegalHoldRecord | None:
    """The hold that stands on just this, or None."""
    columns = legal_holds.c
    about = columns.case_number == case_number if case_number is not None else columns.probe_id == probe_id
    query = select(legal_holds).where(about & columns.lifted_at.is_(None)).order_by(columns.placed_at).limit(1)
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else LegalHoldRecord(**row)


async def page(tx: Transaction, *, standing_only: bool, limit: int) -> Sequence[LegalHoldRecord]:
    """The newest first."""
    query = select(legal_holds).order_by(legal_holds.c.placed_at.desc(), legal_holds.c.hold_id).limit(limit)
    if standing_only:
        query = query.where(legal_holds.c.lifted_at.is_(None))
    return [LegalHoldRecord(**row) for row in (await tx.execute(query)).mappings()]


async def lift(tx: Transaction, hold_id: str, *, lifted_by: str, at: datetime, reason: str) -> bool:
    """False when it was lifted before, or is not there."""
    where = (legal_holds.c.hold_id == hold_id) & legal_holds.c.lifted_at.is_(None)
    values = {"lifted_by": lifted_by, "lifted_at": at, "lift_reason": reason}
    return (await tx.execute(update(legal_holds).where(where).values(values))).rowcount == 1


async def forget_words(tx: Transaction, *, probe_id: str, case_number: str | None) -> None:
    """Takes case number and reasons out of lifted holds on what was purged."""
    about = [legal_holds.c.probe_id == probe_id]
    if case_number is not None:
        about.append(legal_holds.c.case_number == case_number)
    where = or_(*about) & legal_holds.c.lifted_at.is_not(None)
    await tx.execute(update(legal_holds).where(where).values(case_number=None, reason="", lift_reason=""))
