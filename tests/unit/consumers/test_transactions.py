"""Records that a sender wrote in a transaction and took back."""

import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from rtcc_bridge.consumers.raw_batches import read_batches

TP = TopicPartition("t", 0)
ABORT, COMMIT = 0, 1


def said(producer_id: int, offset: int, value: bytes) -> bytes:
    """A batch of one record in a transaction of this producer."""
    return _batch(producer_id, offset, b"k", value)


def marker(producer_id: int, offset: int, kind: int) -> bytes:
    """The end of the producer's transaction, as the broker writes it."""
    batch = bytearray(_batch(producer_id, offset, struct.pack(">HH", 0, kind), b""))
    batch[22] |= 0x20  # the attribute of a control batch
    struct.pack_into(">I", batch, 17, calc_crc32c(bytes(batch[21:])))
    return bytes(batch)


def _batch(producer_id: int, offset: int, key: bytes, value: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer_id, 0, 0, 1_000_000)
    builder.append(0, 1_700_000_000_000, key, value, [])
    return offset.to_bytes(8, "big") + bytes(builder.build())[8:]


TOPIC = b"".join(
    (
        said(1, 0, b"taken back"),
        said(2, 1, b"of another sender"),
        said(1, 2, b"taken back too"),
        marker(1, 3, ABORT),
        said(1, 4, b"of the next transaction"),
        marker(2, 5, COMMIT),
        marker(1, 6, COMMIT),
        said(1, 7, b"taken back again"),
        marker(1, 8, ABORT),
    )
)


@pytest.mark.parametrize("start", [0, 2])
def test_what_was_taken_back_is_no_record_and_all_else_is(start: int) -> None:
    records, after = read_batches(TP, TOPIC, start, [(1, 7), (1, 0)])
    wanted = [(1, b"of another sender"), (4, b"of the next transaction")]
    assert [(record.offset, record.value) for record in records] == [each for each in wanted if each[0] >= start]
    assert after == 9
