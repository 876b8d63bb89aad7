"""Offsets of consumer groups and ends of topics: what a backup notes and a restoration goes back to."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, UnknownMemberIdError

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.broker.diagnosis import AccessCheck, outage_in_words, refused_right
from rtcc_bridge.broker.partitions import partitions_of
from rtcc_bridge.errors import ConflictError, UnavailableError
from rtcc_bridge.settings import KafkaSettings

_JOINING_MS: Final = 200

Offsets: TypeAlias = Mapping[str, Mapping[int, int]]
"""For each topic the offset of each of its partitions that has one."""


async def committed_offsets(kafka: KafkaSettings, group: str, topics: Sequence[str]) -> Offsets:
    """Where the group goes on in each partition; partitions in which it never committed are left out.

    Raises UnavailableError when the broker does not answer or a topic is not there.
    """
    async with _consumer(kafka, group) as consumer:
        found: dict[str, dict[int, int]] = {topic: {} for topic in topics}
        for tp in await _assign(consumer, kafka, topics):
            if (offset := await consumer.committed(tp)) is not None:
                found[tp.topic][tp.partition] = offset
        return found


async def end_offsets(kafka: KafkaSettings, topics: Sequence[str]) -> Offsets:
    """The offset that the next record of each partition gets. Raises UnavailableError."""
    async with _consumer(kafka, None) as consumer:
        ends = await consumer.end_offsets(await _assign(consumer, kafka, topics))
        return {topic: {tp.partition: end for tp, end in ends.items() if tp.topic == topic} for topic in topics}


async def reset_offsets(kafka: KafkaSettings, group: str, offsets: Offsets) -> Offsets:
    """Lets the group go on from these offsets, and from the beginning where there is none. Returns what was set.

    An offset that the topic does not hold, since records were deleted or the topic was made anew, becomes its
    beginning. Raises ConflictError while the group has members, UnavailableError.
    """
    async with _consumer(kafka, group) as consumer:
        partitions = await _assign(consumer, kafka, list(offsets))
        first = await consumer.beginning_offsets(partitions)
        last = await consumer.end_offsets(partitions)
        wanted: dict[TopicPartition, int] = {}
        for tp in partitions:
            offset = offsets[tp.topic].get(tp.partition, first[tp])
            wanted[tp] = offset if first[tp] <= offset <= last[tp] else first[tp]
        is_settled = await _commit_alone(consumer, wanted)
    if not is_settled:
        await _commit_as_member(kafka, group, wanted)
    return {topic: {tp.partition: at for tp, at in wanted.items() if tp.topic == topic} for topic in offsets}


async def _commit_alone(consumer: AIOKafkaConsumer, wanted: Mapping[TopicPartition, int]) -> bool:
    """False when the broker thinks that the group has members."""
    try:
        await consumer.commit(dict(wanted))
    except (CommitFailedError, IllegalStateError, UnknownMemberIdError):
        return False
    return True


async def _commit_as_member(kafka: KafkaSettings, group: str, wanted: Mapping[TopicPartition, int]) -> None:
    """Joins the group and commits. A member that ended without leaving is dropped on the way, at the latest then by a
    broker that looks for it only when somebody joins; with one that lives the partitions are shared, which is refused.
    """
    session_ms = int(kafka.session_timeout_seconds * 1000)
    consumer = AIOKafkaConsumer(
        **client_arguments(kafka),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=session_ms,
        heartbeat_interval_ms=max(100, session_ms // 5),
    )
    try:
        consumer.subscribe(sorted({tp.topic for tp in wanted}))
        async with asyncio.timeout(4 * kafka.session_timeout_seconds + kafka.request_timeout_seconds):
            await consumer.start()
            while consumer.assignment() != set(wanted):
                await consumer.getmany(timeout_ms=_JOINING_MS)
            await consumer.commit(dict(wanted))
    except TimeoutError as error:
        raise ConflictError(f"the consumer group {group} has members: stop every daemon first") from error
    finally:
        await stop_within(consumer.stop(), kafka.request_timeout_seconds)


@asynccontextmanager
async def _consumer(kafka: KafkaSettings, group: str | None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**client_arguments(kafka), group_id=group, enable_auto_commit=False)
    try:
        async with asyncio.timeout(4 * kafka.request_timeout_seconds):
            await consumer.start()
            yield consumer
    except (KafkaError, TimeoutError) as error:
        problem = await AccessCheck(kafka).problem()
        said = refused_right(error) or outage_in_words(kafka, "the broker did not tell or take offsets", error)
        raise UnavailableError(problem or said) from error
    finally:
        await stop_within(consumer.stop(), kafka.request_timeout_seconds)


async def _assign(consumer: AIOKafkaConsumer, kafka: KafkaSettings, topics: Sequence[str]) -> list[TopicPartition]:
    partitions = await partitions_of(kafka, topics)
    consumer.assign(partitions)
    return partitions
