"""The live feed of this process: reads each new event once and hands it to every client.

The database is the truth: a client that was away, or was dropped because it read too slowly, resumes from there on any
replica. What is held in memory is bounded by `feed_clients` times `CLIENT_QUEUE` events.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rtcc_bridge.errors import BusyError, UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.outbox import OutboxRecord
from rtcc_bridge.storage.standing_query import StandingQuery

CLIENT_QUEUE: Final = 256
"""Events that may wait for one client. With more it is dropped, and resumes when it comes back."""
PAGE: Final = 500
RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class FeedItem:
    """An event in its place on the feed, as the bytes that go over the wire."""

    position: int
    wire: bytes


class Subscription:
    """One client's queue. `on_drop` is called when it is full: the client then has to come back and resume."""

    def __init__(self, on_drop: Callable[[], None]) -> None:
        self._items: asyncio.Queue[FeedItem] = asyncio.Queue(CLIENT_QUEUE)
        self._on_drop = on_drop
        self._ended = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come: the client was too slow or the daemon stops."""
        return self._ended.is_set()

    def offer(self, item: FeedItem) -> None:
        """Never waits."""
        if self.ended:
            return
        try:
            self._items.put_nowait(item)
        except asyncio.QueueFull:
            self.end()
            self._on_drop()

    def end(self) -> None:
        self._ended.set()

    async def next_items(self, timeout_seconds: float) -> list[FeedItem]:
        """Waits for items; an empty list when none came in time or the subscription ended."""
        first = asyncio.ensure_future(self._items.get())
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((first, ending), timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
            if self.ended or not first.done():
                return []
            return [first.result(), *self._waiting()]
        finally:
            first.cancel()
            ending.cancel()

    def _waiting(self) -> Iterator[FeedItem]:
        while not self._items.empty():
            yield self._items.get_nowait()


class FeedHub:
    """`run` is a task of the process; `on_feed_moved` is what the relay calls after it has numbered events."""

    def __init__(self, database: Database, metrics: Metrics, *, clients: int, poll_seconds: float) -> None:
        """poll_seconds: how often to look without being told, since another process may be the relay."""
        self._database = database
        self._metrics = metrics
        self._most_clients = clients
        self._poll_seconds = poll_seconds
        self._feed = StandingQuery(database, outbox.feed_after)
        self._outage = OutageLog("reading the feed")
        self._moved = asyncio.Event()
        self._subscriptions: set[Subscription] = set()
        self._admitted = 0
        self._position: int | None = None
        self._closed = False

    @property
    def position(self) -> int | None:
        """The last place that the hub has handed on; None before it has read the database for the first time."""
        return self._position

    def on_feed_moved(self) -> None:
        """Wakes the hub; never blocks or raises."""
        self._moved.set()

    async def run(self) -> None:
        """Works until it is cancelled or closed. It waits for a database that is away; clients keep their place."""
        while not self._closed:
            self._moved.clear()
            try:
                await self._hand_on()
            except UnavailableError as error:
                self._outage.failed(error)
            else:
                self._outage.succeeded()
            await self._wait()

    def close(self) -> None:
        """Ends every client's stream and admits no more: the daemon stops."""
        self._closed = True
        self._moved.set()
        for subscription in tuple(self._subscriptions):
            subscription.end()

    @contextmanager
    def admission(self) -> Iterator[None]:
        """A place for one client. Raises BusyError when all are taken, UnavailableError while it starts or stops."""
        if self._admitted >= self._most_clients:
            raise BusyError("All places on the live feed are taken: close a board, or try again.", RETRY_SECONDS)
        if self._position is None or self._closed:
            raise UnavailableError("The live feed is starting or stopping: try again.")
        self._admitted += 1
        self._metrics.feed_clients.set(self._admitted)
        try:
            yield
        finally:
            self._admitted -= 1
            self._metrics.feed_clients.set(self._admitted)

    @contextmanager
    def subscribed(self, on_drop: Callable[[], None]) -> Iterator[Subscription]:
        """What is handed on from this moment: the hub's `position` tells what came before."""
        subscription = Subscription(on_drop)
        self._subscriptions.add(subscription)
        if self._closed:
            subscription.end()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def replay(self, after: int, limit: int) -> list[FeedItem]:
        """What the database holds after that place, at most `limit`. Raises UnavailableError."""
        async with self._database.read() as tx:
            records = await outbox.feed_after(tx, after, limit)
        return [_item(record) for record in records]

    async def can_resume(self, after: int) -> bool:
        """Whether the database holds everything that came after that place. Raises UnavailableError.

        It does not when the client was away for longer than events are kept, or the database is another one.
        """
        async with self._database.read() as tx:
            oldest, latest = await outbox.oldest_position(tx), await outbox.latest_position(tx)
        return max(oldest - 1, 0) <= after <= latest

    async def _hand_on(self) -> None:
        if self._position is None:
            async with self._database.read() as tx:
                self._position = await outbox.latest_position(tx)
        while records := await self._feed.answer(self._position, PAGE):
            for item in map(_item, records):
                for subscription in tuple(self._subscriptions):
                    subscription.offer(item)
                self._position = item.position

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._moved.wait()
        except TimeoutError:
            return


def _item(record: OutboxRecord) -> FeedItem:
    assert record.feed_position is not None, "only numbered rows are on the feed"
    data = json.dumps(record.event, separators=(",", ":"))  # one line: JSON escapes the line breaks in its texts
    kind = record.event_type.replace("\n", "").replace("\r", "")
    wire = f"id: {record.feed_position}\nevent: {kind}\ndata: {data}\n\n".encode()
    return FeedItem(record.feed_position, wire)
