"""What was released to whom, and who has received it (P17, P19)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, or_, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.probes import is_same_picture
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import lead_candidates, lead_receivers, leads, probes, releases


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRecord:
    """One row of `releases`.

    findings: {candidates: [{candidateRef, conclusion}], dissent: [{candidateRef, conclusion}]}, by the references of
    the lead.
    """

    lead_id: str
    released_by: str
    requestor: str
    released_at: datetime
    findings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverRecord:
    """One row of `lead_receivers`: who has had the lead, and whether they know that it was taken back."""

    lead_id: str
    account: str
    received_at: datetime
    withdrawal_acknowledged_at: datetime | None = None


async def add(tx: Transaction, record: ReleaseRecord) -> None:
    await tx.execute(insert(releases).values(asdict(record)))


async def find(tx: Transaction, lead_id: str) -> ReleaseRecord | None:
    row = (await tx.execute(select(releases).where(releases.c.lead_id == lead_id))).mappings().one_or_none()
    return None if row is None else ReleaseRecord(**row)


async def first_disclosed_at(tx: Transaction, record: ReleaseRecord) -> datetime:
    """When somebody whom this release names was first released of what it is about, by this lead or another still's.

    That is its case, its incident and its picture: none of the three becomes another matter by another number (P18).
    """
    named = [candidate["candidateRef"] for candidate in record.findings["candidates"]]
    subjects = select(lead_candidates.c.subject_id).where(lead_candidates.c.candidate_ref.in_(padded(named)))
    of_lead = select(probes).join(leads, leads.c.probe_id == probes.c.probe_id)
    this = of_lead.where(leads.c.lead_id == record.lead_id).subquery()
    about = or_(
        probes.c.case_number == this.c.case_number,
        probes.c.incident_id == this.c.incident_id,
        is_same_picture(probes, this),
    )
    query = (
        select(releases.c.released_at, releases.c.findings, lead_candidates.c.candidate_ref)
        .select_from(leads.join(probes, probes.c.probe_id == leads.c.probe_id).join(this, about))
        .join(releases, releases.c.lead_id == leads.c.lead_id)
        .join(lead_candidates, lead_candidates.c.lead_id == leads.c.lead_id)
        .where(lead_candidates.c.subject_id.in_(subjects))
    )
    disclosed = [
        row.released_at
        for row in await tx.execute(query)
        if any(candidate["candidateRef"] == row.candidate_ref for candidate in row.findings["candidates"])
    ]
    return min(disclosed, default=record.released_at)


async def add_receiver(tx: Transaction, record: ReceiverRecord) -> bool:
    """Notes that the account has had the lead; says whether it was the first time."""
    return await insert_if_absent(tx, lead_receivers, asdict(record))


async def receivers(tx: Transaction, lead_id: str) -> Sequence[ReceiverRecord]:
    """Everybody who has had the lead, the first one first."""
    query = select(lead_receivers).where(lead_receivers.c.lead_id == lead_id)
    rows = (await tx.execute(query.order_by(lead_receivers.c.received_at, lead_receivers.c.account))).mappings()
    return [ReceiverRecord(**row) for row in rows]


async def acknowledge_withdrawal(tx: Transaction, lead_id: str, account: str, at: datetime) -> bool:
    """Notes that the receiver knows of the withdrawal; False when they do already, or never had the lead."""
    where = (lead_receivers.c.lead_id == lead_id) & (lead_receivers.c.account == account)
    statement = update(lead_receivers).where(where & lead_receivers.c.withdrawal_acknowledged_at.is_(None))
    return (await tx.execute(statement.values(withdrawal_acknowledged_at=at))).rowcount == 1


async def received_by(tx: Transaction, account: str, limit: int) -> Sequence[tuple[LeadRecord, ReceiverRecord]]:
    """The leads that this account has had, the newest first."""
    query = select(lead_receivers).where(lead_receivers.c.account == account)
    query = query.order_by(lead_receivers.c.received_at.desc(), lead_receivers.c.lead_id).limit(limit)
    rows = [ReceiverRecord(**row) for row in (await tx.execute(query)).mappings()]
    query = select(leads).where(leads.c.lead_id.in_(padded([row.lead_id for row in rows])))
    found = {row["lead_id"]: LeadRecord(**row) for row in (await tx.execute(query)).mappings()}
    return [(found[row.lead_id], row) for row in rows]
