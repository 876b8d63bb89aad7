"""Records in the message formats before Kafka 0.11, as an old log may still hold them."""

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.structs import TopicPartition

from rtcc_bridge.consumers.raw_batches import DamagedBatchError, read_batches
from rtcc_bridge.consumers.session import consumed
from tests.unit.incidents.cases import NOON

TP = TopicPartition("t", 0)


def old_message(magic: int) -> bytes:
    builder = LegacyRecordBatchBuilder(magic, 0, 1_000_000)
    builder.append(0, 1000 if magic else None, b"k", b"v")
    return bytes(builder.build())


@pytest.mark.parametrize("magic", [0, 1])
def test_an_old_message_is_consumed_like_any_other(magic: int) -> None:
    (record,), after = read_batches(TP, old_message(magic), 0)
    handled = consumed(record, NOON)
    assert (handled.key, handled.value, handled.headers, after) == (b"k", b"v", (), 1)
    assert (handled.timestamp == NOON) is (magic == 0)


def test_a_damaged_message_is_told() -> None:
    with pytest.raises(DamagedBatchError, match="checksum"):
        read_batches(TP, old_message(1)[:-1] + b"x", 0)
