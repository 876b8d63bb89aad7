"""A topic that was paused in one process is resumed by the command of another, and stays paused over a restart."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.consumers.pauses import PauseBoard, PauseDesk
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import InvalidInputError, NotFoundError
from rtcc_bridge.settings import DatabaseSettings, KafkaSettings
from rtcc_bridge.storage import audit_entries, topic_pauses
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.topic_pauses import TopicPause
from tests.doubles import ManualClock
from tests.integration.pipeline import Recorder, running, send_values, until


def recorder() -> Recorder:
    made = Recorder()

    async def refuse_bad(record: ConsumedRecord) -> None:
        if record.value == b"bad":
            raise InvalidInputError("never")

    made.before = refuse_bad
    return made


def board_of(database: Database, clock: ManualClock) -> PauseBoard:
    return PauseBoard(database, clock, 3600, "too many dead letters")


@pytest.fixture
def strict(kafka: KafkaSettings) -> KafkaSettings:
    return kafka.model_copy(update={"dead_letter_rate_limit": 2, "dead_letter_pause_seconds": 3600.0})


async def test_a_command_resumes_a_topic_that_every_process_had_paused(
    strict: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    topic, clock = strict.topics.incidents, ManualClock(SystemClock().now())
    first, second = board_of(database, clock), board_of(database, clock)
    desk = PauseDesk(database, AuditLog(clock), clock)
    here, there = recorder(), recorder()
    await send_values(producer, topic, [b"bad"] * 3)
    async with running(strict, {topic: here}) as paused_here:
        first.add(paused_here)
        await until(lambda: paused_here.paused_topics == (topic,))
        await first.look()
        assert [pause.topic for pause in await desk.in_force()] == [topic]
        await until(lambda: "topics resume" in (paused_here.not_ready_reason or ""))
        await first.look()
        assert paused_here.paused_topics == (topic,), "what was noted is not taken for a resumption"
        async with running(strict, {topic: there}, group="another") as other:
            second.add(other)
            await second.look()
            assert other.paused_topics == (topic,)
            await desk.resume(topic, "administrator")
            for board in (first, second):
                await board.look()
            assert not any([*paused_here.paused_topics, *other.paused_topics])
        await send_values(producer, topic, [b"good"])
        await until(lambda: here.values == [b"good"])
    assert await desk.in_force() == []
    async with database.read() as tx:
        assert [entry.action for entry in await audit_entries.by_subject(tx, f"topic/{topic}")] == ["topic.resume"]


async def test_a_process_that_starts_meanwhile_begins_paused_until_the_pause_is_over(
    strict: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    topic, clock = strict.topics.incidents, ManualClock(SystemClock().now())
    await send_values(producer, topic, [b"bad"] * 3)
    async with running(strict, {topic: recorder()}) as runner:
        board = board_of(database, clock)
        board.add(runner)
        await until(lambda: runner.paused_topics == (topic,))
        await board.look()
    async with running(strict, {topic: recorder()}) as restarted:
        board = board_of(database, clock)
        board.add(restarted)
        await board.look()
        assert restarted.paused_topics == (topic,)
        clock.advance(3601)
        await board.look()
        assert not list(restarted.paused_topics)


async def test_two_processes_may_pause_a_topic_at_the_same_moment(database: Database, database_url: str) -> None:
    now = SystemClock().now()
    first, second = (
        TopicPause(topic="rtcc.incidents", paused_at=now, ends_at=now + timedelta(hours=hours), reason="too many")
        for hours in (1, 2)
    )
    other_process = Database(DatabaseSettings(url=SecretStr(database_url)))

    async def pause_too() -> None:
        async with other_process.write() as tx:
            await topic_pauses.put(tx, second)

    async with database.write() as tx:
        await topic_pauses.put(tx, first)
        pausing = asyncio.create_task(pause_too())
        await asyncio.wait([pausing], timeout=0.2)  # it may wait for this transaction, which is what it should do
    await pausing
    await other_process.close()
    async with database.read() as tx:
        assert await topic_pauses.every(tx) == [second]


async def test_a_topic_that_is_not_paused_cannot_be_resumed(database: Database, clock: ManualClock) -> None:
    with pytest.raises(NotFoundError, match="not paused"):
        await PauseDesk(database, AuditLog(clock), clock).resume("rtcc.incidents", "administrator")
