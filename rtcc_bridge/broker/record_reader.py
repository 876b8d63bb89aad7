"""Reads single records by their place, without a group."""

import asyncio
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.broker.diagnosis import outage_in_words
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import KafkaSettings


class RecordReader:
    """An async context manager. All raise UnavailableError when the broker does not answer."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._consumer = AIOKafkaConsumer(**client_arguments(kafka), enable_auto_commit=False)

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(2 * self._kafka.request_timeout_seconds):
                await self._consumer.start()
        except (KafkaError, TimeoutError) as error:
            await self.__aexit__(None, None, None)
            raise UnavailableError(outage_in_words(self._kafka, "the broker did not answer", error)) from error
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await stop_within(self._consumer.stop(), self._kafka.request_timeout_seconds)

    async def at(self, topic: str, partition: int, offset: int) -> ConsumerRecord | None:
        """The record there; None where the topic holds none, any more or yet."""
        place = TopicPartition(topic, partition)
        try:
            async with asyncio.timeout(2 * self._kafka.request_timeout_seconds):
                self._consumer.assign([place])
                begin = (await self._consumer.beginning_offsets([place]))[place]
                end = (await self._consumer.end_offsets([place]))[place]
                if not begin <= offset < end:
                    return None
                self._consumer.seek(place, offset)
                record = await self._consumer.getone(place)
        except (KafkaError, TimeoutError) as error:
            raise UnavailableError(outage_in_words(self._kafka, "the broker did not answer", error)) from error
        return record if record.offset == offset else None
