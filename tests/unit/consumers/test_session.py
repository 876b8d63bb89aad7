"""What becomes of a polled record, whatever its producer wrote, and what is told of partitions that come and go."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from rtcc_bridge.clock import SystemClock
from rtcc_bridge.consumers import session as session_module
from rtcc_bridge.consumers.lane import OnDone, TopicLane
from rtcc_bridge.consumers.session import ConsumerSession, consumed
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings
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


PLACE = TopicPartition("t", 3)


class IdleLane(TopicLane):
    """Nothing is ever delivered on it."""

    def hand_over(self, on_done: OnDone) -> None:
        return

    def _most_waiting(self) -> int:
        return 0


class ConsumerThatLoses:
    """Stands for the client: the partition is taken away while the broker is asked for its committed offset."""

    session: ConsumerSession

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 9)

    async def committed(self, place: TopicPartition) -> int | None:
        await self.session.revoked([place])
        return None

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 7)

    def highwater(self, _place: TopicPartition) -> int | None:
        return None

    def assignment(self) -> set[TopicPartition]:
        return set()


class ConsumerOfOldTopic(ConsumerThatLoses):
    """Its group has committed nothing yet."""

    async def committed(self, place: TopicPartition) -> int | None:
        return None


async def lag_told(consumer: ConsumerThatLoses, monkeypatch: pytest.MonkeyPatch) -> float | None:
    metrics, lane = Metrics(), IdleLane("t")
    monkeypatch.setattr(session_module, "_consumer", lambda *_: consumer)
    consumer.session = ConsumerSession(
        KafkaSettings(), "g", {"t": lane}, metrics, SystemClock(), asyncio.Event(), lambda _: None, lambda _: None
    )
    lane.open(PLACE.partition)
    await consumer.session._measure_lag()
    return metrics.registry.get_sample_value("rtcc_bridge_consumer_lag", {"topic": "t", "partition": "3"})


async def test_no_lag_is_told_of_a_partition_that_was_just_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge would stay for ever, beside that of the process that has the partition now."""
    assert await lag_told(ConsumerThatLoses(), monkeypatch) is None


async def test_a_new_group_waits_for_no_more_than_the_topic_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The topic's retention has removed seven records of nine."""
    assert await lag_told(ConsumerOfOldTopic(), monkeypatch) == 2
