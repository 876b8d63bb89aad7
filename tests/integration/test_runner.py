"""The runner on a real broker: order, windows, commits, retries, outages, rebalances."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from prometheus_client.samples import Sample
from structlog.testing import capture_logs

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.topics import create_topics
from rtcc_bridge.consumers import lane
from rtcc_bridge.consumers.lane import WindowLane
from rtcc_bridge.consumers.letter_box import list_dead_letters
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.consumers.session import ConsumerSession
from rtcc_bridge.errors import IntegrityError, InvalidInputError, NotFoundError, TransientError, UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings
from tests.brokers import OwnBroker
from tests.integration.pipeline import BatchRecorder, Recorder, committed, read_all, running, send_values, until


def numbered(count: int) -> list[bytes]:
    return [b"%04d" % number for number in range(count)]


async def test_records_are_handled_once_and_committed(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic = kafka.topics.incidents
    recorder = Recorder()
    await send_values(producer, topic, numbered(100))
    async with running(kafka, {topic: recorder}):
        await until(lambda: len(recorder.handled) == 100)
    assert recorder.times() == Counter(numbered(100))
    assert await committed(kafka, topic) == 100


async def test_batches_keep_the_order_of_each_partition(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic = kafka.topics.incidents
    recorder = BatchRecorder()
    release = asyncio.Event()

    async def wait(_record: ConsumedRecord) -> None:
        await release.wait()

    recorder.before = wait
    async with running(kafka, {topic: recorder}):
        await send_values(producer, topic, numbered(80), keys=4)
        release.set()
        await until(lambda: len(recorder.handled) == 80)
        await until(lambda: _is_committed(kafka, topic, 80))
    by_partition: defaultdict[int, dict[int, None]] = defaultdict(dict)
    for record in recorder.handled:  # one may be delivered again
        by_partition[record.partition].setdefault(record.offset)
    assert all(list(offsets) == list(range(len(offsets))) for offsets in by_partition.values())
    assert len(recorder.batches) < 80, "what waits together is handled together"


async def test_a_poisoned_record_takes_no_other_of_its_batch_with_it(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.incidents
    recorder, tries = BatchRecorder(), Counter[bytes]()

    async def poison(record: ConsumedRecord) -> None:
        tries[record.value or b""] += 1
        if record.value == b"0007":
            raise RuntimeError("a defect that only this record brings out")
        if record.value == b"0011":
            raise InvalidInputError("never")

    recorder.before = poison
    await send_values(producer, topic, numbered(40), keys=1)
    async with running(kafka, {topic: recorder}):
        await until(lambda: _is_committed(kafka, topic, 40))
    values = dict.fromkeys(record.value for record in recorder.handled)  # a record may be delivered again
    assert list(values) == [value for value in numbered(40) if value not in {b"0007", b"0011"}]
    letters = await list_dead_letters(kafka)
    assert {letter.value: letter.provenance["reason"] for letter in letters} == {b"0007": "failed", b"0011": "invalid"}
    assert tries[b"0007"] >= kafka.handle_attempts


async def test_a_batch_waits_for_the_end_of_an_outage_as_a_whole(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic = kafka.topics.incidents
    recorder = BatchRecorder()
    tries, is_away = 0, True

    async def away(_record: ConsumedRecord) -> None:
        nonlocal tries
        tries += 1
        if is_away:
            raise UnavailableError("the database does not answer")

    recorder.before = away
    await send_values(producer, topic, numbered(20), keys=1)
    async with running(kafka, {topic: recorder}):
        await until(lambda: tries > 2 * kafka.handle_attempts)
        assert await committed(kafka, topic) == 0
        is_away = False
        await until(lambda: _is_committed(kafka, topic, 20))
    assert list(dict.fromkeys(record.value for record in recorder.handled)) == numbered(20)
    assert await read_all(kafka, kafka.topics.dead_letters) == []


async def test_a_slow_record_holds_back_the_commit_and_not_the_others(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.probes_routine
    recorder = Recorder()
    release = asyncio.Event()

    async def first_waits(record: ConsumedRecord) -> None:
        if record.value == b"0000":
            await release.wait()

    recorder.before = first_waits
    await send_values(producer, topic, numbered(30), keys=1)
    async with running(kafka, {topic: recorder}):
        await until(lambda: len(recorder.handled) == 29)
        assert await committed(kafka, topic) == 0
        release.set()
        await until(lambda: _is_committed(kafka, topic, 30))


async def test_the_window_bounds_the_work_and_one_full_topic_does_not_stop_another(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    kafka = kafka.model_copy(update={"window": 10, "poll_max_records": 25})
    slow, quick = Recorder(), Recorder()
    release = asyncio.Event()

    async def wait(record: ConsumedRecord) -> None:
        await release.wait()

    slow.before = wait
    async with running(kafka, {kafka.topics.probes_routine: slow, kafka.topics.probes_imminent: quick}):
        await send_values(producer, kafka.topics.probes_routine, numbered(300))
        await until(lambda: slow.in_work == 10)
        await send_values(producer, kafka.topics.probes_imminent, numbered(50))
        await until(lambda: len(quick.handled) == 50)
        assert slow.handled == []
        assert slow.in_work == 10
        release.set()
        await until(lambda: len(slow.handled) == 300)
    assert slow.most_in_work == 10
    assert slow.times() == Counter(numbered(300))


async def test_a_full_window_pauses_the_topic_so_that_what_waits_stays_bounded(
    kafka: KafkaSettings, producer: EventProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = kafka.model_copy(update={"window": 10, "poll_max_records": 25})
    topic = kafka.topics.probes_routine
    delivered, polls = 0, 0
    take, look = WindowLane.deliver, AIOKafkaConsumer.getmany

    def count(lane: WindowLane, partition: int, records: Iterable[ConsumedRecord]) -> None:
        nonlocal delivered
        records = list(records)
        delivered += len(records)
        take(lane, partition, records)

    async def count_polls(consumer: AIOKafkaConsumer, *partitions: TopicPartition, timeout_ms: int = 0) -> Any:
        nonlocal polls
        batches = await look(consumer, *partitions, timeout_ms=timeout_ms)
        polls += 1
        return batches

    monkeypatch.setattr(WindowLane, "deliver", count)
    monkeypatch.setattr(AIOKafkaConsumer, "getmany", count_polls)
    recorder, release = Recorder(), asyncio.Event()

    async def wait(_record: ConsumedRecord) -> None:
        await release.wait()

    recorder.before = wait
    await send_values(producer, topic, numbered(300))
    async with running(kafka, {topic: recorder}):
        await until(lambda: recorder.in_work == 10)
        seen = polls
        await until(lambda: polls >= seen + 10)
        assert delivered <= kafka.window + kafka.poll_max_records
        release.set()
        await until(lambda: len(recorder.handled) == 300)


async def test_what_may_pass_is_tried_again(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic = kafka.topics.incidents
    recorder = Recorder()
    tries: Counter[bytes] = Counter()

    async def fail_twice(record: ConsumedRecord) -> None:
        tries[record.value or b""] += 1
        if tries[record.value or b""] <= 2:
            raise TransientError("not now")

    recorder.before = fail_twice
    await send_values(producer, topic, numbered(5))
    async with running(kafka, {topic: recorder}):
        await until(lambda: len(recorder.handled) == 5)
    assert set(tries.values()) == {3}
    assert await read_all(kafka, kafka.topics.dead_letters) == []


async def test_an_outage_outlasts_the_attempts_and_nothing_is_given_up(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.incidents
    recorder = Recorder()
    tries = 0
    is_away = True

    async def away(record: ConsumedRecord) -> None:
        nonlocal tries
        tries += 1
        if is_away:
            raise UnavailableError("the database does not answer")

    recorder.before = away
    await send_values(producer, topic, numbered(3))
    async with running(kafka, {topic: recorder}):
        await until(lambda: tries > 3 * kafka.handle_attempts)
        assert recorder.handled == []
        assert await committed(kafka, topic) == 0
        is_away = False
        await until(lambda: len(recorder.handled) == 3)
        await until(lambda: _is_committed(kafka, topic, 3))
    assert await read_all(kafka, kafka.topics.dead_letters) == []


async def test_a_breach_of_integrity_stops_the_runner_and_commits_nothing_of_it(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.incidents
    recorder = Recorder()

    async def breach(record: ConsumedRecord) -> None:
        raise IntegrityError("going on would be unsafe")

    recorder.before = breach
    await send_values(producer, topic, numbered(1))
    with pytest.raises(IntegrityError):
        async with running(kafka, {topic: recorder}) as runner:
            await until(lambda: runner.not_ready_reason == "stopped")
    assert await committed(kafka, topic) == 0


async def test_the_poisoned_topic_is_paused_and_the_others_go_on(kafka: KafkaSettings, producer: EventProducer) -> None:
    kafka = kafka.model_copy(update={"dead_letter_rate_limit": 5, "window": 4, "poll_max_records": 10})
    poisoned, sound = kafka.topics.incidents, kafka.topics.threats
    bad, good, metrics = Recorder(), Recorder(), Metrics()
    is_bad = True

    async def refuse(record: ConsumedRecord) -> None:
        if is_bad:
            raise InvalidInputError("never")

    bad.before = refuse
    async with running(kafka, {poisoned: bad, sound: good}, metrics) as runner:
        with capture_logs() as logs:
            await send_values(producer, poisoned, numbered(100))
            await until(lambda: runner.paused_topics == (poisoned,))
        (told,) = [line for line in logs if "is paused for its rate of dead letters" in line["event"]]
        assert (told["log_level"], told["topic"]) == ("error", poisoned)
        assert (told["limit"], told["window_seconds"], told["pause_seconds"]) == (5, 60, 300)
        await send_values(producer, sound, numbered(40))
        await until(lambda: len(good.handled) == 40)
        await until(lambda: f"letters (more than 5 in 60 s): {poisoned}. Correct" in str(runner.not_ready_reason))
        buried = len(await read_all(kafka, kafka.topics.dead_letters))
        assert 5 < buried <= 5 + kafka.window
        assert metrics.registry.get_sample_value("rtcc_bridge_topic_paused", {"topic": poisoned}) == 1
        assert metrics.registry.get_sample_value("rtcc_bridge_topic_paused", {"topic": sound}) == 0
        with pytest.raises(NotFoundError):
            runner.resume("somebody.elses")
        is_bad = False
        runner.resume(poisoned)
        await until(lambda: len(bad.handled) == 100 - buried)
        await until(lambda: _is_committed(kafka, poisoned, 100))
        await until(lambda: runner.ready)
    assert not samples_of(metrics, "rtcc_bridge_ready"), "only the readiness board sets that metric"
    assert metrics.registry.get_sample_value("rtcc_bridge_topic_paused", {"topic": poisoned}) == 0


async def test_a_paused_topic_is_tried_again_by_itself_and_paused_again_while_it_is_bad(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    changes = {"dead_letter_rate_limit": 5, "window": 4, "poll_max_records": 10, "dead_letter_pause_seconds": 0.3}
    kafka = kafka.model_copy(update=changes)
    topic = kafka.topics.incidents
    recorder, metrics = Recorder(), Metrics()
    is_bad = True

    async def refuse(record: ConsumedRecord) -> None:
        if is_bad:
            raise InvalidInputError("never")

    def refused() -> float:
        return (
            metrics.registry.get_sample_value("rtcc_bridge_dead_letters_total", {"topic": topic, "reason": "invalid"})
            or 0
        )

    recorder.before = refuse
    async with running(kafka, {topic: recorder}, metrics) as runner:
        await send_values(producer, topic, numbered(100))
        await until(lambda: runner.paused_topics == (topic,))
        first = refused()
        # More than the limit again: it was counted afresh. What was in work at the first pause may still be refused.
        await until(lambda: refused() > first + 5 and runner.paused_topics == (topic,))
        assert refused() < 100, "paused again"
        is_bad = False
        await until(lambda: refused() + len(recorder.handled) == 100)
        await until(lambda: _is_committed(kafka, topic, 100))
        await until(lambda: runner.ready)
    handled = metrics.registry.get_sample_value("rtcc_bridge_events_total", {"topic": topic, "outcome": "handled"})
    assert handled == len(recorder.handled)
    assert metrics.registry.get_sample_value("rtcc_bridge_topic_paused", {"topic": topic}) == 0


async def test_a_record_with_an_absurd_time_is_handled(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic = kafka.topics.incidents
    recorder = Recorder()
    for timestamp_ms in (2**60, 1):
        await producer.send(topic, key=b"k", value=b"%d" % timestamp_ms, timestamp_ms=timestamp_ms)
    async with running(kafka, {topic: recorder}):
        await until(lambda: len(recorder.handled) == 2)
    assert recorder.times() == Counter([b"%d" % 2**60, b"1"])


async def test_the_lag_is_measured(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic = kafka.topics.incidents
    recorder, metrics = Recorder(), Metrics()
    release = asyncio.Event()

    async def wait(record: ConsumedRecord) -> None:
        await release.wait()

    recorder.before = wait

    def lag() -> float:
        samples = [
            metrics.registry.get_sample_value("rtcc_bridge_consumer_lag", {"topic": topic, "partition": str(number)})
            for number in range(kafka.topics.partitions)
        ]
        return sum(sample for sample in samples if sample is not None)

    await send_values(producer, topic, numbered(12))
    async with running(kafka, {topic: recorder}, metrics):
        await until(lambda: lag() == 12)
        release.set()
        await until(lambda: lag() == 0)
        assert len(recorder.handled) == 12
    assert not samples_of(metrics, "rtcc_bridge_consumer_lag"), "nothing is told of what it left"


async def test_a_member_that_joins_takes_work_over_and_none_is_lost(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.incidents
    first, second = BatchRecorder(), BatchRecorder()

    async def take_a_while(record: ConsumedRecord) -> None:
        await asyncio.sleep(0.005)

    first.before = second.before = take_a_while
    async with running(kafka, {topic: first}):
        await send_values(producer, topic, numbered(100), keys=30)
        async with running(kafka, {topic: second}):
            for _ in range(10):
                await send_values(producer, topic, numbered(100), keys=30)
            await until(lambda: len(second.handled) > 50)
        await send_values(producer, topic, numbered(100), keys=30)
        await until(lambda: _is_committed(kafka, topic, 1200))
    places = {(record.partition, record.offset) for record in [*first.handled, *second.handled]}
    assert len(places) == 1200


async def test_work_that_ends_after_its_session_lets_the_next_one_go_on(
    kafka: KafkaSettings, producer: EventProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, recorder = kafka.topics.incidents, BatchRecorder()
    lost, released = asyncio.Event(), asyncio.Event()
    watch, sessions = ConsumerSession._watch_for_ever, list[ConsumerSession]()

    async def lose_the_first(session: ConsumerSession) -> None:
        sessions.append(session)
        if len(sessions) == 1:
            await lost.wait()
            raise KafkaConnectionError("lost")
        await watch(session)

    async def let_go_late(_record: ConsumedRecord) -> None:
        lost.set()
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    monkeypatch.setattr(lane, "_CANCEL_SECONDS", 0.1)
    monkeypatch.setattr(ConsumerSession, "_watch_for_ever", lose_the_first)
    recorder.before = let_go_late
    await producer.send(topic, key=b"k", value=b"late")
    async with running(kafka, {topic: recorder}) as runner:
        await until(lambda: len(sessions) == 2 and runner.ready)
        await until(lambda: any(work.waiting for work in runner._lanes[topic].partitions.values()))
        released.set()
        await until(lambda: _is_committed(kafka, topic, 1))


async def test_a_frozen_broker_is_noticed_and_recovered_from(own_broker: OwnBroker, own_kafka: KafkaSettings) -> None:
    kafka = own_kafka
    await create_topics(kafka)
    topic = kafka.topics.incidents
    recorder = Recorder()
    async with EventProducer(kafka) as producer, running(kafka, {topic: recorder}) as runner:
        await send_values(producer, topic, numbered(20))
        await until(lambda: len(recorder.handled) == 20 and runner.ready)
        own_broker.freeze()
        await until(lambda: not runner.ready)
        assert "does not answer" in str(runner.not_ready_reason)
        own_broker.thaw()
        await until(lambda: runner.ready)
        await send_values(producer, topic, numbered(40)[20:])
        await until(lambda: set(recorder.values) == set(numbered(40)))
        await until(lambda: _is_committed(kafka, topic, 40))


async def test_a_broker_that_is_down_at_start_is_awaited(own_broker: OwnBroker, own_kafka: KafkaSettings) -> None:
    kafka = own_kafka
    await own_broker.stop()
    topic = kafka.topics.incidents
    recorder = Recorder()
    async with running(kafka, {topic: recorder}) as runner:
        await until(lambda: "no broker answers" in str(runner.not_ready_reason))
        await own_broker.start()
        await until(lambda: "topics are missing" in str(runner.not_ready_reason))
        await create_topics(kafka)
        async with EventProducer(kafka) as producer:
            await send_values(producer, topic, numbered(10))
        await until(lambda: recorder.times() == Counter(numbered(10)))
        await until(lambda: runner.ready)


async def test_a_broker_that_restarts_is_consumed_on_also_when_it_forgot_everything(
    own_broker: OwnBroker, own_kafka: KafkaSettings
) -> None:
    kafka = own_kafka
    await create_topics(kafka)
    topic = kafka.topics.incidents
    recorder = Recorder()
    async with running(kafka, {topic: recorder}) as runner:
        async with EventProducer(kafka) as producer:
            await send_values(producer, topic, numbered(20))
        await until(lambda: _is_committed(kafka, topic, 20))
        await own_broker.stop()
        await until(lambda: not runner.ready)
        await own_broker.start()
        await create_topics(kafka)
        async with EventProducer(kafka) as producer:
            await send_values(producer, topic, numbered(30)[20:])
        await until(lambda: recorder.times() == Counter(numbered(30)), seconds=60)


async def test_it_stops_while_the_broker_is_frozen(own_broker: OwnBroker, own_kafka: KafkaSettings) -> None:
    kafka = own_kafka
    await create_topics(kafka)
    topic = kafka.topics.incidents
    recorder = Recorder()
    async with EventProducer(kafka) as producer:
        await send_values(producer, topic, numbered(5))
    async with asyncio.timeout(40):
        async with running(kafka, {topic: recorder}):
            await until(lambda: len(recorder.handled) == 5)
            own_broker.freeze()
    own_broker.thaw()


def samples_of(metrics: Metrics, name: str) -> list[Sample]:
    """What is told under that name now."""
    return [sample for family in metrics.registry.collect() if family.name == name for sample in family.samples]


async def _is_committed(kafka: KafkaSettings, topic: str, offset: int) -> bool:
    return await committed(kafka, topic) == offset
