"""What the consumer tests share: a runner over recorded handlers, and waiting for a condition."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.reading import read_to_end
from rtcc_bridge.clock import Clock, SystemClock
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS, CloudEvent, serialize
from rtcc_bridge.consumers.dead_letters import DeadLetter, DeadLetterWriter
from rtcc_bridge.consumers.incidents import IncidentsHandler
from rtcc_bridge.consumers.records import BatchHandler, ConsumedRecord, Handler
from rtcc_bridge.consumers.runner import Runner
from rtcc_bridge.consumers.threats import ThreatsHandler
from rtcc_bridge.errors import RejectedError
from rtcc_bridge.incidents.desk import IncidentDesk
from rtcc_bridge.incidents.threat_desk import ThreatDesk
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import SENDER
from rtcc_bridge.storage.engine import Database, Transaction


class Recorder:
    """A handler that notes what it handled; `before` may block or raise."""

    def __init__(self) -> None:
        self.handled: list[ConsumedRecord] = []
        self.in_work = 0
        self.most_in_work = 0
        self.before: Callable[[ConsumedRecord], Awaitable[None]] | None = None

    async def handle(self, record: ConsumedRecord) -> None:
        self.in_work += 1
        self.most_in_work = max(self.most_in_work, self.in_work)
        try:
            if self.before is not None:
                await self.before(record)
            self.handled.append(record)
        finally:
            self.in_work -= 1

    @property
    def values(self) -> list[bytes]:
        return [record.value or b"" for record in self.handled]

    def times(self) -> Counter[bytes]:
        return Counter(self.values)


class BatchRecorder:
    """A batch handler that notes what it handled, all of a batch or nothing; `before` may block or raise."""

    most_at_once = 10_000

    def __init__(self) -> None:
        self.batches: list[list[ConsumedRecord]] = []
        self.before: Callable[[ConsumedRecord], Awaitable[None]] | None = None

    async def handle_batch(self, records: Sequence[ConsumedRecord]) -> list[RejectedError | None]:
        refusals: list[RejectedError | None] = []
        for record in records:
            try:
                if self.before is not None:
                    await self.before(record)
            except RejectedError as refusal:
                refusals.append(refusal)
            else:
                refusals.append(None)
        handled = [record for record, refusal in zip(records, refusals, strict=True) if refusal is None]
        self.batches.append(handled)
        return refusals

    @property
    def handled(self) -> list[ConsumedRecord]:
        return [record for batch in self.batches for record in batch]


async def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Waits for the condition, which may be a coroutine function.

    What is awaited asks somebody, who has something else to do as well: it is asked less and less often.
    """
    pause = 0.02
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if asyncio.iscoroutine(answer):
                answer = await answer
                pause = min(1.5 * pause, 0.15)
            if answer:
                return
            await asyncio.sleep(pause)


@asynccontextmanager
async def running(
    kafka: KafkaSettings,
    handlers: Mapping[str, Handler | BatchHandler],
    metrics: Metrics | None = None,
    group: str = "consumer",
    letters: DeadLetterWriter | None = None,
) -> AsyncIterator[Runner]:
    """A runner that consumes in the background."""
    async with EventProducer(kafka) as producer:
        letters = letters or DeadLetterWriter(producer, kafka.topics.dead_letters)
        group = f"{kafka.group_prefix}.{group}"
        async with Runner(kafka, group, handlers, letters, metrics or Metrics(), SystemClock()) as runner:
            yield runner


class Desks:
    """The incident side as `app` wires it; notes what hangs on an incident."""

    def __init__(self, database: Database, kafka: KafkaSettings, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.ended: list[tuple[str, str]] = []
        self.merged: list[tuple[str, str]] = []
        incidents = IncidentDesk(Outbox(clock), clock, self._authority_ended, self._incident_merged)
        threats = ThreatDesk(incidents, clock, lambda: {SENDER})
        self.handlers: dict[str, Handler | BatchHandler] = {
            kafka.topics.incidents: IncidentsHandler(database, incidents, clock, kafka),
            kafka.topics.threats: ThreatsHandler(database, threats, clock, kafka),
        }

    async def _authority_ended(self, tx: Transaction, incident_id: str, reason: str) -> None:
        self.ended.append((incident_id, reason))

    async def _incident_merged(self, tx: Transaction, incident_id: str, into: str) -> None:
        self.merged.append((incident_id, into))


async def send_values(producer: EventProducer, topic: str, values: list[bytes], keys: int = 8) -> None:
    """Sends them in their order, the first one alone: once the topic is known none overtakes another."""
    first, *others = [
        producer.send(topic, key=b"k%d" % (number % keys), value=value) for number, value in enumerate(values)
    ]
    await first
    await asyncio.gather(*others)


async def send_event(producer: EventProducer, topic: str, event: CloudEvent) -> None:
    await producer.send(
        topic, key=(event.partitionkey or event.id).encode(), value=serialize(event), headers=STRUCTURED_HEADERS
    )


async def committed(kafka: KafkaSettings, topic: str, group: str = "consumer") -> int:
    """The sum of the group's committed offsets of a topic."""
    consumer = AIOKafkaConsumer(
        **client_arguments(kafka), group_id=f"{kafka.group_prefix}.{group}", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(kafka.topics.partitions)]
        consumer.assign(partitions)
        return sum([await consumer.committed(tp) or 0 for tp in partitions])
    finally:
        await consumer.stop()


async def read_all(kafka: KafkaSettings, topic: str) -> list[Any]:
    """All records that are on the topic now."""
    return [record async for record in read_to_end(kafka, topic)]


async def unnoted(_letters: Sequence[DeadLetter]) -> None:
    """For a replay whose entry in the audit log is not what the test is about."""
