"""Sends batches of records that no well-behaved producer would."""

import asyncio
import gzip
import struct
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    LeaderNotAvailableError,
    NoError,
    NotLeaderForPartitionError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from rtcc_bridge.settings import KafkaSettings

NOT_UTF8: Final = b"\xff\xfe\xff\xfe"
_STAND_IN: Final = "éé"
"""As long in UTF-8, and replaced in the finished batch."""
_LEADER_SECONDS: Final = 10
_NO_LEADER_YET: Final = (LeaderNotAvailableError, NotLeaderForPartitionError, UnknownTopicOrPartitionError)
"""Of a topic that was just created."""
_CRC_AT: Final = 17
_CHECKED_FROM: Final = 21

Record = tuple[bytes, bytes | None, bool]
"""Key, value, and whether the record has a header whose name is NOT_UTF8."""


def batch_of(records: Sequence[Record], codec: int = 0) -> bytes:
    """A record batch with a right checksum. codec: as in the batch's attributes, 1 is gzip."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000_000)
    for place, (key, value, is_odd) in enumerate(records):
        builder.append(place, 1_700_000_000_000, key, value, [(_STAND_IN, b"x")] if is_odd else [("plain", b"y")])
    built = bytes(builder.build()).replace(_STAND_IN.encode(), NOT_UTF8)
    if codec:
        built = _compressed(built, codec)
    return built[:_CRC_AT] + struct.pack(">I", calc_crc32c(built[_CHECKED_FROM:])) + built[_CHECKED_FROM:]


async def send_batch(kafka: KafkaSettings, topic: str, batch: bytes, partition: int = 0) -> None:
    """Returns when the broker has taken the batch. Raises KafkaError when it refuses it."""
    client = AIOKafkaClient(bootstrap_servers=list(kafka.bootstrap_servers), request_timeout_ms=5000)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        request = ProduceRequest(None, -1, 5000, [(topic, [(partition, batch)])])
        async with asyncio.timeout(_LEADER_SECONDS):
            while (error := await _send(client, TopicPartition(topic, partition), request)) in _NO_LEADER_YET:
                await client.force_metadata_update()
        if error is not NoError:
            raise error
    finally:
        await client.close()


async def _send(client: AIOKafkaClient, tp: TopicPartition, request: ProduceRequest) -> Any:
    leader = client.cluster.leader_for_partition(tp)
    if leader in {None, -1}:
        return LeaderNotAvailableError
    answer: Any = await client.send(leader, request)
    ((_, ((_number, code, *_),)),) = answer.topics
    return for_code(code)


def _compressed(batch: bytes, codec: int) -> bytes:
    assert codec == 1
    head, records = bytearray(batch[:61]), gzip.compress(batch[61:])
    struct.pack_into(">i", head, 8, len(head) - 12 + len(records))
    struct.pack_into(">h", head, 21, codec)
    return bytes(head) + records
