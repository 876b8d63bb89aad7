"""What becomes of a polled record, whatever its producer wrote."""

from datetime import timedelta

import pytest
from aiokafka.structs import ConsumerRecord

from rtcc_bridge.consumers.session import consumed
from tests.unit.incidents.cases import NOON


def polled(timestamp_ms: int) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord("t", 0, 7, timestamp_ms, 0, b"k", b"v", None, 1, 1, (("h", None),))


@pytest.mark.parametrize("timestamp_ms", [2**60, 2**63 - 1, -(2**63), -1, 0, int(NOON.timestamp() * 1000) + 1])
def test_a_time_that_cannot_be_counts_as_now(timestamp_ms: int) -> None:
    assert consumed(polled(timestamp_ms), NOON).timestamp == NOON


def test_a_records_own_time_is_kept() -> None:
    earlier = NOON - timedelta(days=3)
    record = consumed(polled(int(earlier.timestamp() * 1000)), NOON)
    assert (record.timestamp, record.offset, record.headers) == (earlier, 7, (("h", b""),))
