"""The feed's numbers: given after the commit, in one order, without a gap that a reader could see."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.embedded import EmbeddedBroker
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.numbering import Numbering
from rtcc_bridge.publishing.outbox import Latency, LatencyMetric, Outbox
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.integration.relays import FeedWatch, an_event, backlog, put, rows, running_relay

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
async def nowhere() -> AsyncIterator[EventProducer]:
    """A producer whose broker does not exist."""
    gone = EmbeddedBroker()
    settings = KafkaSettings(bootstrap_servers=(gone.address,), request_timeout_seconds=1, session_timeout_seconds=1.5)
    async with EventProducer(settings) as producer:
        yield producer


async def test_the_feed_moves_without_a_broker(database: Database, nowhere: EventProducer) -> None:
    watch = FeedWatch()
    async with running_relay(database, nowhere, watch) as relay:
        ids = await put(database, *(an_event("leads", number=number) for number in range(3)), an_event(None))
        await watch.until_position(database, 4)
        assert "broker" in (await relay.readiness() or "")
    feed = await rows(database)
    assert [record.event_id for record in feed] == ids
    assert [record.feed_position for record in feed] == [1, 2, 3, 4]
    assert await backlog(database) == 3


async def test_an_event_for_the_feed_alone_is_done_when_it_is_numbered(
    database: Database, nowhere: EventProducer
) -> None:
    watch = FeedWatch()
    async with running_relay(database, nowhere, watch):
        await put(database, an_event(None), an_event("leads", on_feed=False))
        await watch.until_position(database, 1)
    (record,) = await rows(database)
    assert record.published_at is not None
    assert await backlog(database) == 1


async def test_a_reader_that_goes_by_position_sees_every_event_once_and_in_order(
    database: Database, nowhere: EventProducer
) -> None:
    """Many writers at once; the reader asks for what comes after the last position that it has seen."""
    writers, each = 8, 25
    watch = FeedWatch()
    seen: list[tuple[int, str]] = []

    async def write(writer: int) -> list[str]:
        found: list[str] = []
        for number in range(each):
            found += await put(database, an_event(None, key=f"INC-{writer}", number=number))
        return found

    async def follow() -> None:
        while len(seen) < writers * each:
            last = seen[-1][0] if seen else 0
            await watch.until_position(database, last + 1)
            async with database.read() as tx:
                for record in await outbox.feed_after(tx, last, 7):
                    assert record.feed_position is not None
                    seen.append((record.feed_position, record.event_id))

    async with running_relay(database, nowhere, watch):
        reader = asyncio.create_task(follow())
        written = await asyncio.gather(*(write(writer) for writer in range(writers)))
        await reader
    assert [position for position, _ in seen] == list(range(1, writers * each + 1))
    order = {event_id: place for place, (_, event_id) in enumerate(seen)}
    for ids in written:
        places = [order[event_id] for event_id in ids]
        assert places == sorted(places)


async def test_what_is_rolled_back_is_neither_numbered_nor_published(
    database: Database, nowhere: EventProducer
) -> None:
    watch = FeedWatch()

    async def put_and_fail() -> None:
        async with database.write() as tx:
            await Outbox(SystemClock()).put(tx, an_event("leads"))
            raise LookupError

    async with running_relay(database, nowhere, watch):
        with pytest.raises(LookupError):
            await put_and_fail()
        (kept,) = await put(database, an_event(None))
        await watch.until_position(database, 1)
    assert [record.event_id for record in await rows(database)] == [kept]
    assert await backlog(database) == 0


async def test_a_restart_goes_on_with_the_next_position(database: Database, nowhere: EventProducer) -> None:
    watch = FeedWatch()
    for position in (1, 2, 3):
        async with running_relay(database, nowhere, watch):
            await put(database, an_event(None))
            await watch.until_position(database, position)
    assert [record.feed_position for record in await rows(database)] == [1, 2, 3]


async def test_what_committed_before_the_stop_is_still_numbered(database: Database, nowhere: EventProducer) -> None:
    async with running_relay(database, nowhere):
        await put(database, *(an_event(None) for _ in range(500)))
    assert len(await rows(database)) == 500


async def test_latency_is_observed_when_the_event_gets_its_place(
    database: Database, clock: ManualClock, metrics: Metrics
) -> None:
    authority = Latency(LatencyMetric.PROBE_TO_CANDIDATES, "imminent", clock.now())
    received = Latency(LatencyMetric.EVENT_TO_FLOOR, "rtcc.incidents", clock.now())
    async with database.write() as tx:
        for latency in (authority, received, None):
            await Outbox(clock).put(
                tx, an_event("leads", latency=latency, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
            )
    clock.advance(0.75)
    moved = 0

    def on_feed_moved() -> None:
        nonlocal moved
        moved += 1

    numbering = Numbering(database, metrics, clock, 100, on_feed_moved)
    assert await numbering.number_all() == 3
    assert await numbering.number_all() == 0
    assert moved == 1
    value = metrics.registry.get_sample_value
    assert value("rtcc_bridge_probe_to_candidates_seconds_sum", {"lane": "imminent"}) == 0.75
    assert value("rtcc_bridge_event_to_floor_seconds_sum", {"topic": "rtcc.incidents"}) == 0.75
    assert value("rtcc_bridge_event_to_floor_seconds_count", {"topic": "rtcc.incidents"}) == 1
    told = [sample.exemplar for family in metrics.registry.collect() for sample in family.samples if sample.exemplar]
    assert [exemplar.labels for exemplar in told] == [{"trace_id": TRACE}, {"trace_id": TRACE}]


async def test_old_rows_go_when_they_are_done_and_the_numbers_go_on(
    database: Database, clock: ManualClock, metrics: Metrics
) -> None:
    box = Outbox(clock)
    numbering = Numbering(database, metrics, clock, 100, lambda: None)
    async with database.write() as tx:
        for number in range(5):
            await box.put(tx, an_event(None, number=number))
        unpublished = await box.put(tx, an_event("leads"))
        request = await box.put(tx, an_event("probes", on_feed=False))
    await numbering.number_all()
    async with database.write() as tx:
        (pending,) = await outbox.unpublished(tx, "probes", 10)
        await outbox.mark_published(tx, [pending.id], clock.now())
    clock.advance(timedelta(days=8).total_seconds())
    async with database.write() as tx:
        assert await outbox.prune(tx, clock.now() - timedelta(days=9), 100) == 0
        assert await outbox.prune(tx, clock.now() - timedelta(days=7), 4) == 4
        assert await outbox.prune(tx, clock.now() - timedelta(days=7), 100) == 2
    kept = await rows(database)
    assert [(record.event_id, record.feed_position) for record in kept] == [(unpublished, 6)]
    assert request == pending.event_id
    async with database.write() as tx:
        assert (await outbox.oldest_position(tx), await outbox.latest_position(tx)) == (6, 6)
        await outbox.mark_published(tx, [kept[0].id], clock.now() - timedelta(days=8))
        assert await outbox.prune(tx, clock.now() - timedelta(days=7), 100) == 0  # the feed's last row stays
        await box.put(tx, an_event(None))
    await numbering.number_all()
    assert [record.feed_position for record in await rows(database)] == [6, 7]
