"""What tests of the relay share: events to send, a relay that runs, and a reader of its topics."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.outbox import Outbox, OutgoingEvent
from rtcc_bridge.publishing.relay import Relay
from rtcc_bridge.settings import KafkaSettings, RelaySettings
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.outbox import OutboxRecord

WAIT_SECONDS = 30.0
SETTINGS = RelaySettings(idle_seconds=0.05, publish_timeout_seconds=2)


def an_event(topic: str | None, key: str | None = "INC-1", number: int = 0, **changes: Any) -> OutgoingEvent:
    values: dict[str, Any] = {
        "event_type": "test.event",
        "topic": topic,
        "key": key,
        "subject": None,
        "data": {"number": number},
        "on_feed": True,
    }
    return OutgoingEvent(**{**values, **changes})


async def put(database: Database, *events: OutgoingEvent) -> list[str]:
    """Commits the events in one transaction, and returns their ids."""
    async with database.write() as tx:
        return [await Outbox(SystemClock()).put(tx, event) for event in events]


async def rows(database: Database) -> list[OutboxRecord]:
    """The feed, from its start."""
    async with database.read() as tx:
        return await outbox.feed_after(tx, 0, 10_000)


async def backlog(database: Database) -> int:
    async with database.read() as tx:
        return await outbox.backlog(tx)


class FeedWatch:
    """Lets a test wait for the feed instead of looking again and again."""

    def __init__(self) -> None:
        self._moved = asyncio.Event()

    def moved(self) -> None:
        self._moved.set()

    async def until_position(self, database: Database, position: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                self._moved.clear()
                async with database.read() as tx:
                    if await outbox.latest_position(tx) >= position:
                        return
                await self._moved.wait()


@asynccontextmanager
async def running_relay(
    database: Database,
    producer: EventProducer,
    watch: FeedWatch | None = None,
    metrics: Metrics | None = None,
    settings: RelaySettings = SETTINGS,
) -> AsyncIterator[Relay]:
    """A relay at work; at the end it is told to stop, and what it raised is raised."""
    moved = (watch or FeedWatch()).moved
    relay = Relay(database, producer, settings, metrics or Metrics(), SystemClock(), moved)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        async with asyncio.timeout(WAIT_SECONDS):
            await task


async def read(kafka: KafkaSettings, topic: str, count: int) -> Sequence["ConsumerRecord[bytes, bytes]"]:
    """The first `count` records of a topic, those of one partition in their order."""
    async with _records(kafka, topic) as records:
        return [await anext(records) for _ in range(count)]


async def read_ids(kafka: KafkaSettings, topic: str, count: int) -> list[str]:
    """The ids of the first `count` events of a topic; one that was published again is left out."""
    ids: dict[str, None] = {}
    async with _records(kafka, topic) as records:
        while len(ids) < count:
            ids[json.loads((await anext(records)).value or b"")["id"]] = None
    return list(ids)


@asynccontextmanager
async def _records(kafka: KafkaSettings, topic: str) -> AsyncIterator[AsyncIterator["ConsumerRecord[bytes, bytes]"]]:
    """What is on the topic, from its beginning."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=list(kafka.bootstrap_servers), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            yield aiter(consumer)
    finally:
        await consumer.stop()
