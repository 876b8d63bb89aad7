"""Reads a topic from its beginning to its present end, without a group."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from rtcc_bridge.broker.client import client_arguments, stop_within
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import KafkaSettings

_POLL_MS: Final = 200


async def read_to_end(kafka: KafkaSettings, topic: str) -> AsyncIterator[ConsumerRecord]:
    """Every record that is on the topic now, each partition in its order.

    Raises UnavailableError when the broker does not answer or falls silent for the request timeout, or the topic is
    not there.
    """
    consumer = AIOKafkaConsumer(**client_arguments(kafka), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        async with asyncio.timeout(2 * kafka.request_timeout_seconds):
            await consumer.start()
            partitions = await _assign(consumer, topic)
            ends = await consumer.end_offsets(partitions)
        while True:
            async with asyncio.timeout(kafka.request_timeout_seconds):
                if not any([await _has_more(consumer, tp, ends[tp]) for tp in partitions]):
                    return
                batches = await consumer.getmany(timeout_ms=_POLL_MS)
            for records in batches.values():
                for record in records:
                    yield record
    except (KafkaError, TimeoutError) as error:
        raise UnavailableError(f"the broker did not answer: {error!r}") from error
    finally:
        await stop_within(consumer.stop(), kafka.request_timeout_seconds)


async def _assign(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await consumer.topics()
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise UnavailableError(f"the topic {topic} is not there: run `rtcc-bridge topics create`")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    return partitions


async def _has_more(consumer: AIOKafkaConsumer, tp: TopicPartition, end: int) -> bool:
    """The embedded broker tells an end that is too low after large batches; with a fetch it tells the true one."""
    told_by_fetch: int | None = consumer.highwater(tp)
    if told_by_fetch is None:
        return True
    position: int = await consumer.position(tp)
    return position < max(end, told_by_fetch)
