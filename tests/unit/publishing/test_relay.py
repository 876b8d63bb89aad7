"""What the relay says while its database is away. Its work is tested on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing import relay as relay_module
from rtcc_bridge.publishing.outbox import Outbox, OutgoingEvent
from rtcc_bridge.publishing.relay import Relay
from rtcc_bridge.settings import KafkaSettings, RelaySettings
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.locks import SoleRight, Work, sole_right
from rtcc_bridge.storage.outbox import UnnumberedRecord
from tests.doubles import ManualClock

WAIT_SECONDS = 10.0
OUTAGE_ROUNDS = 5


@pytest.fixture
def new_relay(database: Database, metrics: Metrics, clock: ManualClock) -> Callable[[], Relay]:
    settings = RelaySettings(idle_seconds=0.05, publish_timeout_seconds=2)
    return lambda: Relay(database, EventProducer(KafkaSettings()), settings, metrics, clock)


async def logs_of(new_relay: Callable[[], Relay], until: asyncio.Event) -> list[tuple[str, str]]:
    """Level and work of what a relay logs until then, but for the line that it is active."""
    relay = new_relay()
    with capture_logs() as logs:
        async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.run())
            await until.wait()
            relay.stop()
    return [(told["log_level"], told["work"]) for told in logs if "work" in told]


async def test_an_outage_while_numbering_is_logged_when_it_begins_and_when_it_ends(
    new_relay: Callable[[], Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, is_over, unnumbered = 0, asyncio.Event(), outbox.unnumbered

    async def sometimes(tx: Transaction, limit: int) -> Sequence[UnnumberedRecord]:
        nonlocal rounds
        rounds += 1
        if rounds <= OUTAGE_ROUNDS:
            raise UnavailableError("away")
        is_over.set()
        return await unnumbered(tx, limit)

    monkeypatch.setattr(outbox, "unnumbered", sometimes)
    assert await logs_of(new_relay, is_over) == [("warning", "numbering events"), ("info", "numbering events")]


async def test_an_outbox_that_cannot_be_read_is_logged_when_it_begins_and_when_it_ends(
    new_relay: Callable[[], Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, is_over, backlog_by_topic = 0, asyncio.Event(), outbox.backlog_by_topic

    async def sometimes(tx: Transaction) -> Mapping[str | None, outbox.Waiting]:
        nonlocal rounds
        rounds += 1
        if rounds <= OUTAGE_ROUNDS:
            raise UnavailableError("away")
        is_over.set()
        return await backlog_by_topic(tx)

    monkeypatch.setattr(outbox, "backlog_by_topic", sometimes)
    assert await logs_of(new_relay, is_over) == [("warning", "reading the outbox"), ("info", "reading the outbox")]


async def test_a_lock_that_cannot_be_had_is_logged_when_it_begins_and_when_it_ends(
    new_relay: Callable[[], Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, is_over = 0, asyncio.Event()

    @asynccontextmanager
    async def sometimes(database: Any, work: Work, **limits: float) -> AsyncIterator[SoleRight | None]:
        nonlocal rounds
        rounds += 1
        if rounds <= OUTAGE_ROUNDS:
            raise UnavailableError("away")
        async with sole_right(database, work, **limits) as lock:
            is_over.set()
            yield lock

    monkeypatch.setattr(relay_module, "sole_right", sometimes)
    monkeypatch.setattr(relay_module, "_STANDBY_SECONDS", 0.001)
    assert await logs_of(new_relay, is_over) == [
        ("warning", "holding the relay's lock"),
        ("info", "holding the relay's lock"),
    ]


async def test_the_age_of_what_waits_is_told_and_grows_while_the_database_is_away(
    database: Database, clock: ManualClock, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event without a topic waits for its place on the feed, one with a topic for the broker as well."""
    is_read, backlog_by_topic = asyncio.Event(), outbox.backlog_by_topic

    async def once(tx: Transaction) -> Mapping[str | None, outbox.Waiting]:
        if is_read.is_set():
            raise UnavailableError("away")
        found = await backlog_by_topic(tx)
        is_read.set()
        return found

    async def nothing(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(outbox, "unnumbered", nothing)
    event = OutgoingEvent(event_type="floor.incident", topic=None, key="I-1", subject="I-1", data={}, on_feed=True)
    async with database.write() as tx:
        await Outbox(clock).put(tx, event)
    clock.advance(7)
    monkeypatch.setattr(outbox, "backlog_by_topic", once)
    relay = Relay(database, EventProducer(KafkaSettings()), RelaySettings(idle_seconds=0.01), metrics, clock)
    running = asyncio.create_task(relay.run())
    age = partial(metrics.registry.get_sample_value, "rtcc_bridge_outbox_oldest_age_seconds")
    async with asyncio.timeout(WAIT_SECONDS):
        await is_read.wait()
        while age() != 7:  # noqa: ASYNC110 - it is set just after
            await asyncio.sleep(0.001)
    clock.advance(5)
    assert age() == 12
    relay.stop()
    await running
    assert age() == 0, "it is another relay's to tell now"
