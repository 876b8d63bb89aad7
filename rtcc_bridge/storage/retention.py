"""What decides on how long a search is kept, read in one query; and what a purge takes out of the rows (P24)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, Select, case, delete, exists, func, or_, select, update

from rtcc_bridge.storage import lead_event_offsets
from rtcc_bridge.storage.dispositions import last_disposed
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.outside_receivers import forget as forget_outside
from rtcc_bridge.storage.tables import (
    audit_entries,
    corroborations,
    examinations,
    lead_candidates,
    lead_receivers,
    leads,
    legal_holds,
    opinions,
    outside_receivers,
    probes,
    releases,
)

WAS_STATED: Final = "stated"
"""All that a purge leaves of a warrant: whether a policy would have permitted the search is asked later, too (P09)."""

PURGED_RECEIVER: Final = " purged {}"
"""All that a purge leaves of who received a lead. No person is called that: nobody's id begins with a space."""

_RELEASED: Final = or_(
    exists().where(releases.c.lead_id == leads.c.lead_id),
    func.coalesce(leads.c.data["releasedAt"].as_string(), "") != "",  # after a restoration only its topic may know
)
_RELEASED_AT: Final = (
    select(releases.c.released_at).where(releases.c.lead_id == leads.c.lead_id).correlate(leads).scalar_subquery()
)
_DISPOSED_AT: Final = last_disposed(probes.c.case_number).correlate(probes)
_HELD: Final = exists().where(
    legal_holds.c.lifted_at.is_(None)
    & or_(legal_holds.c.probe_id == probes.c.probe_id, legal_holds.c.case_number == probes.c.case_number)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionFacts:
    """A search that is kept, and its lead if it has one.

    stepped_at and lead_stepped_at: when something last happened to probe and lead. disposed_at: when the disposition of
    the case was last recorded; None while the case is open, also once it was taken up again.
    """

    probe_id: str
    state: str
    created_at: datetime
    stepped_at: datetime
    lead_id: str | None
    result: str | None
    review_state: str | None
    lead_stepped_at: datetime | None
    is_released: bool
    released_at: datetime | None
    disposed_at: datetime | None
    is_held: bool


def _facts() -> Select[Any]:
    columns = (
        probes.c.probe_id,
        probes.c.state,
        probes.c.created_at,
        probes.c.updated_at.label("stepped_at"),
        leads.c.lead_id,
        leads.c.result,
        leads.c.review_state,
        leads.c.updated_at.label("lead_stepped_at"),
        _RELEASED.label("is_released"),
        _RELEASED_AT.label("released_at"),
        leads.c.data["releasedAt"].as_string().label("told_released_at"),
        _DISPOSED_AT.label("disposed_at"),
        _HELD.label("is_held"),
    )
    joined = probes.outerjoin(leads, leads.c.probe_id == probes.c.probe_id)
    return select(*columns).select_from(joined).where(probes.c.purged_at.is_(None))


def _facts_in(row: RowMapping) -> RetentionFacts:
    """After a restoration only what its topic told says when a lead was released."""
    values = dict(row)
    told = values.pop("told_released_at")
    if values["released_at"] is None and told:
        values["released_at"] = datetime.fromisoformat(told)
    return RetentionFacts(**values)


async def facts_of(tx: Transaction, probe_id: str) -> RetentionFacts | None:
    """None when there is no such probe, or it was purged."""
    row = (await tx.execute(_facts().where(probes.c.probe_id == probe_id))).mappings().one_or_none()
    return None if row is None else _facts_in(row)


async def kept(tx: Transaction, after: str, limit: int) -> Sequence[RetentionFacts]:
    """Everything that is kept, behind this probe in the order of their ids."""
    query = _facts().where(probes.c.probe_id > after).order_by(probes.c.probe_id).limit(limit)
    return [_facts_in(row) for row in (await tx.execute(query)).mappings()]


async def perhaps_due(
    tx: Transaction, *, begun_before: datetime, disposed_before: datetime, after: str, limit: int
) -> Sequence[RetentionFacts]:
    """All that may be due, and more: whoever asks looks at each. In the order of the probes' ids, behind `after`.

    Nothing ends before it has begun, so what is younger than the shortest period is left out.
    """
    disposed_at = _DISPOSED_AT
    due = (~_RELEASED & (probes.c.created_at <= begun_before)) | (_RELEASED & (disposed_at <= disposed_before))
    query = _facts().where(~_HELD & due & (probes.c.probe_id > after))
    return [_facts_in(row) for row in (await tx.execute(query.order_by(probes.c.probe_id).limit(limit))).mappings()]


async def kept_of_case(tx: Transaction, case_number: str, *, lock: bool = False) -> Sequence[tuple[str, str]]:
    """(probe id, requestor) of each search of this case that is kept, in the order of the ids."""
    query = select(probes.c.probe_id, probes.c.requestor).where(
        (probes.c.case_number == case_number) & probes.c.purged_at.is_(None)
    )
    query = query.order_by(probes.c.probe_id)
    return [(row.probe_id, row.requestor) for row in await tx.execute(query.with_for_update() if lock else query)]


async def is_person_kept(tx: Transaction, name: str) -> bool:
    """Whether any search that is kept names this person: as its requestor, or as somebody who was handed its lead."""
    requested = exists().where((probes.c.requestor == name) & probes.c.purged_at.is_(None))
    query = select(requested | exists().where(outside_receivers.c.name == name))
    return bool((await tx.execute(query)).scalar_one())


async def newest_entry_at(tx: Transaction) -> datetime | None:
    """When the audit log was last written to."""
    found: datetime | None = (await tx.execute(select(func.max(audit_entries.c.at)))).scalar_one()
    return found


async def wipe_probe(tx: Transaction, probe_id: str, *, state: str, at: datetime) -> None:
    """Takes pictures, names and words out of the row. What is left says that there was a search, for what and when."""
    values = {
        "state": state,
        "original_object": None,
        "image_width": None,
        "image_height": None,
        "faces": None,
        "edits": None,
        "crop_object": None,
        "crop_width": None,
        "crop_height": None,
        "crop_landmarks": None,
        "case_number": "",
        "requestor": "",
        "legal_basis": "",
        "warrant_or_exigency": case((probes.c.warrant_or_exigency.is_not(None), WAS_STATED), else_=None),
        "authority_token": None,
        "state_reason": None,
        "purged_at": at,
    }
    await tx.execute(update(probes).where(probes.c.probe_id == probe_id).values(values))


async def wipe_lead(tx: Transaction, lead_id: str) -> Collection[str]:
    """Takes out of the lead and what belongs to it who was on its list, and what was written about their faces.

    Conclusions stay, by references that lead to nobody any more: how often examiners agree is counted from them. That
    somebody received the lead stays as well, and when; who it was goes with the requestor's name. Returns the names of
    those whom it was handed to outside.
    """
    await tx.execute(update(leads).where(leads.c.lead_id == lead_id).values(candidates_object=None))
    await tx.execute(delete(lead_candidates).where(lead_candidates.c.lead_id == lead_id))
    of_lead = select(examinations.c.examination_id).where(examinations.c.lead_id == lead_id)
    query = select(opinions.c.examination_id, opinions.c.opinion).where(opinions.c.examination_id.in_(of_lead))
    for row in (await tx.execute(query)).all():
        statement = update(opinions).where(opinions.c.examination_id == row.examination_id)
        await tx.execute(statement.values(opinion=_without_words(row.opinion), aids=None, nonce=None))
    await tx.execute(update(releases).where(releases.c.lead_id == lead_id).values(requestor=""))
    reports = select(corroborations.c.corroboration_id, corroborations.c.evidence)
    for row in (await tx.execute(reports.where(corroborations.c.lead_id == lead_id))).all():
        kinds = [{"kind": one["kind"]} for one in row.evidence]
        where = corroborations.c.corroboration_id == row.corroboration_id
        await tx.execute(update(corroborations).where(where).values(evidence=kinds, investigator="", reported_by=""))
    await _forget_receivers(tx, lead_id)
    await lead_event_offsets.forget(tx, lead_id)
    return await forget_outside(tx, lead_id)


async def _forget_receivers(tx: Transaction, lead_id: str) -> None:
    """Each gets a number: the account is half of the row's key, so it cannot be empty for all of them."""
    received = lead_receivers.c.lead_id == lead_id
    query = select(lead_receivers.c.account).where(received)
    query = query.order_by(lead_receivers.c.received_at, lead_receivers.c.account)
    for number, account in enumerate((await tx.execute(query)).scalars().all(), 1):
        values = {"account": PURGED_RECEIVER.format(number)}
        await tx.execute(update(lead_receivers).where(received & (lead_receivers.c.account == account)).values(values))


def _without_words(opinion: dict[str, Any]) -> dict[str, Any]:
    compared = [
        {name: one[name] for name in ("candidateRef", "conclusion") if name in one}
        for one in opinion.get("compared", ())
    ]
    return {**opinion, "compared": compared}
