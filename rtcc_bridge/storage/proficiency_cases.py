"""Seeded cases with a known answer: comparisons among the others in the review queue that never are a lead."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import proficiency_cases


@dataclass(frozen=True, slots=True, kw_only=True)
class ProficiencyCaseRecord:
    """One row of `proficiency_cases`.

    probe_image: the gallery image that stands for the still. candidates: [{ref, imageIds, isPerson}] as JSON; of at
    most one `isPerson` is true.
    """

    case_id: str
    gallery: str
    probe_image: int
    candidates: Sequence[Mapping[str, Any]]
    seeded_by: str
    seeded_at: datetime


async def add(tx: Transaction, record: ProficiencyCaseRecord) -> None:
    await tx.execute(insert(proficiency_cases).values(asdict(record)))


async def find(tx: Transaction, case_id: str) -> ProficiencyCaseRecord | None:
    query = select(proficiency_cases).where(proficiency_cases.c.case_id == case_id)
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else ProficiencyCaseRecord(**row)


async def newest(tx: Transaction, limit: int) -> Sequence[ProficiencyCaseRecord]:
    """The newest first."""
    query = select(proficiency_cases).order_by(proficiency_cases.c.seeded_at.desc(), proficiency_cases.c.case_id)
    return [ProficiencyCaseRecord(**row) for row in (await tx.execute(query.limit(limit))).mappings()]
