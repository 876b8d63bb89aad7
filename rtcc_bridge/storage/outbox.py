"""Rows of the outbox: events that were decided in a transaction and wait to be numbered and published.

A row is done (`published_at`) when the broker has acknowledged it, or, when it has no topic, when it has its place on
the feed. Done rows are kept for a while, since the feed replays them to a client that comes back.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from rtcc_bridge.cloud_event import TRACEPARENT
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import outbox


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOutboxRecord:
    """A row before it has its place in the table; the fields are those of `OutboxRecord`."""

    event_id: str
    event_type: str
    topic: str | None
    key: str | None
    event: Mapping[str, Any]
    on_feed: bool
    urgent: bool
    latency_metric: str | None
    latency_label: str | None
    latency_since: datetime | None
    created_at: datetime


async def put_all(tx: Transaction, records: Sequence[NewOutboxRecord]) -> None:
    """Adds rows that wait to be numbered and published, in this order."""
    if records:
        rows = [{field.name: getattr(record, field.name) for field in fields(record)} for record in records]
        await tx.execute(insert(outbox), rows)


@dataclass(frozen=True, slots=True)
class UnnumberedRecord:
    """What numbering needs of a row, without the event itself."""

    id: int
    latency_metric: str | None
    latency_label: str | None
    latency_since: datetime | None
    traceparent: str | None


def _select_unnumbered() -> Select[Any]:
    # Compared with true, since SQLite uses no index for a bare truth value.
    waiting = select(outbox.c.id).where(outbox.c.feed_position.is_(None), outbox.c.on_feed == true())
    # Chosen first, so that PostgreSQL reads no event but theirs, however many wait.
    chosen = waiting.order_by(outbox.c.id).limit(bindparam("most", type_=Integer)).subquery()
    columns: list[ColumnElement[Any]] = [
        outbox.c.id,
        outbox.c.latency_metric,
        outbox.c.latency_label,
        outbox.c.latency_since,
        outbox.c.event[TRACEPARENT].as_string(),
    ]
    return select(*columns).join(chosen, chosen.c.id == outbox.c.id).order_by(outbox.c.id)


def _select_backlog() -> Select[Any]:
    query = select(outbox.c.topic, func.count(), func.min(outbox.c.created_at))
    query = query.where(outbox.c.published_at.is_(None))
    return query.group_by(outbox.c.topic).order_by(func.max(outbox.c.urgent.cast(Integer)).desc())


def _select_feed() -> Select[Any]:
    query = select(outbox).where(outbox.c.feed_position > bindparam("position", type_=BigInteger))
    return query.order_by(outbox.c.feed_position).limit(bindparam("most", type_=Integer))


# What relay and live feed ask twenty times a second, made once and not each time anew.
_UNNUMBERED: Final = _select_unnumbered()
_BACKLOG: Final = _select_backlog()
_FEED: Final = _select_feed()


async def unnumbered(tx: Transaction, limit: int) -> list[UnnumberedRecord]:
    """Committed rows that belong on the feed and have no place on it yet, oldest first."""
    return [UnnumberedRecord(*row) for row in await tx.execute(_UNNUMBERED, {"most": limit})]


async def number(tx: Transaction, row_ids: Collection[int], at: datetime) -> int:
    """Gives the rows the next places on the feed, in the order of their ids, and returns the last place.

    Rows without a topic are done with it. Only who has the sole right to `Work.RELAY` may call this; should two
    processes do it all the same, one of them commits and the other gets UnavailableError: no place is given twice,
    and no row gets a second one.
    """
    latest = await latest_position(tx)
    place = func.row_number().over(order_by=outbox.c.id).label("place")
    waiting = outbox.c.feed_position.is_(None)
    places = select(outbox.c.id, place).where(outbox.c.id.in_(padded(row_ids)), waiting).subquery()
    done_at = case((outbox.c.topic.is_(None), at), else_=outbox.c.published_at)
    statement = update(outbox).where(outbox.c.id == places.c.id, waiting)
    try:
        result = await tx.execute(statement.values(feed_position=places.c.place + latest, published_at=done_at))
    except IntegrityError as error:
        raise UnavailableError("another relay numbers events at this moment") from error
    if result.rowcount != len(row_ids):
        raise UnavailableError("another relay has numbered some of these events")
    return latest + len(row_ids)


async def unpublished(tx: Transaction, topic: str, limit: int) -> list[OutboxRecord]:
    """The topic's committed rows that the broker has not acknowledged, urgent ones first, then in insertion order."""
    query = select(outbox).where(outbox.c.published_at.is_(None), outbox.c.topic == topic)
    query = query.order_by(outbox.c.urgent.desc(), outbox.c.id).limit(limit)
    return [_record(row) for row in await tx.execute(query)]


async def mark_published(tx: Transaction, row_ids: Collection[int], at: datetime) -> Collection[int]:
    """Notes that the broker has acknowledged these rows; returns those of which nobody had noted it before."""
    waiting = outbox.c.id.in_(padded(row_ids)) & outbox.c.published_at.is_(None)
    statement = update(outbox).where(waiting).values(published_at=at).returning(outbox.c.id)
    return set((await tx.execute(statement)).scalars())


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much still has to be numbered or published. count: not counted further than asked for."""

    count: int
    oldest_at: datetime | None


async def backlog_by_topic(tx: Transaction) -> dict[str | None, Waiting]:
    """The committed events that are not done, by topic, the topics with urgent ones first.

    Under None are those without a topic, which wait for their place on the feed.
    """
    return {row[0]: Waiting(row[1], row[2]) for row in await tx.execute(_BACKLOG)}


async def backlog(tx: Transaction) -> int:
    """How many committed events the broker has not acknowledged."""
    return sum(waiting.count for topic, waiting in (await backlog_by_topic(tx)).items() if topic is not None)


async def waiting(tx: Transaction, most: int) -> Waiting:
    """What the relay has not done yet; at most `most` rows are looked at."""
    undone = select(outbox.c.id, outbox.c.created_at).where(outbox.c.published_at.is_(None))
    counted = select(func.count()).select_from(undone.limit(most).subquery())
    oldest = (await tx.execute(undone.order_by(outbox.c.id).limit(1))).one_or_none()
    return Waiting((await tx.execute(counted)).scalar_one(), None if oldest is None else oldest.created_at)


async def feed_after(tx: Transaction, position: int, limit: int) -> list[OutboxRecord]:
    """The feed's events after `position`, in its order, at most `limit`."""
    return [_record(row) for row in await tx.execute(_FEED, {"position": position, "most": limit})]


async def latest_position(tx: Transaction) -> int:
    """The last place on the feed that is taken, or 0."""
    return int((await tx.execute(select(func.max(outbox.c.feed_position)))).scalar_one() or 0)


async def begin_anew(tx: Transaction, position: int, *, event: Mapping[str, Any], at: datetime) -> None:
    """Lets the feed go on after `position` as if nothing had been on it: every client then loads the lists anew.

    Places that were given out before are never given again. Rows that still wait for their topic are published; what
    was not on the feed yet gets its place after `position`. `event`: what stands there, for whoever reads the feed.
    """
    await tx.execute(
        update(outbox).where(outbox.c.feed_position.is_not(None)).values(feed_position=None, on_feed=False)
    )
    values = {"event_id": event["id"], "event_type": event["type"], "event": dict(event), "on_feed": True}
    values |= {"urgent": False, "feed_position": position, "created_at": at, "published_at": at}
    await tx.execute(insert(outbox).values(values))


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
