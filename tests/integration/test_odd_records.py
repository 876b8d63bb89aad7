"""Records and positions that no well-behaved sender or cluster makes: none of them stops the others."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest_v2, ProduceRequest_v3
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.structs import TopicPartition
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the module does not list what it exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from structlog.testing import capture_logs

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.consumers.positions import Positions
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings
from tests.brokers import KAFKA, make_topics
from tests.integration.conftest import kafka_settings
from tests.integration.pipeline import Recorder, committed, read_all, running, send_values, until
from tests.integration.raw_producer import Record, batch_of, send_batch
from tests.kafka_cluster.cluster import KafkaCluster

ODD: list[Record] = [(b"k", b"before", False), (b"k", b"odd", True), (b"k", b"after", False)]


@pytest.mark.parametrize("codec", [0, 1], ids=["plain", "gzip"])
async def test_a_header_name_that_is_not_utf8_stops_nothing(
    codec: int, kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic, recorder = kafka.topics.incidents, Recorder()
    async with running(kafka, {topic: recorder}) as runner:
        await producer.send(topic, key=b"k", value=b"first", partition=0)
        await until(lambda: recorder.values == [b"first"])
        await send_batch(kafka, topic, batch_of(ODD, codec))
        await producer.send(topic, key=b"k", value=b"last", partition=0)
        await until(lambda: len(recorder.handled) == 5)
        await until(lambda: runner.ready)
        await until(lambda: _is_committed(kafka, topic, 5))
    assert sorted(recorder.values) == sorted([b"first", b"before", b"odd", b"after", b"last"])
    headers = {record.value: record.headers for record in recorder.handled}
    assert headers[b"odd"] == ((r"\xff\xfe\xff\xfe", b"x"),)
    assert headers[b"after"] == (("plain", b"y"),)


async def test_a_batch_that_inflates_to_too_much_is_passed_as_it_is_and_the_others_go_on(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic, recorder = kafka.topics.incidents, Recorder()
    bomb = batch_of([(b"k", b"\0" * 40_000_000, False)], codec=1)
    await producer.send(topic, key=b"k", value=b"first", partition=0)
    await send_batch(kafka, topic, bomb)
    await producer.send(topic, key=b"k", value=b"last", partition=0)
    async with running(kafka, {topic: recorder}):
        await until(lambda: _is_committed(kafka, topic, 3))
    (stand_in,) = set(recorder.values) - {b"first", b"last"}
    assert len(stand_in) == len(bomb)


async def test_a_rebalance_while_odd_records_are_read_leaves_no_work_on_what_others_have_now(
    kafka: KafkaSettings, producer: EventProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first member is held with all three partitions read; when it goes on it has one of them."""
    topic, recorder, read, released = kafka.topics.incidents, Recorder(), list[TopicPartition](), asyncio.Event()
    read_one = Positions._read

    async def hold_the_third(positions: Positions, tp: TopicPartition, position: int) -> Any:
        answer = await read_one(positions, tp, position)
        read.append(tp)
        if len(read) == 3:
            await released.wait()
        return answer

    monkeypatch.setattr(Positions, "_read", hold_the_third)
    for partition in range(3):
        await send_batch(kafka, topic, batch_of(ODD), partition)
    async with running(kafka, {topic: recorder}):
        await until(lambda: len(read) == 3)
        async with running(kafka, {topic: Recorder()}) as second, running(kafka, {topic: Recorder()}) as third:
            await until(lambda: second.ready and third.ready)
            released.set()
            for partition in range(3):
                await producer.send(topic, key=b"k", value=b"later", partition=partition)
            await until(lambda: _is_committed(kafka, topic, 12))
            assert len({record.partition for record in recorder.handled}) == 1


async def test_a_paused_partition_is_not_read_on_and_loses_nothing(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.incidents
    odd, paused = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await send_batch(kafka, topic, batch_of(ODD), odd.partition)
    await producer.send(topic, key=b"k", value=b"waits", partition=paused.partition)
    consumer = AIOKafkaConsumer(
        **client_arguments(kafka), group_id=kafka.group_prefix, enable_auto_commit=False, auto_offset_reset="none"
    )
    await consumer.start()
    try:
        consumer.assign([odd, paused])
        consumer.pause(paused)
        found = await Positions(consumer, Metrics(), 1_000_000).read_raw()
        assert {tp: len(records) for tp, records in found.items()} == {odd: 3}
        consumer.resume(paused)
        (record,) = (await consumer.getmany(paused, timeout_ms=10_000))[paused]
        assert record.value == b"waits"
    finally:
        await consumer.stop()


@pytest.mark.kafka
async def test_what_a_sender_took_back_with_its_transaction_has_no_effect(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    """Also where a record that aiokafka cannot read makes the consumer fetch past it."""
    topic, recorder, metrics = kafka.topics.incidents, Recorder(), Metrics()
    sender = await asyncio.to_thread(_transactional_sender, kafka)
    try:
        await asyncio.to_thread(_say, sender, topic, b"taken back", taken_back=True)
        await asyncio.to_thread(_say, sender, topic, b"said")
        await send_batch(kafka, topic, batch_of(ODD))
        async with running(kafka, {topic: recorder}, metrics):
            await until(lambda: len(recorder.handled) == 4)
            await asyncio.to_thread(_say, sender, topic, b"taken back later", taken_back=True)
            await producer.send(topic, key=b"k", value=b"last", partition=0)
            await until(lambda: b"last" in recorder.values)
            await asyncio.to_thread(_say, sender, topic, b"said at the end")
            await until(lambda: b"said at the end" in recorder.values)
            metrics.consumer_lag.labels(topic, "0").set(99)  # until it is measured again
            await until(lambda: _count(metrics, "consumer_lag", topic=topic, partition="0") == 0)
    finally:
        sender.close()
    heard = (b"said", b"before", b"odd", b"after", b"last", b"said at the end")
    assert recorder.times() == dict.fromkeys(heard, 1)


async def test_a_tombstone_is_passed_over_and_counted(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic, recorder, metrics = kafka.topics.incidents, Recorder(), Metrics()
    for value in (b"1", None, b"2", None):
        await producer.send(topic, key=b"k", value=value)
    async with running(kafka, {topic: recorder}, metrics):
        await until(lambda: _is_committed(kafka, topic, 4))
    assert sorted(recorder.values) == [b"1", b"2"]
    assert _count(metrics, "events_total", topic=topic, outcome="tombstone") == 2
    assert await read_all(kafka, kafka.topics.dead_letters) == []


@pytest.mark.kafka
async def test_what_compaction_left_of_a_topic_is_handled_and_its_gaps_and_tombstones_stop_nothing(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    """A start refuses such a topic; somebody may alter it under a process that runs."""
    topic, recorder, metrics = kafka.topics.incidents, Recorder(), Metrics()
    async with running(kafka, {topic: recorder}):
        await producer.send(topic, key=b"k", value=b"first", partition=0)
        await until(lambda: _is_committed(kafka, topic, 1))
    await asyncio.to_thread(_compact_at_once, kafka, topic)
    for value in (b"1", b"2", b"3"):
        await producer.send(topic, key=b"kept", value=value, partition=0)
        await producer.send(topic, key=b"ended", value=value, partition=0)
    await producer.send(topic, key=b"ended", value=None, partition=0)
    sent = 8

    async def is_compacted() -> bool:
        nonlocal sent
        await producer.send(topic, key=b"last", value=b"last", partition=0)  # what was sent before is no longer active
        sent += 1
        left = [record.value for record in await read_all(kafka, topic)]
        return [value for value in left if value != b"last"] == [b"first", b"3", None]

    await until(is_compacted, 120)
    async with running(kafka, {topic: recorder}, metrics) as runner:
        await until(lambda: _is_committed(kafka, topic, sent))
        await until(lambda: runner.ready)
    assert recorder.values[:2] == [b"first", b"3"]
    assert set(recorder.values[2:]) == {b"last"}
    assert _count(metrics, "events_total", topic=topic, outcome="tombstone") == 1
    assert await read_all(kafka, kafka.topics.dead_letters) == []


@pytest.mark.kafka
async def test_what_retention_took_away_is_told_and_counted(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic, recorder, metrics = kafka.topics.incidents, Recorder(), Metrics()
    for number in range(10):
        await producer.send(topic, key=b"k", value=b"%d" % number, partition=0)
    async with running(kafka, {topic: recorder}):
        await until(lambda: _is_committed(kafka, topic, 10))
    for number in range(10, 20):
        await producer.send(topic, key=b"k", value=b"%d" % number, partition=0)
    await _delete_before(kafka, topic, 17)
    with capture_logs() as logs:
        async with running(kafka, {topic: recorder}, metrics) as runner:
            await until(lambda: _is_committed(kafka, topic, 20))
            await until(lambda: runner.ready)
    assert recorder.values[10:] == [b"17", b"18", b"19"]
    assert _count(metrics, "records_lost_total", topic=topic) == 7
    (told,) = [line for line in logs if "removed by the topic's retention" in line["event"]]
    assert (told["log_level"], told["lost_at_most"], told["position"], told["oldest"]) == ("error", 7, 10, 17)


async def test_a_new_group_begins_with_the_oldest_record(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic, recorder, metrics = kafka.topics.incidents, Recorder(), Metrics()
    await send_values(producer, topic, [b"1", b"2", b"3"])
    async with running(kafka, {topic: recorder}, metrics):
        await until(lambda: len(recorder.handled) == 3)
    assert _count(metrics, "records_lost_total", topic=topic) == 0


@pytest.mark.kafka
async def test_a_damaged_batch_holds_its_partition_only_and_is_named(tmp_path: Path) -> None:
    async with KafkaCluster(1, folder=tmp_path / "kafka") as cluster:
        kafka = kafka_settings(cluster.bootstrap, KAFKA)
        await make_topics(kafka)
        topic, recorder = kafka.topics.incidents, Recorder()
        async with EventProducer(kafka) as producer:
            await producer.send(topic, key=b"k", value=b"sound", partition=0)
            await producer.send(topic, key=b"k", value=b"spoiled-record", partition=0)
            (segment,) = cluster.folder.glob(f"node-1/**/{topic}-0/*.log")
            content = segment.read_bytes()
            at = content.index(b"spoiled-record")
            with segment.open("r+b") as log:
                os.pwrite(log.fileno(), b"S", at)
            await producer.send(topic, key=b"k", value=b"elsewhere", partition=1)
            async with running(kafka, {topic: recorder}) as runner:
                await until(lambda: set(recorder.values) == {b"sound", b"elsewhere"})
                await until(lambda: f"{topic} partition 0 is damaged at offset 1" in (runner.not_ready_reason or ""))
                await producer.send(topic, key=b"k", value=b"later", partition=1)
                await until(lambda: b"later" in recorder.values)
                await until(lambda: _is_committed(kafka, topic, 3))
        assert b"spoiled-record" not in recorder.values


@pytest.mark.kafka
async def test_an_old_client_that_sends_the_first_message_format_is_refused(kafka: KafkaSettings) -> None:
    topic = kafka.topics.incidents
    await send_batch(kafka, topic, batch_of([(b"k", b"before", False)]))
    builder = LegacyRecordBatchBuilder(0, 0, 1_000_000)
    builder.append(0, None, b"k", b"old")
    client = AIOKafkaClient(bootstrap_servers=list(kafka.bootstrap_servers), request_timeout_ms=2000)
    await client.bootstrap()
    try:
        connection = await client._get_conn(client.get_random_node())
        connection._versions = {0: (3, 3)}  # on this very connection a client of today is served
        new = ProduceRequest_v3(None, -1, 2000, [(topic, [(0, batch_of([(b"k", b"new", False)]))])])
        ((_, ((_number, code, *_),)),) = (await connection.send(_Prepared(new))).topics
        assert code == 0
        connection._versions = {0: (2, 2)}  # an old client does not ask for more
        request = ProduceRequest_v2(-1, 2000, [(topic, [(0, bytes(builder.build()))])])
        with pytest.raises((KafkaError, TimeoutError)):
            await connection.send(_Prepared(request))
    finally:
        await client.close()
    assert [record.value for record in await read_all(kafka, topic)] == [b"before", b"new"]


class _Prepared:
    """A request whose version is chosen already."""

    def __init__(self, request: ProduceRequest_v2 | ProduceRequest_v3) -> None:
        self._request = request

    def prepare(self, versions: object) -> ProduceRequest_v2 | ProduceRequest_v3:
        return self._request


def _transactional_sender(kafka: KafkaSettings) -> Producer:
    name = f"{kafka.group_prefix}-sender"
    sender = Producer({"bootstrap.servers": ",".join(kafka.bootstrap_servers), "transactional.id": name})
    sender.init_transactions(30)
    return sender


def _say(sender: Producer, topic: str, value: bytes, *, taken_back: bool = False) -> None:
    """A transaction of one record, which lies on the topic in either case."""
    sender.begin_transaction()
    sender.produce(topic, value, key=b"k", partition=0)
    assert sender.flush(30) == 0
    if taken_back:
        sender.abort_transaction(30)
    else:
        sender.commit_transaction(30)


async def _is_committed(kafka: KafkaSettings, topic: str, offset: int) -> bool:
    return await committed(kafka, topic) == offset


def _compact_at_once(kafka: KafkaSettings, topic: str) -> None:
    """As far as a broker can be told to: its cleaner looks every few seconds."""
    wanted = {
        "cleanup.policy": "compact",
        "segment.ms": "50",
        "min.cleanable.dirty.ratio": "0.001",
        "max.compaction.lag.ms": "1",
    }
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": ",".join(kafka.bootstrap_servers)})
    for altered in admin.incremental_alter_configs([resource]).values():
        altered.result(30)


async def _delete_before(kafka: KafkaSettings, topic: str, offset: int) -> None:
    """What retention does, at once."""
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


def _count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"rtcc_bridge_{name}", labels) or 0
