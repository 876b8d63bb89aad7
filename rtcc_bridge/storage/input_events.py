"""Which input events have had their effect: (source, id) is the identity of an event."""

from datetime import datetime

from sqlalchemy import delete, select, tuple_

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.tables import input_events


async def first_time(tx: Transaction, source: str, event_id: str, topic: str, value_sha256: str, at: datetime) -> bool:
    """Notes the event and says whether it is seen for the first time.

    value_sha256: of what the event says. Raises InvalidInputError (`identity_reused`) when the same source and id said
    something else before.

    A note belongs to its transaction: an event whose effect is rolled back counts as not seen. Two transactions that
    note the same event at the same moment wait for each other, and the second one learns that it is a repetition.
    """
    values = {
        "source": source,
        "event_id": event_id,
        "topic": topic,
        "value_sha256": value_sha256,
        "received_at": at,
    }
    if await insert_if_absent(tx, input_events, values):
        return True
    known = select(input_events.c.value_sha256).where(
        (input_events.c.source == source) & (input_events.c.event_id == event_id)
    )
    said_before = (await tx.execute(known)).scalar_one_or_none()
    if said_before not in {None, value_sha256}:
        message = "an earlier event of this source and id said something else: each event needs an id of its own"
        raise InvalidInputError(message, "identity_reused")
    return False


async def prune(tx: Transaction, received_before: datetime, limit: int) -> int:
    """Forgets at most `limit` events that were received before that moment, and returns how many."""
    columns = (input_events.c.source, input_events.c.event_id)
    old = select(*columns).where(input_events.c.received_at < received_before).limit(limit)
    return (await tx.execute(delete(input_events).where(tuple_(*columns).in_(old)))).rowcount
