"""Probes: the stills that analysts attached, and how far each has come."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, RowMapping, and_, false, func, or_, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import incidents, probes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """One row of `probes`.

    faces: what the detector found, as JSON: {number, box: {left, top, right, bottom}, landmarks: [[x, y] * 5],
    detectionScore, quality: {unifiedScore, verdict, components, sentences}}, in pixels of the upright picture after its
    edits, which are steps as `probes.edits` reads them.
    crop_landmarks: [[x, y] * 5] in pixels of the crop, whose sealed object is crop_height * crop_width * 3 bytes RGB.
    traceparent: the place in its trace of the last step that was taken with it. same_person_as: the probe whose
    approval covers this one as well, the still showing the same unknown person (P01). cut_from: which frame of which
    clip the still was, as `clips.provenance` writes it. purged_at: since then no picture, name or word of it is left
    (P24). named_incident_id: the incident that the still was attached to, while `incident_id` follows that one's
    merges (P08); None of what was attached before that was kept.
    """

    probe_id: str
    incident_id: str
    state: str
    lane: str
    exercise: bool
    purpose: str
    legal_basis: str
    case_number: str
    requestor: str
    analyst: str
    original_object: str | None = None
    original_sha256: str | None = None
    image_width: int | None = None
    image_height: int | None = None
    faces: Sequence[Mapping[str, Any]] | None = None
    chosen_face: int | None = None
    chosen_at: datetime | None = None
    crop_object: str | None = None
    crop_width: int | None = None
    crop_height: int | None = None
    crop_landmarks: Sequence[Sequence[float]] | None = None
    approval: str
    approve_by: datetime | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    policy_hash: str
    authority_at: datetime | None = None
    requested_at: datetime | None = None
    requests: int = 0
    state_reason: str | None = None
    traceparent: str | None = None
    warrant_or_exigency: str | None = None
    same_person_as: str | None = None
    edits: Sequence[Mapping[str, Any]] | None = None
    authority_token: Mapping[str, Any] | None = None
    crop_sha256: str | None = None
    purged_at: datetime | None = None
    cut_from: Mapping[str, Any] | None = None
    named_incident_id: str | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def attached_to(self) -> str:
        """The incident from which merges are followed to the one that decides about this probe."""
        return self.named_incident_id or self.incident_id


async def insert(tx: Transaction, record: ProbeRecord) -> None:
    await tx.execute(probes.insert().values(asdict(record)))


async def find(tx: Transaction, probe_id: str, *, lock: bool = False) -> ProbeRecord | None:
    """The probe, or None. With `lock` nobody else changes it until the transaction ends."""
    query = select(probes).where(probes.c.probe_id == probe_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else _record(row)


async def change(
    tx: Transaction, before: ProbeRecord, changes: Mapping[str, Any], *, at: datetime
) -> ProbeRecord | None:
    """Applies `changes` if state and approval are still those of `before`; None when somebody was faster."""
    where = (
        (probes.c.probe_id == before.probe_id)
        & (probes.c.state == before.state)
        & (probes.c.approval == before.approval)
    )
    statement = update(probes).where(where).values({**changes, "updated_at": at}).returning(probes)
    row = (await tx.execute(statement)).mappings().one_or_none()
    return None if row is None else _record(row)


async def of_incidents(
    tx: Transaction,
    incident_ids: Collection[str],
    states: Collection[str] | None = None,
    *,
    or_attached: bool = False,
    lock: bool = False,
) -> Sequence[ProbeRecord]:
    """The probes of these incidents, the oldest first; of those states only, if any are named. `lock`: see `find`.

    or_attached: also those that were attached to one of these, wherever merges have put them.
    """
    names = padded(incident_ids)
    attached = probes.c.named_incident_id.in_(names) if or_attached else false()
    query = select(probes).where(or_(probes.c.incident_id.in_(names), attached))
    if states is not None:
        query = query.where(probes.c.state.in_(states))
    query = query.order_by(probes.c.created_at, probes.c.probe_id)
    return await _all(tx, query.with_for_update() if lock else query)


async def with_approval_pending(tx: Transaction, states: Collection[str], limit: int) -> Sequence[ProbeRecord]:
    """Probes in these states that a supervisor has to decide on, the oldest choice first."""
    query = select(probes).where(_approval_pending(states)).order_by(probes.c.chosen_at, probes.c.probe_id)
    return await _all(tx, query.limit(limit))


async def move_to_incident(tx: Transaction, incident_id: str, into: str, *, at: datetime) -> int:
    """Lets the probes of an incident, and those that were attached to it, follow its merge; returns how many.

    into: the incident itself when a merge was taken back.
    """
    of_it = (probes.c.incident_id == incident_id) | (probes.c.named_incident_id == incident_id)
    statement = update(probes).where(of_it & (probes.c.incident_id != into))
    return (await tx.execute(statement.values(incident_id=into, updated_at=at))).rowcount


async def keep_authority(tx: Transaction, probe_id: str, token: Mapping[str, Any]) -> None:
    """Keeps the proof that the probe's authority was given by who may give it."""
    await tx.execute(update(probes).where(probes.c.probe_id == probe_id).values(authority_token=dict(token)))


async def mark_requested(tx: Transaction, before: ProbeRecord, *, at: datetime) -> ProbeRecord | None:
    """Counts one more request for a probe with authority; None when it has an outcome or somebody was faster."""
    where = (
        (probes.c.probe_id == before.probe_id)
        & (probes.c.state == before.state)
        & (probes.c.requests == before.requests)
    )
    values = {"requested_at": at, "requests": before.requests + 1, "updated_at": at}
    result = await tx.execute(update(probes).where(where).values(values))
    return await find(tx, before.probe_id) if result.rowcount == 1 else None


async def unanswered(
    tx: Transaction, requested_before: Sequence[datetime], limit: int, *, now: datetime
) -> Sequence[ProbeRecord]:
    """Probes with authority and no outcome that are due to be requested again; the longest waiting first.

    requested_before: what the last request has to be older than, for probes that were requested once, twice and so on;
    the last moment holds for all that were requested more often. A request later than `now` is of a clock that was set
    back since and says nothing about how long the probe waits, so it is due as well.
    """
    due = [
        (probes.c.requests >= times if times == len(requested_before) else probes.c.requests == times)
        & (probes.c.requested_at < moment)
        for times, moment in enumerate(requested_before, start=1)
    ]
    query = select(probes).where((probes.c.state == "authorized") & or_(probes.c.requested_at > now, *due))
    return await _all(tx, query.order_by(probes.c.requested_at, probes.c.probe_id).limit(limit))


async def count_unanswered(tx: Transaction, requests_at_least: int) -> int:
    """How many probes with authority have no outcome after that many requests."""
    query = select(func.count()).where((probes.c.state == "authorized") & (probes.c.requests >= requests_at_least))
    return int((await tx.execute(query)).scalar_one())


async def overdue(tx: Transaction, states: Collection[str], *, now: datetime, limit: int) -> Sequence[ProbeRecord]:
    """Probes in these states whose deferred approval did not come by its time (P14)."""
    query = select(probes).where(_approval_pending(states) & (probes.c.approve_by <= now))
    return await _all(tx, query.order_by(probes.c.approve_by, probes.c.probe_id).limit(limit))


async def waiting_for_search(
    tx: Transaction, *, approval: str, limit: int, approved_outside: tuple[datetime, datetime] | None = None
) -> Sequence[ProbeRecord]:
    """Probes with authority that were not searched yet, by what the authority rests on.

    approved_outside: those alone that were not approved after the first of these moments and by the second.
    """
    query = select(probes).where((probes.c.state == "authorized") & (probes.c.approval == approval))
    if approved_outside is not None:
        after, until = approved_outside
        query = query.where(or_(probes.c.approved_at <= after, probes.c.approved_at > until))
    return await _all(tx, query.order_by(probes.c.authority_at, probes.c.probe_id).limit(limit))


async def count_unapproved_deferrals(
    tx: Transaction, analyst: str, choosable: Collection[str], *, lifted_at: datetime | None = None
) -> int:
    """How many deferred approvals of this analyst have lapsed or have not come (P14), withdrawn probes too.

    lifted_at: what was over by then counts no more. The rows are held until the transaction ends, and so are the
    analyst's probes in the states `choosable`, which may be about to become deferrals: of two choices at the same
    moment one waits here and then counts the other.
    """
    counted = _unapproved_deferral()
    if lifted_at is not None:
        counted = counted & ~_over_by(lifted_at)
    query = select(counted).where((probes.c.analyst == analyst) & (counted | probes.c.state.in_(choosable)))
    rows = await tx.execute(query.order_by(probes.c.created_at, probes.c.probe_id).with_for_update())
    return sum(bool(row) for row in rows.scalars())


async def unapproved_deferrals(tx: Transaction) -> Sequence[ProbeRecord]:
    """All probes whose deferred approval has lapsed or has not come (P14), the oldest first."""
    return await _all(tx, select(probes).where(_unapproved_deferral()).order_by(probes.c.chosen_at, probes.c.probe_id))


def is_over_by(probe: ProbeRecord, moment: datetime) -> bool:
    """Whether nothing can come of the probe's deferred approval after that moment any more."""
    lapsed = probe.approval == "lapsed" and probe.approve_by is not None and probe.approve_by <= moment
    return lapsed or (probe.state == "withdrawn" and probe.updated_at <= moment)


async def newest_of_analyst(tx: Transaction, names: Collection[str], limit: int) -> Sequence[ProbeRecord]:
    """What this analyst attached, however the name is written, as long as it is kept; the newest first."""
    return await _newest_kept(tx, probes.c.analyst.in_(padded(sorted(names))), limit)


async def newest_approved_by(tx: Transaction, names: Collection[str], limit: int) -> Sequence[ProbeRecord]:
    """What this person approved, as long as it is kept; the newest first."""
    return await _newest_kept(tx, probes.c.approved_by.in_(padded(sorted(names))), limit)


async def _newest_kept(tx: Transaction, which: ColumnElement[bool], limit: int) -> Sequence[ProbeRecord]:
    query = select(probes).where(probes.c.purged_at.is_(None) & which)
    return await _all(tx, query.order_by(probes.c.created_at.desc(), probes.c.probe_id.desc()).limit(limit))


async def of_case(tx: Transaction, case_number: str) -> Sequence[ProbeRecord]:
    """The probes of this case, the oldest first."""
    query = select(probes).where(probes.c.case_number == case_number)
    return await _all(tx, query.order_by(probes.c.created_at, probes.c.probe_id))


async def telling_of(tx: Transaction, incident_ids: Collection[str]) -> Sequence[ProbeRecord]:
    """The probes that tell the case of these incidents: theirs, and those of the same case numbers; none was purged."""
    wanted, kept = padded(incident_ids), probes.c.purged_at.is_(None)
    theirs = probes.c.incident_id.in_(wanted)
    stated = select(probes.c.case_number).where(theirs & kept)
    dispatched = select(incidents.c.case_number).where(incidents.c.incident_id.in_(wanted))
    same_case = or_(theirs, probes.c.case_number.in_(stated), probes.c.case_number.in_(dispatched))
    return await _all(tx, select(probes).where(same_case & kept).order_by(probes.c.created_at, probes.c.probe_id))


async def covered_by(tx: Transaction, probe_id: str) -> Sequence[ProbeRecord]:
    """The further stills that the approval of this probe covers (P01), the oldest first."""
    query = select(probes).where(probes.c.same_person_as == probe_id)
    return await _all(tx, query.order_by(probes.c.created_at, probes.c.probe_id))


MOST_EARLIER: Final = 100


async def earlier_of_picture(tx: Transaction, probe: ProbeRecord) -> Sequence[ProbeRecord]:
    """Probes of the same picture that were attached before this one, the oldest first; at most the newest 100."""
    this, others = probes.alias(), probes
    query = select(others).select_from(this).join(others, _is_earlier_of_picture(others, this))
    query = query.where(this.c.probe_id == probe.probe_id)
    query = query.order_by(others.c.created_at.desc(), others.c.probe_id.desc()).limit(MOST_EARLIER)
    return list(reversed(await _all(tx, query)))


async def count_earlier_of_picture(tx: Transaction, probe_ids: Collection[str]) -> Mapping[str, int]:
    """How many such probes there are before each of these; one that has none is left out."""
    this, others = probes.alias(), probes
    earlier = func.count().label("earlier")
    query = select(this.c.probe_id, earlier).select_from(this).join(others, _is_earlier_of_picture(others, this))
    query = query.where(this.c.probe_id.in_(padded(probe_ids))).group_by(this.c.probe_id)
    return {row.probe_id: row.earlier for row in await tx.execute(query)}


def is_same_picture(others: FromClause, this: FromClause) -> ColumnElement[bool]:
    """The same bytes, or the same pixels of the chosen face; a probe is the same picture as itself."""
    return or_(others.c.original_sha256 == this.c.original_sha256, others.c.crop_sha256 == this.c.crop_sha256)


def is_same_person(others: FromClause, this: FromClause) -> ColumnElement[bool]:
    """The same picture, or another still that was declared to show the same unknown person (P01); never by a face."""
    return or_(
        is_same_picture(others, this),
        others.c.same_person_as == this.c.same_person_as,
        others.c.same_person_as == this.c.probe_id,
        others.c.probe_id == this.c.same_person_as,
    )


def _is_earlier_of_picture(others: FromClause, this: FromClause) -> ColumnElement[bool]:
    at_once = and_(others.c.created_at == this.c.created_at, others.c.probe_id < this.c.probe_id)
    return and_(is_same_picture(others, this), or_(others.c.created_at < this.c.created_at, at_once))


def _unapproved_deferral() -> ColumnElement[bool]:
    deferred = (probes.c.approval == "pending") & probes.c.approve_by.is_not(None)
    return (probes.c.approval == "lapsed") | deferred


def _over_by(moment: datetime) -> ColumnElement[bool]:
    """As `is_over_by`."""
    lapsed = (probes.c.approval == "lapsed") & (probes.c.approve_by <= moment)
    return lapsed | ((probes.c.state == "withdrawn") & (probes.c.updated_at <= moment))


def _approval_pending(states: Collection[str]) -> ColumnElement[bool]:
    return (probes.c.approval == "pending") & probes.c.state.in_(states)


async def page(tx: Transaction, after: ProbeRecord | None, limit: int) -> Sequence[ProbeRecord]:
    """All probes, the oldest first, so many at a time; `after` is the last one of the page before."""
    query = select(probes).order_by(probes.c.created_at, probes.c.probe_id).limit(limit)
    if after is not None:
        is_later = (probes.c.created_at == after.created_at) & (probes.c.probe_id > after.probe_id)
        query = query.where((probes.c.created_at > after.created_at) | is_later)
    return await _all(tx, query)


async def _all(tx: Transaction, query: Any) -> Sequence[ProbeRecord]:
    return [_record(row) for row in (await tx.execute(query)).mappings()]


def _record(row: RowMapping) -> ProbeRecord:
    return ProbeRecord(**row)
