"""What independent evidence said of leads, and who was reminded that nothing was said yet (P18)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, insert, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import corroborations, lead_reminders, leads


@dataclass(frozen=True, slots=True, kw_only=True)
class CorroborationRecord:
    """One row of `corroborations`. evidence: [{kind, itemNumber, obtainedAt}] as JSON."""

    corroboration_id: str
    lead_id: str
    outcome: str
    evidence: Sequence[Mapping[str, Any]]
    investigator: str
    reported_by: str
    reported_at: datetime


async def add(tx: Transaction, record: CorroborationRecord) -> None:
    await tx.execute(insert(corroborations).values(asdict(record)))


async def of_lead(tx: Transaction, lead_id: str) -> Sequence[CorroborationRecord]:
    """The reports on a lead, the oldest first."""
    query = select(corroborations).where(corroborations.c.lead_id == lead_id)
    rows = await tx.execute(query.order_by(corroborations.c.reported_at, corroborations.c.corroboration_id))
    return [CorroborationRecord(**row) for row in rows.mappings()]


async def to_remind(
    tx: Transaction, state: str, *, ends_before: datetime, hours_before: int, limit: int
) -> Sequence[LeadRecord]:
    """Leads with candidates in this state that end before that moment, have no outcome, and of which nobody was
    reminded at this distance; locked."""
    reported = exists().where(corroborations.c.lead_id == leads.c.lead_id)
    reminded = exists().where(
        (lead_reminders.c.lead_id == leads.c.lead_id) & (lead_reminders.c.hours_before == hours_before)
    )
    where = (leads.c.review_state == state) & (leads.c.result == "candidates") & (leads.c.expires_at <= ends_before)
    query = select(leads).where(where & ~reported & ~reminded).order_by(leads.c.lead_id).limit(limit).with_for_update()
    return [LeadRecord(**row) for row in (await tx.execute(query)).mappings()]


async def remind(tx: Transaction, lead_id: str, hours_before: int, at: datetime) -> bool:
    """Notes a reminder; says whether it was not there yet."""
    values = {"lead_id": lead_id, "hours_before": hours_before, "reminded_at": at}
    return await insert_if_absent(tx, lead_reminders, values)


async def last_reminders(tx: Transaction, lead_ids: Sequence[str]) -> Mapping[str, datetime]:
    """When somebody was last reminded of each of these leads."""
    query = select(lead_reminders.c.lead_id, lead_reminders.c.reminded_at)
    query = query.where(lead_reminders.c.lead_id.in_(padded(lead_ids))).order_by(lead_reminders.c.reminded_at)
    rows = await tx.execute(query)
    return {row.lead_id: row.reminded_at for row in rows}
