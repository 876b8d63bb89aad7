"""Leads, and which persons of the gallery are on the list of which."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, exists, func, insert, or_, select, union, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.probes import is_same_person, is_same_picture
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import corroborations, incidents, lead_candidates, leads, probes


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadRecord:
    """One row of `leads`. `data` is the newest data that was published, as JSON values.

    traceparent: the place in its trace at which the lead was opened.
    """

    lead_id: str
    probe_id: str
    incident_id: str
    exercise: bool
    lane: str
    sequence: int
    result: str
    review_state: str
    data: Mapping[str, Any]
    candidates_object: str | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadCandidateRecord:
    """One row of `lead_candidates`: which person a published reference stands for."""

    candidate_ref: str
    lead_id: str
    subject_id: int


async def hold_probe(tx: Transaction, probe_id: str) -> None:
    """Lets one transaction at a time record the outcome of a probe: the second one then sees the lead of the first."""
    await tx.execute(select(probes.c.probe_id).where(probes.c.probe_id == probe_id).with_for_update())


async def add(tx: Transaction, record: LeadRecord, subjects: Iterable[tuple[str, int]]) -> None:
    """Adds a lead and its candidates, each as (candidate reference, subject id)."""
    await tx.execute(insert(leads).values(asdict(record)))
    rows = [{"candidate_ref": ref, "lead_id": record.lead_id, "subject_id": subject} for ref, subject in subjects]
    if rows:
        await tx.execute(insert(lead_candidates), rows)


async def change(tx: Transaction, record: LeadRecord) -> None:
    """Writes the lead's present state. The caller has read it with `lock=True` in the same transaction."""
    await tx.execute(update(leads).where(leads.c.lead_id == record.lead_id).values(asdict(record)))


async def find(tx: Transaction, lead_id: str, *, lock: bool = False) -> LeadRecord | None:
    """The lead, or None. With `lock` nobody else changes it until the transaction ends."""
    return await _one(tx, select(leads).where(leads.c.lead_id == lead_id), lock)


async def of_probe(tx: Transaction, probe_id: str, *, lock: bool = False) -> LeadRecord | None:
    """The probe's one lead, or None."""
    return await _one(tx, select(leads).where(leads.c.probe_id == probe_id), lock)


async def recorded_at(tx: Transaction, probe_ids: Collection[str]) -> dict[str, datetime]:
    """When the lead of each of these probes was recorded; a probe without a lead is left out."""
    query = select(leads.c.probe_id, leads.c.created_at).where(leads.c.probe_id.in_(padded(probe_ids)))
    return {row.probe_id: row.created_at for row in await tx.execute(query)}


async def newest(
    tx: Transaction,
    limit: int,
    *,
    incident_id: str | None = None,
    exercise: bool | None = None,
    states: Collection[str] | None = None,
) -> list[LeadRecord]:
    """The newest leads first; of one incident, or only exercises, or none of them; or in one of these states."""
    query = select(leads)
    if incident_id is not None:
        query = query.where(leads.c.incident_id == incident_id)
    if exercise is not None:
        query = query.where(leads.c.exercise.is_(exercise))
    query = query.order_by(leads.c.created_at.desc(), leads.c.lead_id).limit(limit)
    if states is None:
        return await _all(tx, query)
    # Each state for itself, which an index has in this order: for a rare one all leads would be gone through.
    found = [lead for state in states for lead in await _all(tx, query.where(leads.c.review_state == state))]
    by_id = sorted(found, key=lambda lead: lead.lead_id)
    return sorted(by_id, key=lambda lead: lead.created_at, reverse=True)[:limit]


async def acknowledgers(tx: Transaction, lead_ids: Collection[str]) -> Mapping[str, str]:
    """Who has taken these leads, by lead; those that nobody has are left out."""
    query = select(leads.c.lead_id, leads.c.acknowledged_by).where(leads.c.lead_id.in_(padded(lead_ids)))
    rows = await tx.execute(query.where(leads.c.acknowledged_by.is_not(None)))
    return {row.lead_id: row.acknowledged_by for row in rows}


async def of_incident(tx: Transaction, incident_id: str, states: Collection[str]) -> list[LeadRecord]:
    """The incident's leads in one of the states, locked, for changing them.

    Those of stills that were attached to it are among them, wherever merges have put them (P08).
    """
    attached = select(probes.c.probe_id).where(probes.c.named_incident_id == incident_id)
    of_it = or_(leads.c.incident_id == incident_id, leads.c.probe_id.in_(attached))
    return await _all(tx, _locked(select(leads).where(of_it, leads.c.review_state.in_(states))))


async def doubtful_incidents(
    tx: Transaction, states: Collection[str], ended: Collection[str], after: str, limit: int
) -> Sequence[str]:
    """Incidents after this one, by id, that have leads in one of the states and perhaps do not permit them.

    They, or what they were merged into, have ended, or are an exercise where the lead is none, or the other way round;
    or an absolutely refused type (P02) was named of them, or of what was merged into them. Leads count for the incident
    that their still was attached to as well. ended: the states of an incident that has. Whether two people have
    attested to a killing is not looked at here.
    """
    target, part = incidents.alias(), incidents.alias()
    own = select(leads.c.incident_id, leads.c.exercise).where(leads.c.incident_id > after)
    attached = select(probes.c.named_incident_id, leads.c.exercise).join(leads, leads.c.probe_id == probes.c.probe_id)
    attached = attached.where(probes.c.named_incident_id > after)
    live = union(*(one.where(leads.c.review_state.in_(states)) for one in (own, attached))).subquery("live")
    has_ended = or_(incidents.c.status.in_(ended), target.c.status.in_(ended))
    changed = func.coalesce(target.c.exercise, incidents.c.exercise) != live.c.exercise
    ended_or_changed = (
        select(live.c.incident_id)
        .join(incidents, incidents.c.incident_id == live.c.incident_id)
        .outerjoin(target, target.c.incident_id == incidents.c.merged_into)
        .where(or_(has_ended, changed))
    )
    within = select(live.c.incident_id, live.c.incident_id.label("part_id")).distinct().cte("within", recursive=True)
    merged = select(within.c.incident_id, part.c.incident_id).join(part, part.c.merged_into == within.c.part_id)
    within = within.union(merged)
    refused = (
        select(within.c.incident_id)
        .join(incidents, incidents.c.incident_id == within.c.part_id)
        .where(incidents.c.refused_type.is_not(None))
    )
    found = ended_or_changed.union(refused).subquery()
    query = select(found.c.incident_id).order_by(found.c.incident_id).limit(limit)
    return (await tx.execute(query)).scalars().all()


async def with_subject(tx: Transaction, subject_id: int, states: Collection[str]) -> list[LeadRecord]:
    """The leads in one of the states that list this person, locked, for changing them."""
    listing = select(lead_candidates.c.lead_id).where(lead_candidates.c.subject_id == subject_id)
    query = select(leads).where(leads.c.lead_id.in_(listing), leads.c.review_state.in_(states))
    return await _all(tx, _locked(query))


async def of_probes(tx: Transaction, probe_ids: Collection[str]) -> Mapping[str, LeadRecord]:
    """The leads of these probes, by probe; a probe without a lead is left out."""
    query = select(leads).where(leads.c.probe_id.in_(padded(probe_ids))).order_by(leads.c.lead_id)
    return {lead.probe_id: lead for lead in await _all(tx, query)}


async def of_picture(tx: Transaction, probe_ids: Collection[str], states: Collection[str]) -> Sequence[LeadRecord]:
    """The leads in one of the states of other probes of the same picture as one of these (P12)."""
    return await _of_others(tx, probe_ids, states, is_same_picture)


async def of_person(tx: Transaction, probe_id: str, states: Collection[str]) -> Sequence[LeadRecord]:
    """The same of one probe, and of the stills that were declared to show the same unknown person (P01)."""
    return await _of_others(tx, {probe_id}, states, is_same_person)


async def _of_others(
    tx: Transaction,
    probe_ids: Collection[str],
    states: Collection[str],
    same: Callable[[FromClause, FromClause], ColumnElement[bool]],
) -> Sequence[LeadRecord]:
    this, others = probes.alias(), probes.alias()
    query = select(leads).join(others, others.c.probe_id == leads.c.probe_id).join(this, same(others, this))
    is_other = this.c.probe_id.in_(padded(probe_ids)) & (others.c.probe_id != this.c.probe_id)
    rows = await _all(tx, query.where(is_other & leads.c.review_state.in_(states)).order_by(leads.c.lead_id))
    return list({lead.lead_id: lead for lead in rows}.values())


async def due(tx: Transaction, now: datetime, states: Collection[str], limit: int) -> list[LeadRecord]:
    """Leads in one of the states whose time is over and that have no outcome (P18), locked, for expiring them."""
    reported = exists().where(corroborations.c.lead_id == leads.c.lead_id)
    query = select(leads).where(leads.c.review_state.in_(states), leads.c.expires_at <= now, ~reported)
    return await _all(tx, _locked(query).limit(limit))


async def candidates_of(tx: Transaction, lead_id: str) -> list[LeadCandidateRecord]:
    """Whom the lead's references stand for."""
    rows = await tx.execute(select(lead_candidates).where(lead_candidates.c.lead_id == lead_id))
    return [LeadCandidateRecord(**row._mapping) for row in rows]


def _locked(query: Select[Any]) -> Select[Any]:
    """In one order everywhere, so that two transactions cannot wait for each other. SQLite has one writer anyway."""
    return query.order_by(leads.c.lead_id).with_for_update()


async def _one(tx: Transaction, query: Select[Any], lock: bool) -> LeadRecord | None:
    row = (await tx.execute(_locked(query) if lock else query)).one_or_none()
    return None if row is None else LeadRecord(**row._mapping)


async def _all(tx: Transaction, query: Select[Any]) -> list[LeadRecord]:
    rows: Sequence[Any] = (await tx.execute(query)).all()
    return [LeadRecord(**row._mapping) for row in rows]
