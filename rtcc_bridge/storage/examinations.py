"""Examinations: which examiner looks at which list, and how far each has come. What they think stands in `opinions`.

Nothing here differs with what another examiner thinks of the list, so a reviewer's session may read it (P12).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    case,
    cast,
    delete,
    exists,
    extract,
    func,
    insert,
    or_,
    select,
    update,
)

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.slices import slices
from rtcc_bridge.storage.tables import examinations, handed_over_examinations, leads, opinions, probes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminationRecord:
    """One row of `examinations`.

    candidates: [[this examiner's reference, the reference of the lead or of the seeded case], ...] in the order that
    this examiner sees. round: 1 for whoever took the lead, 2 for the peer review, 3 for the third examiner.
    """

    examination_id: str
    lead_id: str | None
    case_id: str | None
    round: int
    lane: str
    candidates: Sequence[Sequence[str]]
    reserved_for: str | None
    examiner: str | None
    opened_at: datetime
    taken_at: datetime | None
    filed_at: datetime | None
    closed_at: datetime | None

    @property
    def refs(self) -> tuple[str, ...]:
        """This examiner's references, in this examiner's order."""
        return tuple(own for own, _ in self.candidates)

    def meaning(self, ref: str) -> str | None:
        """What this examiner's reference stands for in the lead or in the seeded case; None when it is none of them."""
        return next((candidate for own, candidate in self.candidates if own == ref), None)


@dataclass(frozen=True, slots=True)
class WaitingReview:
    """A review that nobody has filed yet, with the people who may not be its examiner (P11).

    A seeded case has none of them.
    """

    record: ExaminationRecord
    bystanders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FiledReview:
    """A blind review of a lead that was concluded. has_third: whether a third examiner was asked for that lead."""

    examination_id: str
    lead_id: str
    round: int
    examiner: str
    opened_at: datetime
    filed_at: datetime
    has_third: bool


class ReviewTimes(NamedTuple):
    """How many microseconds each of some blind reviews lasted, and for how many of them a third examiner was asked."""

    lasted: Sequence[int]
    thirds: int


async def add(tx: Transaction, record: ExaminationRecord) -> None:
    await tx.execute(insert(examinations).values(asdict(record)))


async def change(tx: Transaction, record: ExaminationRecord) -> None:
    """Writes the present state. The caller has read it with `lock=True` in the same transaction."""
    where = examinations.c.examination_id == record.examination_id
    await tx.execute(update(examinations).where(where).values(asdict(record)))


async def find(tx: Transaction, examination_id: str, *, lock: bool = False) -> ExaminationRecord | None:
    """The examination, or None. With `lock` nobody else changes it until the transaction ends."""
    query = select(examinations).where(examinations.c.examination_id == examination_id)
    return await _one(tx, query.with_for_update() if lock else query)


async def of_round(tx: Transaction, lead_id: str, number: int, *, lock: bool = False) -> ExaminationRecord | None:
    """The lead's examination of that round, or None."""
    query = select(examinations).where((examinations.c.lead_id == lead_id) & (examinations.c.round == number))
    return await _one(tx, query.with_for_update() if lock else query)


async def of_lead(tx: Transaction, lead_id: str) -> Sequence[ExaminationRecord]:
    """The lead's examinations by round."""
    query = select(examinations).where(examinations.c.lead_id == lead_id).order_by(examinations.c.round)
    return [_record(row) for row in (await tx.execute(query)).mappings()]


async def of_leads(tx: Transaction, lead_ids: Iterable[str]) -> Sequence[ExaminationRecord]:
    """The examinations of several leads, those of each by round."""
    found: list[ExaminationRecord] = []
    for some in slices(sorted(set(lead_ids))):
        query = select(examinations).where(examinations.c.lead_id.in_(some))
        rows = await tx.execute(query.order_by(examinations.c.lead_id, examinations.c.round))
        found += [_record(row) for row in rows.mappings()]
    return found


async def newest_of(tx: Transaction, examiner: str, limit: int) -> Sequence[ExaminationRecord]:
    """What this examiner took, of leads and of seeded cases alike; what they took last comes first."""
    query = select(examinations).where(examinations.c.examiner == examiner)
    query = query.order_by(examinations.c.taken_at.desc(), examinations.c.examination_id).limit(limit)
    return [_record(row) for row in (await tx.execute(query)).mappings()]


async def of_cases(tx: Transaction, case_ids: Collection[str]) -> Sequence[ExaminationRecord]:
    """The examinations of these seeded cases, the newest first."""
    found: list[ExaminationRecord] = []
    for some in slices(sorted(case_ids)):
        query = select(examinations).where(examinations.c.case_id.in_(some))
        found += [_record(row) for row in (await tx.execute(query)).mappings()]
    found.sort(key=lambda one: one.examination_id)
    return sorted(found, key=lambda one: one.opened_at, reverse=True)


async def reviews_filed(tx: Transaction, since: datetime, before: datetime) -> Sequence[FiledReview]:
    """The blind reviews of leads that were filed in that time, the oldest first; no seeded case among them."""
    rows = await tx.execute(_reviews(since, before))
    return [FiledReview(**row) for row in rows.mappings()]


async def reviewers(tx: Transaction, since: datetime, before: datetime, *, at_least: int) -> Sequence[str]:
    """Who filed so many of the reviews that `reviews_filed` tells, or more."""
    examiner = examinations.c.examiner
    query = select(examiner).where((examinations.c.round > 1) & _filed(since, before)).group_by(examiner)
    return (await tx.execute(query.having(func.count() >= at_least).order_by(examiner))).scalars().all()


async def first_before_third(tx: Transaction, since: datetime, before: datetime) -> Sequence[FiledReview]:
    """Of each examiner the oldest among them after which a third examiner was asked, where there is one."""
    each = _reviews(since, before).where((examinations.c.round < 3) & _has_third())
    place = func.row_number().over(
        partition_by=examinations.c.examiner, order_by=(examinations.c.filed_at, examinations.c.examination_id)
    )
    placed = each.add_columns(place.label("place")).order_by(None).subquery()
    columns = [placed.c[one.name] for one in fields(FiledReview)]
    rows = await tx.execute(select(*columns).where(placed.c.place == 1).order_by(placed.c.examiner))
    return [FiledReview(**row) for row in rows.mappings()]


async def reviews_of(
    tx: Transaction, examiner: str, since: datetime, before: datetime, behind: FiledReview | None, limit: int
) -> Sequence[FiledReview]:
    """At most so many of this examiner's among them, the oldest first, those behind the last one of the page before."""
    filed_at, examination_id = examinations.c.filed_at, examinations.c.examination_id
    query = _reviews(since, before).where(examinations.c.examiner == examiner).limit(limit)
    if behind is not None:
        later = (filed_at == behind.filed_at) & (examination_id > behind.examination_id)
        query = query.where((filed_at > behind.filed_at) | later)
    return [FiledReview(**row) for row in (await tx.execute(query)).mappings()]


def _reviews(since: datetime, before: datetime) -> Select[Any]:
    columns = [examinations.c[one.name] for one in fields(FiledReview) if one.name != "has_third"]
    query = select(*columns, _has_third().label("has_third")).where((examinations.c.round > 1) & _filed(since, before))
    return query.order_by(examinations.c.filed_at, examinations.c.examination_id)


async def concluded_review_times(tx: Transaction, number: int, since: datetime, before: datetime) -> ReviewTimes:
    """Of the reviews of that round that `reviews_filed` tells, in no order: of leads on which nobody has to conclude
    any more. Nothing else of them is read, and the database joins the times to one text: there may be thousands, of
    which each row that is fetched costs more than its time does."""
    left = examinations.alias()
    is_open = left.c.lead_id.is_not(None) & left.c.filed_at.is_(None) & left.c.closed_at.is_(None)
    still_open = examinations.c.lead_id.in_(select(left.c.lead_id).where(is_open))  # few, found once for all
    where = (examinations.c.round == number) & _filed(since, before) & ~still_open
    lasted = func.aggregate_strings(cast(_lasted(tx), String), ",")
    thirds = func.sum(case((_has_third(), 1), else_=0))
    told, third = (await tx.execute(select(lasted, thirds).where(where))).one()
    return ReviewTimes([int(one) for one in (told or "").split(",") if one], third or 0)


def _lasted(tx: Transaction) -> ColumnElement[int]:
    """From opening to filing in microseconds. SQLite's moments are texts with six digits behind the second."""
    opened, filed = examinations.c.opened_at, examinations.c.filed_at
    if tx.dialect.name == "postgresql":
        return cast(func.round(extract("epoch", filed - opened) * 1_000_000), BigInteger)

    def since_1970(moment: ColumnElement[Any]) -> ColumnElement[int]:
        seconds = cast(func.strftime("%s", moment), Integer)
        return seconds * 1_000_000 + cast(func.substr(moment, 21, 6), Integer)

    return since_1970(filed) - since_1970(opened)


def _filed(since: datetime, before: datetime) -> ColumnElement[bool]:
    filed_at = examinations.c.filed_at
    return examinations.c.lead_id.is_not(None) & (filed_at >= since) & (filed_at < before)


def _has_third() -> ColumnElement[bool]:
    third = examinations.alias()
    return exists().where((third.c.lead_id == examinations.c.lead_id) & (third.c.round > 2))


async def waiting_reviews(tx: Transaction, account: str, limit: int) -> Sequence[WaitingReview]:
    """Reviews that this account has, or could take as far as the queue knows; the longest waiting first.

    An imminent one is before every routine one.
    """
    mine = or_(
        examinations.c.examiner == account,
        examinations.c.examiner.is_(None)
        & or_(examinations.c.reserved_for.is_(None), examinations.c.reserved_for == account),
    )
    is_open = examinations.c.filed_at.is_(None) & examinations.c.closed_at.is_(None) & (examinations.c.round > 1)
    people = (leads.c.acknowledged_by, probes.c.analyst, probes.c.requestor, probes.c.approved_by)
    joined = examinations.outerjoin(leads, leads.c.lead_id == examinations.c.lead_id)
    joined = joined.outerjoin(probes, probes.c.probe_id == leads.c.probe_id)
    query = select(examinations, *people).select_from(joined).where(is_open & mine)
    order = (examinations.c.lane != "imminent", examinations.c.opened_at, examinations.c.examination_id)
    rows = (await tx.execute(query.order_by(*order).limit(limit))).mappings()
    return [
        WaitingReview(
            _record({one.name: row[one.name] for one in examinations.c}),
            tuple(row[column.name] for column in people if row[column.name] is not None),
        )
        for row in rows
    ]


async def close_open(tx: Transaction, lead_id: str, at: datetime) -> None:
    """Closes what nobody has filed: the lead has ended."""
    where = (examinations.c.lead_id == lead_id) & examinations.c.filed_at.is_(None)
    await tx.execute(update(examinations).where(where).values(closed_at=at))


async def unfiled_of_round(tx: Transaction, number: int, limit: int) -> Sequence[ExaminationRecord]:
    """The examinations of leads in that round that somebody has to conclude, the longest waiting first."""
    is_open = examinations.c.filed_at.is_(None) & examinations.c.closed_at.is_(None)
    query = select(examinations).where(is_open & (examinations.c.round == number) & examinations.c.lead_id.is_not(None))
    query = query.order_by(examinations.c.opened_at, examinations.c.examination_id).limit(limit)
    return [_record(row) for row in (await tx.execute(query)).mappings()]


async def hand_over(tx: Transaction, record: ExaminationRecord, reason: str, at: datetime) -> None:
    """Takes the examination, and what was noted in it, from whom it was reserved for; that it was theirs is kept.

    The caller has read it with `lock=True` in the same transaction.
    """
    kept = ("examination_id", "lead_id", "candidates", "reserved_for", "opened_at", "taken_at")
    values = {name: getattr(record, name) for name in kept} | {"handed_over_at": at, "reason": reason}
    await tx.execute(delete(opinions).where(opinions.c.examination_id == record.examination_id))
    await tx.execute(delete(examinations).where(examinations.c.examination_id == record.examination_id))
    await tx.execute(insert(handed_over_examinations).values(values))


async def handed_over(tx: Transaction, lead_id: str) -> Sequence[tuple[str, str]]:
    """(examination id, whose it was) of each examination of the lead that was handed over, the oldest first."""
    table = handed_over_examinations.c
    query = select(table.examination_id, table.reserved_for).where(table.lead_id == lead_id)
    rows = await tx.execute(query.order_by(table.handed_over_at, table.examination_id))
    return [(row.examination_id, row.reserved_for) for row in rows]


async def count_unfiled(tx: Transaction, account: str) -> int:
    """How much work an examiner has before them."""
    theirs = or_(examinations.c.examiner == account, examinations.c.reserved_for == account)
    where = theirs & examinations.c.filed_at.is_(None) & examinations.c.closed_at.is_(None)
    return int((await tx.execute(select(func.count()).select_from(examinations).where(where))).scalar_one())


def taken(record: ExaminationRecord, account: str, at: datetime) -> ExaminationRecord:
    return replace(record, examiner=account, taken_at=at)


async def _one(tx: Transaction, query: Select[Any]) -> ExaminationRecord | None:
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else _record(row)


def _record(row: Any) -> ExaminationRecord:
    return ExaminationRecord(**row)
