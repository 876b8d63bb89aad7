"""The rounds of examining a lead: each examiner gets the list in an order of their own, under references of their own.

So what is known of the list elsewhere (the feed's references, another examiner's order) says nothing about it (P12).
Only whoever took the lead sees the lead's own references: the release goes by them.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rtcc_bridge.storage import examinations
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.leads import LeadRecord

FIRST: Final = 1
PEER: Final = 2
THIRD: Final = 3


async def open_first(tx: Transaction, lead: LeadRecord, examiner: str, now: datetime) -> ExaminationRecord:
    """The examination of whoever has just taken the lead."""
    refs = [candidate["candidateRef"] for candidate in lead.data["candidates"]]
    record = _record(lead, FIRST, [(ref, ref) for ref in refs], now, examiner=examiner)
    await examinations.add(tx, record)
    return record


async def open_blind(
    tx: Transaction, lead: LeadRecord, number: int, now: datetime, reserved_for: str | None = None
) -> ExaminationRecord:
    """An examination by somebody who learns nothing of the others: the whole list, the excluded ones too."""
    refs = [candidate["candidateRef"] for candidate in lead.data["candidates"]]
    record = _record(lead, number, shuffled(refs), now, reserved_for=reserved_for)
    await examinations.add(tx, record)
    return record


def shuffled(refs: Sequence[str]) -> list[tuple[str, str]]:
    """New references for these, each with what it stands for, in a random order."""
    listed = [(secrets.token_urlsafe(16), ref) for ref in refs]
    secrets.SystemRandom().shuffle(listed)
    return listed


def _record(
    lead: LeadRecord,
    number: int,
    listed: Sequence[tuple[str, str]],
    now: datetime,
    *,
    examiner: str | None = None,
    reserved_for: str | None = None,
) -> ExaminationRecord:
    return ExaminationRecord(
        examination_id=secrets.token_urlsafe(16),
        lead_id=lead.lead_id,
        case_id=None,
        round=number,
        lane=lead.lane,
        candidates=[[own, ref] for own, ref in listed],
        reserved_for=reserved_for,
        examiner=examiner,
        opened_at=now,
        taken_at=now if examiner is not None else None,
        filed_at=None,
        closed_at=None,
    )
