"""The hub: bounded queues, places for clients, and what it hands on. The stream itself is tested over sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.errors import BusyError, UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.numbering import Numbering
from rtcc_bridge.publishing.outbox import Outbox, OutgoingEvent
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.web.feed_hub import CLIENT_QUEUE, FeedHub, FeedItem, Subscription
from tests.doubles import ManualClock

WAIT_SECONDS = 10.0


class Feed:
    """A hub at work over a database, and the relay's part before it."""

    def __init__(self, database: Database, metrics: Metrics, clock: ManualClock) -> None:
        self.hub = FeedHub(database, metrics, clients=2, poll_seconds=60)
        self._database = database
        self._outbox = Outbox(clock)
        self._numbering = Numbering(database, metrics, clock, 100, self.hub.on_feed_moved)

    async def put(self, count: int) -> None:
        async with self._database.write() as tx:
            for number in range(count):
                event = OutgoingEvent(
                    event_type="floor.test", topic=None, key=None, subject=None, data={"n": number}, on_feed=True
                )
                await self._outbox.put(tx, event)
        await self._numbering.number_all()


@pytest.fixture
async def feed(database: Database, metrics: Metrics, clock: ManualClock) -> AsyncIterator[Feed]:
    made = Feed(database, metrics, clock)
    running = asyncio.create_task(made.hub.run())
    async with asyncio.timeout(WAIT_SECONDS):
        while made.hub.position is None:  # noqa: ASYNC110 - the first read has no event of its own
            await asyncio.sleep(0.005)
    yield made
    made.hub.close()
    async with asyncio.timeout(WAIT_SECONDS):
        await running


def item(position: int) -> FeedItem:
    return FeedItem(position, b"event")


async def test_the_hub_wakes_when_the_feed_moves_and_hands_on_in_order(feed: Feed) -> None:
    with feed.hub.subscribed(lambda: None) as one, feed.hub.subscribed(lambda: None) as other:
        await feed.put(3)
        for subscription in (one, other):
            positions: list[int] = []
            while len(positions) < 3:
                positions += [found.position for found in await subscription.next_items(WAIT_SECONDS)]
            assert positions == [1, 2, 3]
    assert feed.hub.position == 3


async def test_the_wire_form_is_one_block_with_the_place_as_id(feed: Feed) -> None:
    await feed.put(1)
    [found] = await feed.hub.replay(0, 10)
    lines = found.wire.decode().split("\n")
    assert lines[:2] == ["id: 1", "event: floor.test"]
    assert lines[2].startswith('data: {"specversion":"1.0"')
    assert lines[3:] == ["", ""]


async def test_a_full_queue_ends_the_subscription_once() -> None:
    dropped: list[int] = []
    subscription = Subscription(lambda: dropped.append(1))
    for position in range(CLIENT_QUEUE + 5):
        subscription.offer(item(position))
    assert subscription.ended
    assert dropped == [1]
    assert await subscription.next_items(0.01) == []


async def test_waiting_ends_with_nothing_when_the_time_is_over_or_the_subscription_ends() -> None:
    subscription = Subscription(lambda: None)
    assert await subscription.next_items(0.01) == []
    waiting = asyncio.create_task(subscription.next_items(WAIT_SECONDS))
    await asyncio.sleep(0)
    subscription.end()
    assert await waiting == []


async def test_an_item_is_not_lost_when_waiting_for_it_was_given_up() -> None:
    subscription = Subscription(lambda: None)
    assert await subscription.next_items(0.01) == []
    subscription.offer(item(1))
    assert [found.position for found in await subscription.next_items(WAIT_SECONDS)] == [1]


async def test_places_are_limited_and_come_free_again(feed: Feed, metrics: Metrics) -> None:
    with feed.hub.admission(), feed.hub.admission():
        assert metrics.registry.get_sample_value("rtcc_bridge_feed_clients") == 2
        with pytest.raises(BusyError), feed.hub.admission():
            pass
    assert metrics.registry.get_sample_value("rtcc_bridge_feed_clients") == 0
    with feed.hub.admission():
        pass


async def test_nobody_is_admitted_before_the_first_read_and_after_the_end(
    feed: Feed, database: Database, metrics: Metrics
) -> None:
    early = FeedHub(database, metrics, clients=1, poll_seconds=1)
    with pytest.raises(UnavailableError), early.admission():
        pass
    feed.hub.close()
    with pytest.raises(UnavailableError), feed.hub.admission():
        pass
    with feed.hub.subscribed(lambda: None) as late:
        assert late.ended


async def test_what_can_be_resumed(feed: Feed) -> None:
    assert await feed.hub.can_resume(0)
    assert not await feed.hub.can_resume(1)
    await feed.put(3)
    assert [await feed.hub.can_resume(place) for place in (0, 3, 4)] == [True, True, False]


async def test_an_outage_of_the_database_is_logged_when_it_begins_and_when_it_ends(
    database: Database, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FeedHub(database, metrics, clients=1, poll_seconds=0.001)
    failures_left = 5
    latest_position = outbox.latest_position

    async def sometimes(tx: Transaction) -> int:
        nonlocal failures_left
        if failures_left:
            failures_left -= 1
            raise UnavailableError("away")
        hub.close()
        return await latest_position(tx)

    monkeypatch.setattr(outbox, "latest_position", sometimes)
    with capture_logs() as logs:
        async with asyncio.timeout(WAIT_SECONDS):
            await hub.run()
    assert [(told["log_level"], told["work"]) for told in logs] == [
        ("warning", "reading the feed"),
        ("info", "reading the feed"),
    ]
