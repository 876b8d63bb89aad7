"""Which input events have had their effect: (source, id) is the identity of an event."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import delete, select, tuple_

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_all
from rtcc_bridge.storage.slices import slices
from rtcc_bridge.storage.tables import input_events

Identity: TypeAlias = tuple[str, str]
"""Source and id of an event."""

_IDENTITY = (input_events.c.source, input_events.c.event_id)


@dataclass(frozen=True, slots=True)
class InputEvent:
    """One row of `input_events`. value_sha256: of what the event says, however it was written."""

    source: str
    event_id: str
    topic: str
    value_sha256: str
    received_at: datetime

    @property
    def identity(self) -> Identity:
        return self.source, self.event_id


async def noted(tx: Transaction, identities: Collection[Identity]) -> dict[Identity, str | None]:
    """Those of these events that were noted before, with the digest of what they said, where it is known."""
    by_source: defaultdict[str, list[str]] = defaultdict(list)
    for source, event_id in identities:
        by_source[source].append(event_id)
    found: dict[Identity, str | None] = {}
    for source, event_ids in by_source.items():  # SQLite uses no index for pairs of values
        for part in slices(event_ids):
            query = select(input_events.c.event_id, input_events.c.value_sha256)
            rows = await tx.execute(query.where(input_events.c.source == source, input_events.c.event_id.in_(part)))
            found |= {(source, event_id): value_sha256 for event_id, value_sha256 in rows}
    return found


async def note(tx: Transaction, events: Sequence[InputEvent]) -> None:
    """Notes events that `noted` did not know.

    A note belongs to its transaction: an event whose effect is rolled back counts as not seen. Two transactions that
    note the same event at the same moment wait for each other; the second one gets TransientError, and finds the note
    when it does its work again.
    """
    rows = [asdict(event) for event in sorted(events, key=lambda event: event.identity)]
    await insert_all(tx, input_events, rows)


async def last_received(tx: Transaction, topic: str) -> datetime | None:
    """When the newest event of this topic came; None when none is remembered."""
    query = select(input_events.c.received_at).where(input_events.c.topic == topic)
    found: datetime | None = (
        await tx.execute(query.order_by(input_events.c.received_at.desc()).limit(1))
    ).scalar_one_or_none()
    return found


async def prune(tx: Transaction, received_before: datetime, limit: int) -> int:
    """Forgets at most `limit` events that were received before that moment, and returns how many."""
    old = select(*_IDENTITY).where(input_events.c.received_at < received_before).limit(limit)
    return (await tx.execute(delete(input_events).where(tuple_(*_IDENTITY).in_(old)))).rowcount
