"""Who has had a lead without an account here (P19): whom a discovery packet was handed to, and what reads its topic."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, insert, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_all
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import leads, outside_receivers

PACKET: Final = "packet"
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideReceiverRecord:
    """One row of `outside_receivers`.

    name: of the person, or the reference of their matter; of a system its consumer group, or its user at the broker.
    handed_over_by: the account that answers for them; None for a system. acknowledged_by: the account that said that
    they know of the withdrawal; None for a system that has read of it. told_at and told_how: when and how they were
    told.
    """

    receiver_id: str
    lead_id: str
    kind: str
    office: str
    name: str
    handed_over_by: str | None
    received_at: datetime
    withdrawal_acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    told_at: datetime | None = None
    told_how: str | None = None


async def add_all(tx: Transaction, records: Collection[OutsideReceiverRecord]) -> None:
    if records:
        await tx.execute(insert(outside_receivers), [asdict(record) for record in records])


async def enter_system(tx: Transaction, system: str, lead_ids: Collection[str], at: datetime) -> int:
    """Notes that the system has had these leads, as far as they are known here; returns how many it had not before."""
    known = select(leads.c.lead_id).where(leads.c.lead_id.in_(padded(lead_ids)))
    had = select(outside_receivers.c.lead_id).where(_of_system(system, lead_ids))
    found = (await tx.execute(known.where(leads.c.lead_id.not_in(had)))).scalars()
    records = [
        OutsideReceiverRecord(
            receiver_id=hashlib.sha256(f"{lead_id}\0{system}".encode()).hexdigest(),
            lead_id=lead_id,
            kind=SYSTEM,
            office="",
            name=system,
            handed_over_by=None,
            received_at=at,
        )
        for lead_id in sorted(found)
    ]
    await insert_all(tx, outside_receivers, [asdict(record) for record in records])
    return len(records)


async def system_knows(tx: Transaction, system: str, lead_ids: Collection[str], at: datetime) -> None:
    """Notes that the system has read that these leads have ended."""
    table = outside_receivers
    where = _of_system(system, lead_ids) & table.c.withdrawal_acknowledged_at.is_(None)
    await tx.execute(update(table).where(where).values(withdrawal_acknowledged_at=at, told_at=at))


def _of_system(system: str, lead_ids: Collection[str]) -> ColumnElement[bool]:
    table = outside_receivers
    return (table.c.kind == SYSTEM) & (table.c.name == system) & table.c.lead_id.in_(padded(lead_ids))


async def find(tx: Transaction, lead_id: str, receiver_id: str) -> OutsideReceiverRecord | None:
    """With a lock on the lead nobody else changes it."""
    table = outside_receivers
    query = select(table).where(table.c.lead_id == lead_id, table.c.receiver_id == receiver_id)
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else OutsideReceiverRecord(**row)


async def of_lead(tx: Transaction, lead_id: str) -> Sequence[OutsideReceiverRecord]:
    """The first one first."""
    table = outside_receivers
    query = select(table).where(table.c.lead_id == lead_id).order_by(table.c.received_at, table.c.receiver_id)
    return [OutsideReceiverRecord(**row) for row in (await tx.execute(query)).mappings()]


async def acknowledge(
    tx: Transaction, receiver_id: str, *, by: str, at: datetime, told_at: datetime, told_how: str
) -> bool:
    """Notes that the receiver knows of the withdrawal; False when somebody has said so already."""
    table = outside_receivers
    where = (table.c.receiver_id == receiver_id) & table.c.withdrawal_acknowledged_at.is_(None)
    values = {"withdrawal_acknowledged_at": at, "acknowledged_by": by, "told_at": told_at, "told_how": told_how}
    return (await tx.execute(update(table).where(where).values(values))).rowcount == 1


async def forget(tx: Transaction, lead_id: str) -> Collection[str]:
    """Takes the words out of the rows of a lead that is purged, and returns the names that stood there.

    That it was handed to somebody stays, when, and by whom.
    """
    named = {one.name for one in await of_lead(tx, lead_id) if one.kind == PACKET}
    where = (outside_receivers.c.lead_id == lead_id) & (outside_receivers.c.kind == PACKET)
    await tx.execute(update(outside_receivers).where(where).values(office="", name="", told_how=None))
    return named - {""}
