"""Who reads the leads' topic outside this program is known by what they commit, on a real broker (P19).

The readers are librdkafka: another client than the one that this program asks with.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_STORED, Consumer, TopicPartition
from sqlalchemy import select
from structlog.testing import capture_logs

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.reader_groups import reader_groups
from rtcc_bridge.broker.reading_rights import readers_by_right
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.leads.ledger import Receiver, ReceiverKind
from rtcc_bridge.leads.life import LeadLife
from rtcc_bridge.leads.receiver_watch import LONG, ReceiverWatch
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.topic_readers import TopicReaderWatch
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import UNCONTESTED
from tests.doubles import ManualClock
from tests.integration.pipeline import until
from tests.integration.relays import WAIT_SECONDS, backlog, running_relay
from tests.lead_parts import LeadBench, lead_bench, probe_record
from tests.life_kit import AUDITOR, SUPERVISOR, bench_parts
from tests.probe_kit import PictureWorkers


@pytest.fixture
async def bench(
    database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics, kafka: KafkaSettings
) -> AsyncIterator[LeadBench]:
    async with lead_bench(database, tmp_path, clock, metrics, kafka.topics) as built:
        yield built


def _read(kafka: KafkaSettings, group: str, count: int, first: int, commits: bool) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(kafka.bootstrap_servers),
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        partitions = range(kafka.topics.partitions)
        consumer.assign([TopicPartition(kafka.topics.leads, number, first) for number in partitions])
        for _ in range(count):
            message = consumer.poll(WAIT_SECONDS)
            assert message is not None, "no event on the topic"
            assert message.error() is None, message.error()
            if commits:
                consumer.commit(message=message, asynchronous=False)
    finally:
        consumer.close()


async def reads(kafka: KafkaSettings, group: str, count: int, *, goes_on: bool = False, commits: bool = True) -> None:
    """A system reads so many events from the beginning, or from where it has come to, and ends."""
    first = OFFSET_STORED if goes_on else OFFSET_BEGINNING
    await asyncio.to_thread(_read, kafka, group, count, first, commits)


async def look_at_all(watch: TopicReaderWatch) -> None:
    while await watch.look(UNCONTESTED):
        pass


async def systems(life: LeadLife, lead_id: str) -> dict[str, Receiver]:
    found = await life.withdrawal.receivers(lead_id, AUDITOR)
    assert {one.kind for one in found} <= {ReceiverKind.SYSTEM}
    return {str(one.name): one for one in found}


async def audited(bench: LeadBench) -> list[str]:
    async with bench.database.read() as tx:
        return list((await tx.execute(select(tables.audit_entries.c.action))).scalars())


async def test_a_system_has_what_it_has_read_and_knows_of_an_end_when_it_has_read_of_it(
    bench: LeadBench, kafka: KafkaSettings, producer: EventProducer
) -> None:
    life, watch = LeadLife(bench_parts(bench), PictureWorkers()), TopicReaderWatch(bench.database, kafka, bench.clock)
    feed, archive, silent = (f"{kafka.group_prefix}-{name}" for name in ("feed", "archive", "silent"))

    async def is_published() -> bool:
        return await backlog(bench.database) == 0

    async with running_relay(bench.database, producer):
        first = await bench.record(probe_record(bench.clock.now()), await bench.enroll(2))
        await until(is_published)
        await look_at_all(watch)
        assert await systems(life, first.lead_id) == {}
        await asyncio.gather(reads(kafka, feed, 1), reads(kafka, archive, 1), reads(kafka, silent, 1, commits=False))
        await look_at_all(watch)
        bench.clock.advance(60)
        second = await bench.record(probe_record(bench.clock.now()), await bench.enroll(2))
        await until(is_published)
        await look_at_all(watch)
        assert set(await systems(life, first.lead_id)) == {feed, archive}, "what never commits is seen by no broker"
        assert await systems(life, second.lead_id) == {}
        for lead in (first, second):
            await life.withdrawal.withdraw(lead.lead_id, SUPERVISOR, "a reason")
        await until(is_published)
        await look_at_all(watch)
        told = [(one.system, one.leads) for one in (await life.withdrawal.outstanding(AUDITOR)).systems]
        assert sorted(told) == sorted([(archive, 1), (feed, 1)])
        await reads(kafka, feed, 3, goes_on=True)
        bench.clock.advance(60)
        await look_at_all(watch)
    had = await systems(life, first.lead_id)
    assert (had[feed].withdrawal_acknowledged_at, had[archive].withdrawal_acknowledged_at) == (bench.clock.now(), None)
    assert had[feed].received_at < bench.clock.now()
    had = await systems(life, second.lead_id)
    assert {name: one.withdrawal_acknowledged_at for name, one in had.items()} == {feed: bench.clock.now()}
    assert [one.system for one in (await life.withdrawal.outstanding(AUDITOR)).systems] == [archive]
    bench.clock.advance((SystemClock().now() - bench.clock.now() + LONG).total_seconds())  # after the relay's own clock
    await ReceiverWatch(bench.database, bench.clock, bench.metrics).look()
    value = bench.metrics.registry.get_sample_value
    assert value("rtcc_bridge_withdrawals_unacknowledged", {"receiver": "system"}) == 1
    assert [entry for entry in await audited(bench) if entry == "lead.outstanding"] == [], "systems are nobody's name"


async def test_this_program_s_own_groups_are_no_readers(kafka: KafkaSettings, producer: EventProducer) -> None:
    await producer.send(kafka.topics.leads, key=b"k", value=b"v")
    own, other = f"{kafka.group_prefix}.consumer", f"{kafka.group_prefix}-other"
    for group in (own, other):
        await reads(kafka, group, 1)
    found: set[str] = set()
    after: str | None = ""
    while after is not None:
        page = await reader_groups(kafka, [kafka.topics.leads], after, 1)
        found |= page.found.keys()
        after = page.last
    assert found == {other}


async def test_a_broker_without_rights_tells_of_nobody_who_may_read(kafka: KafkaSettings) -> None:
    assert await readers_by_right(kafka, kafka.topics.leads) is None


async def test_a_broker_that_is_away_is_told_once_and_asked_again(database: Database, clock: ManualClock) -> None:
    nowhere = KafkaSettings(bootstrap_servers=("127.0.0.1:1",))
    watch = TopicReaderWatch(database, nowhere, clock)
    with pytest.raises(UnavailableError, match="no broker answers"):
        await watch.look(UNCONTESTED)
    with capture_logs() as logs:
        running = asyncio.create_task(watch.run())
        await until(lambda: bool(logs))
        running.cancel()
    assert [(one["event"], one["work"]) for one in logs] == [
        ("interrupted: it is tried again", "asking who reads the topics of leads")
    ]
