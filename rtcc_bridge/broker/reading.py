"""Reads a topic from its beginning to its present end, without a group."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.broker.diagnosis import outage_in_words
from rtcc_bridge.broker.partitions import partitions_of
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import KafkaSettings

_POLL_MS: Final = 200


async def read_to_end(
    kafka: KafkaSettings, topic: str, starts: Mapping[int, int] | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Every record that is on the topic now, each partition in its order.

    starts: the offset to begin at in each partition, where that is not the beginning. One that the topic does not hold
    is the beginning.

    Raises UnavailableError when the broker does not answer or falls silent for the request timeout, or the topic is
    not there.
    """
    consumer = AIOKafkaConsumer(**client_arguments(kafka), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        async with asyncio.timeout(2 * kafka.request_timeout_seconds):
            await consumer.start()
            partitions = await partitions_of(kafka, [topic])
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await _seek(consumer, partitions, ends, starts or {})
        while True:
            async with asyncio.timeout(kafka.request_timeout_seconds):
                if not any([await _has_more(consumer, tp, ends[tp]) for tp in partitions]):
                    return
                batches = await consumer.getmany(timeout_ms=_POLL_MS)
            for records in batches.values():
                for record in records:
                    yield record
    except (KafkaError, TimeoutError) as error:
        raise UnavailableError(outage_in_words(kafka, "the broker did not answer", error)) from error
    finally:
        await stop_within(consumer.stop(), kafka.request_timeout_seconds)


async def _seek(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    ends: Mapping[TopicPartition, int],
    starts: Mapping[int, int],
) -> None:
    begins = await consumer.beginning_offsets(partitions)
    for tp in partitions:
        wanted = starts.get(tp.partition, begins[tp])
        if begins[tp] < wanted <= ends[tp]:
            consumer.seek(tp, wanted)


async def _has_more(consumer: AIOKafkaConsumer, tp: TopicPartition, end: int) -> bool:
    """The embedded broker tells an end that is too low after large batches; with a fetch it tells the true one."""
    told_by_fetch: int | None = consumer.highwater(tp)
    if told_by_fetch is None:
        return True
    position: int = await consumer.position(tp)
    return position < max(end, told_by_fetch)
