"""Compressed batches that are small on the wire and large in memory."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from rtcc_bridge.consumers.inflation import MOST_INFLATED_BYTES, FullPollError, InflationError, one_poll
from rtcc_bridge.consumers.raw_batches import read_batches

TP = TopicPartition("topic", 0)
CODECS = pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=["gzip", "snappy", "lz4", "zstd"])


def batch(codec: int, offset: int, *values: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 2 * MOST_INFLATED_BYTES)
    for place, value in enumerate(values):
        builder.append(place, 1_700_000_000_000, b"k", value, [])
    return offset.to_bytes(8, "big") + bytes(builder.build())[8:]


@CODECS
def test_a_batch_that_becomes_too_large_stands_for_itself_and_what_follows_is_read(codec: int) -> None:
    bomb = batch(codec, 7, b"small", b"\0" * MOST_INFLATED_BYTES)
    records, position = read_batches(TP, bomb + batch(codec, 9, b"after"), 7)
    assert [(record.offset, record.value) for record in records] == [(8, bomb), (9, b"after")]
    assert position == 10


@CODECS
def test_aiokafka_itself_inflates_no_more(codec: int) -> None:
    bomb = batch(codec, 0, b"\0" * MOST_INFLATED_BYTES)
    with pytest.raises(InflationError):
        list(MemoryRecords(bomb).next_batch())
    large = batch(codec, 0, b"\0" * (MOST_INFLATED_BYTES - 1_000))
    (record,) = MemoryRecords(large).next_batch()
    assert len(record.value) == MOST_INFLATED_BYTES - 1_000


@CODECS
def test_what_does_not_inflate_is_said_to(codec: int) -> None:
    whole = batch(codec, 0, b"value" * 100)
    with pytest.raises(InflationError):
        list(MemoryRecords(whole[:61] + b"\xff" * (len(whole) - 61)).next_batch())


def test_many_batches_of_one_poll_are_bounded_together() -> None:
    half = MOST_INFLATED_BYTES // 2
    fetched = b"".join(batch(1, place, b"\0" * half) for place in range(5))
    with one_poll(), pytest.raises(FullPollError):
        list(chain.from_iterable(_batches(fetched)))
    records, position = read_batches(TP, fetched, 0)
    assert (len(records), position) == (2, 2)
    assert len(list(chain.from_iterable(_batches(fetched[: len(fetched) // 5])))) == 1


def _batches(fetched: bytes) -> Iterator[Any]:
    records = MemoryRecords(fetched)
    while records.has_next():
        yield records.next_batch()
