"""What the audit log says of one person's record in a gallery: found, joined and put in order by the database.

A person can be on very many lists. So nothing of them is gathered here: each row comes with what tells whether it shows
the person, and they come a page at a time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Select, String, and_, cast, literal, null, or_, select, union_all

from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import (
    audit_entries,
    examinations,
    handed_over_examinations,
    lead_candidates,
    leads,
    probes,
    proficiency_cases,
    releases,
    subjects,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLook:
    """An entry that may be about the record. All else is None where the entry is about something else.

    candidate_ref: what stands for the person on the lead's list. candidates: the list of the examination, as in
    `ExaminationRecord`. findings: of the lead's release. case_candidates, probe_image: of the seeded case. purpose,
    legal_basis: of the search.
    """

    entry: AuditEntryRecord
    candidate_ref: str | None
    candidates: Sequence[Sequence[str]] | None
    findings: Mapping[str, Any] | None
    case_candidates: Sequence[Mapping[str, Any]] | None
    probe_image: int | None
    purpose: str | None
    legal_basis: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """Whose record. record: what the log calls it. actions: what counts; gallery_wide: of the whole gallery, since the
    person came into it. but_outcome: entries with this one are left out."""

    gallery: str
    subject_id: int
    record: str
    actions: Collection[str]
    gallery_wide: Collection[str]
    but_outcome: str


_ENTRY = audit_entries.c
_NO_TEXT, _NO_JSON, _NO_NUMBER = cast(null(), String), cast(null(), JSON), cast(null(), BigInteger)


async def page(
    tx: Transaction, query: RecordQuery, after: tuple[datetime, str] | None, limit: int
) -> Sequence[RecordLook]:
    """The oldest first, behind this moment and entry id, at most so many."""
    wanted = union_all(_of_leads(query), *_of_examinations(query), _of_cases(query), _of_record(query)).subquery()
    selected = select(wanted)
    if after is not None:
        at, entry_id = after
        selected = selected.where(or_(wanted.c.at > at, and_(wanted.c.at == at, wanted.c.entry_id > entry_id)))
    rows = await tx.execute(selected.order_by(wanted.c.at, wanted.c.entry_id).limit(limit))
    return [_look(row) for row in rows.mappings()]


def _columns(**given: Any) -> list[Any]:
    absent = {
        "candidate_ref": _NO_TEXT,
        "candidates": _NO_JSON,
        "findings": _NO_JSON,
        "case_candidates": _NO_JSON,
        "probe_image": _NO_NUMBER,
        "purpose": _NO_TEXT,
        "legal_basis": _NO_TEXT,
    }
    return [*audit_entries.c, *((given.get(name, nothing)).label(name) for name, nothing in absent.items())]


def _counted(selected: Select[Any], query: RecordQuery) -> Select[Any]:
    return selected.where(_ENTRY.action.in_(padded(sorted(query.actions))), _ENTRY.outcome != query.but_outcome)


def _of_leads(query: RecordQuery) -> Select[Any]:
    """What was done to leads that list the person."""
    joined = (
        lead_candidates.join(leads, leads.c.lead_id == lead_candidates.c.lead_id)
        .join(audit_entries, _ENTRY.subject == lead_candidates.c.lead_id)
        .outerjoin(probes, probes.c.probe_id == leads.c.probe_id)
        .outerjoin(releases, releases.c.lead_id == leads.c.lead_id)
    )
    columns = _columns(
        candidate_ref=lead_candidates.c.candidate_ref,
        findings=releases.c.findings,
        purpose=probes.c.purpose,
        legal_basis=probes.c.legal_basis,
    )
    selected = select(*columns).select_from(joined).where(lead_candidates.c.subject_id == query.subject_id)
    return _counted(selected, query)


def _of_examinations(query: RecordQuery) -> list[Select[Any]]:
    """What was done in examinations of such leads, those that were handed over among them."""
    found = []
    for table in (examinations, handed_over_examinations):
        joined = (
            lead_candidates.join(leads, leads.c.lead_id == lead_candidates.c.lead_id)
            .join(table, table.c.lead_id == leads.c.lead_id)
            .join(audit_entries, _ENTRY.subject == table.c.examination_id)
            .outerjoin(probes, probes.c.probe_id == leads.c.probe_id)
        )
        columns = _columns(
            candidate_ref=lead_candidates.c.candidate_ref,
            candidates=table.c.candidates,
            purpose=probes.c.purpose,
            legal_basis=probes.c.legal_basis,
        )
        selected = select(*columns).select_from(joined).where(lead_candidates.c.subject_id == query.subject_id)
        found.append(_counted(selected, query))
    return found


def _of_cases(query: RecordQuery) -> Select[Any]:
    """What was done in seeded cases of the gallery, whoever is in them."""
    joined = proficiency_cases.join(examinations, examinations.c.case_id == proficiency_cases.c.case_id).join(
        audit_entries, _ENTRY.subject == examinations.c.examination_id
    )
    columns = _columns(
        candidates=examinations.c.candidates,
        case_candidates=proficiency_cases.c.candidates,
        probe_image=proficiency_cases.c.probe_image,
        purpose=literal("proficiency", String),
    )
    selected = select(*columns).select_from(joined).where(proficiency_cases.c.gallery == query.gallery)
    return _counted(selected, query)


def _of_record(query: RecordQuery) -> Select[Any]:
    """What was done to the record itself, or to the gallery while the person was in it."""
    enrolled = select(subjects.c.created_at).where(subjects.c.subject_id == query.subject_id).scalar_subquery()
    own = and_(_ENTRY.subject == query.record, _ENTRY.action.in_(padded(sorted(query.actions))))
    wide = and_(
        _ENTRY.subject == f"gallery/{query.gallery}",
        _ENTRY.action.in_(padded(sorted(query.gallery_wide))),
        _ENTRY.at >= enrolled,
    )
    return select(*_columns()).where(or_(own, wide), _ENTRY.outcome != query.but_outcome)


def _look(row: Mapping[Any, Any]) -> RecordLook:
    entry = AuditEntryRecord(**{column.name: row[column.name] for column in audit_entries.c})
    return RecordLook(entry=entry, **{one.name: row[one.name] for one in fields(RecordLook) if one.name != "entry"})
