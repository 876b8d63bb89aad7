"""Where the events of leads lie on their topics, as the broker said: what a reader's offset is held against (P19)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, func, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_missing
from rtcc_bridge.storage.tables import lead_event_offsets, topic_readers


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadEventOffset:
    """One row of `lead_event_offsets`. ends: from this event on nobody may use the lead."""

    event_id: str
    lead_id: str
    topic: str
    partition: int
    offset: int
    ends: bool
    published_at: datetime


async def record(tx: Transaction, found: Collection[LeadEventOffset]) -> None:
    """Notes where the events of one topic lie, in the transaction that notes that they are published.

    A partition whose offsets begin anew belongs to a topic that was made anew: what was known of the old one is
    forgotten, since a reader's offset says nothing about it any more.
    """
    for partition in {one.partition for one in found}:
        own = sorted((one for one in found if one.partition == partition), key=lambda one: one.offset)
        last = await last_offset(tx, own[0].topic, partition)
        if last is not None and own[0].offset <= last:
            for table in (lead_event_offsets, topic_readers):
                place = (table.c.topic == own[0].topic) & (table.c.partition == partition)
                await tx.execute(delete(table).where(place))
    await insert_missing(tx, lead_event_offsets, [asdict(one) for one in sorted(found, key=lambda one: one.event_id)])


async def last_offset(tx: Transaction, topic: str, partition: int) -> int | None:
    """That of the last event of the partition that is known; None when none is."""
    table = lead_event_offsets
    query = select(table.c.offset).where(table.c.topic == topic, table.c.partition == partition)
    return (await tx.execute(query.order_by(table.c.offset.desc()).limit(1))).scalar_one_or_none()


async def last_offsets(tx: Transaction, topic: str) -> Mapping[int, int]:
    """By partition that of the last event that is known."""
    table = lead_event_offsets
    query = select(table.c.partition, func.max(table.c.offset)).where(table.c.topic == topic)
    return {int(row[0]): int(row[1]) for row in await tx.execute(query.group_by(table.c.partition))}


async def between(
    tx: Transaction, topic: str, partition: int, first: int, end: int, limit: int
) -> Sequence[LeadEventOffset]:
    """The known events of the partition from the offset `first` up to, and without, `end`, in their order."""
    table = lead_event_offsets
    query = select(table).where(table.c.topic == topic, table.c.partition == partition)
    query = query.where(table.c.offset >= first, table.c.offset < end).order_by(table.c.offset).limit(limit)
    return [LeadEventOffset(**row) for row in (await tx.execute(query)).mappings()]


async def forget(tx: Transaction, lead_id: str) -> None:
    """Of a lead that is purged."""
    await tx.execute(delete(lead_event_offsets).where(lead_event_offsets.c.lead_id == lead_id))
