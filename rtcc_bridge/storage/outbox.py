"""Rows of the outbox: events that were decided in a transaction and wait to be numbered and published.

A row is done (`published_at`) when the broker has acknowledged it, or, when it has no topic, when it has its place on
the feed. Done rows are kept for a while, since the feed replays them to a client that comes back.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, Row, bindparam, case, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.tables import outbox

_RELAY_LOCK_KEY = 0x72746363  # "rtcc": any constant that nothing else on this database uses


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRecord:
    """One row. `event` is the whole CloudEvent in structured mode; `id` is the order of insertion, not of commit."""

    id: int
    event_id: str
    event_type: str
    topic: str | None
    key: str | None
    event: Mapping[str, Any]
    on_feed: bool
    urgent: bool
    feed_position: int | None
    latency_metric: str | None
    latency_label: str | None
    latency_since: datetime | None
    created_at: datetime
    published_at: datetime | None


def _record(row: Row[Any]) -> OutboxRecord:
    return OutboxRecord(**row._mapping)


async def put(
    tx: Transaction,
    *,
    event_id: str,
    event_type: str,
    topic: str | None,
    key: str | None,
    event: Mapping[str, Any],
    on_feed: bool,
    urgent: bool,
    latency_metric: str | None,
    latency_label: str | None,
    latency_since: datetime | None,
    created_at: datetime,
) -> None:
    """Adds a row that waits to be numbered and published."""
    values = {
        "event_id": event_id,
        "event_type": event_type,
        "topic": topic,
        "key": key,
        "event": dict(event),
        "on_feed": on_feed,
        "urgent": urgent,
        "latency_metric": latency_metric,
        "latency_label": latency_label,
        "latency_since": latency_since,
        "created_at": created_at,
    }
    await tx.execute(insert(outbox).values(values))


async def unnumbered(tx: Transaction, limit: int) -> list[OutboxRecord]:
    """Committed rows that belong on the feed and have no place on it yet, oldest first."""
    query = select(outbox).where(outbox.c.feed_position.is_(None), outbox.c.on_feed).order_by(outbox.c.id).limit(limit)
    return [_record(row) for row in await tx.execute(query)]


async def number(tx: Transaction, records: Sequence[OutboxRecord], at: datetime) -> int:
    """Gives the records the next places on the feed, in their order, and returns the last place.

    Rows without a topic are done with it. Only the holder of `relay_lock` may call this; should two processes do it
    all the same, the unique constraint lets one of them commit and the
    other gets UnavailableError.
    """
    latest = await latest_position(tx)
    places = [{"row_id": record.id, "place": place} for place, record in enumerate(records, start=latest + 1)]
    if not places:
        return latest
    done_at = case((outbox.c.topic.is_(None), at), else_=outbox.c.published_at)
    statement = update(outbox).where(outbox.c.id == bindparam("row_id"))
    statement = statement.values(feed_position=bindparam("place"), published_at=done_at)
    try:
        await tx.execute(statement, places)
    except IntegrityError as error:
        raise UnavailableError("another relay numbers events at this moment") from error
    return latest + len(places)


async def unpublished(tx: Transaction, topic: str, limit: int) -> list[OutboxRecord]:
    """The topic's committed rows that the broker has not acknowledged, urgent ones first, then in insertion order."""
    query = select(outbox).where(outbox.c.published_at.is_(None), outbox.c.topic == topic)
    query = query.order_by(outbox.c.urgent.desc(), outbox.c.id).limit(limit)
    return [_record(row) for row in await tx.execute(query)]


async def mark_published(tx: Transaction, row_ids: Sequence[int], at: datetime) -> None:
    """Notes that the broker has acknowledged these rows."""
    await tx.execute(
        update(outbox).where(outbox.c.id == bindparam("row_id")).values(published_at=at),
        [{"row_id": row_id} for row_id in row_ids],
    )


async def backlog_by_topic(tx: Transaction) -> dict[str, int]:
    """How many committed events of each topic the broker has not acknowledged; the topics with urgent ones first."""
    query = select(outbox.c.topic, func.count())
    query = query.where(outbox.c.published_at.is_(None), outbox.c.topic.is_not(None))
    query = query.group_by(outbox.c.topic).order_by(func.max(outbox.c.urgent.cast(Integer)).desc())
    return {row[0]: row[1] for row in await tx.execute(query)}


async def backlog(tx: Transaction) -> int:
    """How many committed events the broker has not acknowledged."""
    return sum((await backlog_by_topic(tx)).values())


async def feed_after(tx: Transaction, position: int, limit: int) -> list[OutboxRecord]:
    """The feed's events after `position`, in its order, at most `limit`."""
    query = select(outbox).where(outbox.c.feed_position > position).order_by(outbox.c.feed_position).limit(limit)
    return [_record(row) for row in await tx.execute(query)]


async def latest_position(tx: Transaction) -> int:
    """The last place on the feed that is taken, or 0."""
    return int((await tx.execute(select(func.max(outbox.c.feed_position)))).scalar_one() or 0)


async def oldest_position(tx: Transaction) -> int:
    """The first place on the feed that is still kept, or 0: a client that is further behind has to load anew."""
    return int((await tx.execute(select(func.min(outbox.c.feed_position)))).scalar_one() or 0)


async def prune(tx: Transaction, done_before: datetime, limit: int) -> int:
    """Deletes at most `limit` rows that were done before that moment, and returns how many it deleted.

    The last row of the feed always stays, since the next one is numbered after it.
    """
    old = (
        select(outbox.c.id)
        .where(
            outbox.c.published_at < done_before,
            outbox.c.feed_position.is_(None) | (outbox.c.feed_position < await latest_position(tx)),
            outbox.c.feed_position.is_not(None) | outbox.c.on_feed.is_(False),
        )
        .order_by(outbox.c.published_at)
        .limit(limit)
    )
    return (await tx.execute(delete(outbox).where(outbox.c.id.in_(old)))).rowcount


class RelayLock:
    """The right to be the one relay. On PostgreSQL it lives as long as its connection."""

    def __init__(self, connection: AsyncConnection | None) -> None:
        self._connection = connection

    async def confirm(self) -> None:
        """Raises UnavailableError when the connection, and with it the lock, is gone."""
        if self._connection is None:
            return
        try:
            await self._connection.execute(text("SELECT 1"))
        except DBAPIError as error:
            raise UnavailableError(f"the relay's lock was lost with its connection: {error.orig}") from error


@asynccontextmanager
async def relay_lock(database: Database) -> AsyncIterator[RelayLock | None]:
    """Yields the lock, or None when another process holds it. Does not wait. Raises UnavailableError.

    On SQLite there is one process only (decision 4), so there is nothing to lock.
    """
    if database.is_sqlite:
        yield RelayLock(None)
        return
    try:
        connection = await database.engine.connect()
    except (DBAPIError, OSError) as error:
        raise UnavailableError(f"no connection for the relay's lock: {error}") from error
    try:
        await connection.execution_options(isolation_level="AUTOCOMMIT")  # held for hours: never inside a transaction
        taken = await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _RELAY_LOCK_KEY})
        yield RelayLock(connection) if taken.scalar_one() else None
    finally:
        await connection.invalidate()  # a closed connection is the release that cannot be forgotten
        await connection.close()
