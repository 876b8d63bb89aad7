"""Who has had a lead that ended, and is not known to know it (P19)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, func, select, true

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.outside_receivers import PACKET, SYSTEM, OutsideReceiverRecord
from rtcc_bridge.storage.releases import ReceiverRecord
from rtcc_bridge.storage.tables import (
    lead_event_offsets,
    lead_receivers,
    leads,
    outside_receivers,
    probes,
    topic_readers,
)

_RECORDS: Final[tuple[tuple[Table, type[ReceiverRecord] | type[OutsideReceiverRecord]], ...]] = (
    (lead_receivers, ReceiverRecord),
    (outside_receivers, OutsideReceiverRecord),
)


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """A receiver, the incident of the lead, and since when nobody may use that any more."""

    receiver: ReceiverRecord | OutsideReceiverRecord
    incident_id: str
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class SystemBehind:
    """A system that has had so many leads that ended, and has read of none of these ends.

    since: when the first of them was published.
    """

    system: str
    leads: int
    since: datetime


async def oldest(tx: Transaction, states: Collection[str], limit: int) -> Sequence[Unacknowledged]:
    """People who have had leads in these states and have not acknowledged that, the longest waited for first.

    Of a purged lead nobody is known any more who could. Systems are told by `systems_behind`.
    """
    found = []
    for table, record in _RECORDS:
        columns = [*table.c, leads.c.incident_id, leads.c.updated_at]
        query = _waiting(table, columns, states).order_by(leads.c.updated_at, table.c.received_at).limit(limit)
        for row in (await tx.execute(query)).mappings():
            receiver = record(**{column.name: row[column] for column in table.c})
            found.append(Unacknowledged(receiver, row[leads.c.incident_id], row[leads.c.updated_at]))
    found.sort(key=lambda one: (one.ended_at, one.receiver.received_at))
    return found[:limit]


async def systems_behind(
    tx: Transaction, limit: int, *, published_by: datetime | None = None
) -> Sequence[SystemBehind]:
    """The systems that have not read of the end of leads that they have had; the longest behind first.

    published_by: only of ends that were published by then. Nothing is read but what lies behind each reader's mark.
    """
    event, reader, had = lead_event_offsets.c, topic_readers.c, outside_receivers.c
    since = func.min(event.published_at)
    behind = (event.topic == reader.topic) & (event.partition == reader.partition) & (event.offset >= reader.offset)
    theirs = (had.lead_id == event.lead_id) & (had.kind == SYSTEM) & (had.name == reader.reader)
    query = (
        select(reader.reader, func.count(), since)
        .select_from(topic_readers.join(lead_event_offsets, behind).join(outside_receivers, theirs))
        .where(event.ends == true(), had.withdrawal_acknowledged_at.is_(None))
    )
    if published_by is not None:
        query = query.where(event.published_at <= published_by)
    rows = await tx.execute(query.group_by(reader.reader).order_by(since, reader.reader).limit(limit))
    return [SystemBehind(str(row[0]), int(row[1]), row[2]) for row in rows]


async def count_people(tx: Transaction, states: Collection[str], ended_by: datetime) -> Mapping[str, int]:
    """How many have not acknowledged the end of leads that ended by then: with an account here, by a packet."""
    found = {}
    for kind, table in (("account", lead_receivers), (PACKET, outside_receivers)):
        query = _waiting(table, [func.count()], states).where(leads.c.updated_at <= ended_by)
        found[kind] = int((await tx.execute(query)).scalar_one())
    return found


def _waiting(table: Table, columns: Sequence[ColumnElement[Any]], states: Collection[str]) -> Select[Any]:
    query = select(*columns).select_from(table).join(leads, leads.c.lead_id == table.c.lead_id)
    query = query.join(probes, probes.c.probe_id == leads.c.probe_id)
    # Leads that ended are many, and few of them had anybody who has not confirmed it. SQLite, which keeps no figures of
    # how many, would begin with the leads: it has no index of this expression, so it begins with the receivers.
    state = func.coalesce(leads.c.review_state, "")
    query = query.where(table.c.withdrawal_acknowledged_at.is_(None), state.in_(states), probes.c.purged_at.is_(None))
    return query.where(table.c.kind == PACKET) if table is outside_receivers else query
