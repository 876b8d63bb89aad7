"""Where reading a partition begins and how it goes on when it cannot: nothing is passed over without being told."""

import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import ConsumerRecord

from rtcc_bridge.consumers.inflation import MOST_INFLATED_BYTES
from rtcc_bridge.consumers.raw_batches import DamagedBatchError, read_batches, size_bytes
from rtcc_bridge.metrics import Metrics

_WAIT_MS: Final = 100
_READ_COMMITTED: Final = 1
_TRY_AGAIN_SECONDS: Final = 30.0
"""A damaged batch is fetched again after this time: another copy of the partition may be sound."""

_log = structlog.get_logger(__name__)


class _ReassignedError(Exception):
    """The group shared the partitions out anew while one of them was read."""


class Positions:
    """The positions of one consumer that asks the broker for no automatic reset."""

    def __init__(self, consumer: AIOKafkaConsumer, metrics: Metrics, fetch_bytes: int) -> None:
        self._consumer = consumer
        self._metrics = metrics
        self._fetch_bytes = fetch_bytes
        self._damaged: dict[TopicPartition, tuple[float, str]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._assignments = 0

    @property
    def problem(self) -> str | None:
        """The partitions that wait at a damaged batch, in plain words."""
        told = [text for _, text in self._damaged.values()]
        return "; ".join(told) or None

    def may_fetch(self, tp: TopicPartition) -> bool:
        return tp not in self._damaged

    def forget(self) -> None:
        """The group shares the partitions out anew: whoever gets one begins where the group's commits end."""
        self._assignments += 1
        self._damaged.clear()
        self._next.clear()

    def delivered(self, tp: TopicPartition, offset: int) -> None:
        """Notes the last record that the consumer handed out."""
        self._next[tp] = offset + 1

    async def begin(self, tp: TopicPartition) -> None:
        """A group that has no position in a partition begins with its oldest record."""
        try:
            await self._consumer.seek_to_beginning(tp)
        except IllegalStateError:
            return  # the partition is somebody else's by now
        _log.info("reading begins with the oldest record", topic=tp.topic, partition=tp.partition)

    async def begin_anew(self, positions: Mapping[TopicPartition, int]) -> None:
        """The records at these positions are not there. Goes on with the oldest, and says what is gone.

        Before the oldest record: retention has removed what was not read. Behind the newest: the topic was created
        anew or cut; what it holds now is read from its beginning, where events that are known have no effect again.
        """
        oldest: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(list(positions))
        for tp, position in positions.items():
            place = {"topic": tp.topic, "partition": tp.partition, "position": position, "oldest": oldest[tp]}
            if (lost := oldest[tp] - position) > 0:
                self._metrics.records_lost_total.labels(tp.topic).inc(lost)
                _log.error(
                    "records were removed by the topic's retention before they were read: ask the sender to send them "
                    "again, and raise retention.ms",
                    lost_at_most=lost,
                    **place,
                )
            else:
                _log.error("the topic ends before the group's position: it was created anew, or cut", **place)
            try:
                self._consumer.seek(tp, oldest[tp])
                self._next[tp] = oldest[tp]
            except IllegalStateError:
                continue  # the partition is somebody else's by now

    async def read_raw(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The next records of every partition, also those that aiokafka cannot read; positions move behind them.

        Of every partition, since a poll that fails drops what it had taken from the others, with their positions moved
        already. One that is paused is only put back to its next record, since nobody has room for more of it, and so
        are the last ones when those before brought much. A partition whose next batch is damaged is not fetched from
        for a while; the others go on. Nothing when the group shared the partitions out anew meanwhile: what was read
        before that is delivered again to whoever has its partition now.
        """
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        room = MOST_INFLATED_BYTES
        for tp in self._consumer.assignment() - self._damaged.keys():
            try:
                records = await self._read_on(tp, has_room=room > 0)
            except _ReassignedError:
                return {}
            if records:
                found[tp] = records
                room -= size_bytes(records)
        return found

    async def _read_on(self, tp: TopicPartition, *, has_room: bool) -> list[ConsumerRecord]:
        """Raises _ReassignedError."""
        assignments = self._assignments
        position = await self._next_of(tp)
        self._require(assignments)
        self._next[tp] = position
        self._consumer.seek(tp, position)
        if not has_room or tp in self._consumer.paused():
            return []
        try:
            records, after = await self._read(tp, position)
        except DamagedBatchError as error:
            self._require(assignments)
            self._set_aside(tp, position, error)
            return []
        self._require(assignments)
        self._consumer.seek(tp, after)
        return records

    def _require(self, assignments: int) -> None:
        if self._assignments != assignments:
            raise _ReassignedError

    async def _next_of(self, tp: TopicPartition) -> int:
        if tp in self._next:
            return self._next[tp]
        committed: int | None = await self._consumer.committed(tp)
        if committed is not None:
            return committed
        oldest: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets([tp])
        return oldest[tp]

    def try_damaged_again(self) -> None:
        """Fetches from partitions that have waited long enough."""
        now = time.monotonic()
        due = {tp for tp, (since, _) in self._damaged.items() if now - since >= _TRY_AGAIN_SECONDS}
        for tp in due:
            del self._damaged[tp]
        self._consumer.resume(*(due & self._consumer.assignment()))

    async def _read(self, tp: TopicPartition, position: int) -> tuple[list[ConsumerRecord], int]:
        """Fetches past aiokafka's consumer, which has no way to hand out a batch as it is."""
        client = self._consumer._client
        leader = client.cluster.leader_for_partition(tp)
        request = FetchRequest(
            _WAIT_MS, 1, self._fetch_bytes, _READ_COMMITTED, [(tp.topic, [(tp.partition, position, self._fetch_bytes)])]
        )
        answer: Any = await client.send(leader, request)
        for _topic, ((_number, code, _high, *others, fetched),) in answer.topics:
            if code == 0 and fetched:
                aborted = next(
                    (field for field in others if isinstance(field, list)), []
                )  # other versions, other places
                return read_batches(tp, fetched, position, aborted)
        return [], position

    def _set_aside(self, tp: TopicPartition, position: int, error: DamagedBatchError) -> None:
        self._consumer.pause(tp)
        text = f"{tp.topic} partition {tp.partition} is damaged at offset {position}: see the broker's log and its disk"
        self._damaged[tp] = (time.monotonic(), text)
        _log.error("a damaged batch holds its partition; the others go on", reason=text, error=str(error))
