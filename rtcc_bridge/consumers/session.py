"""One consumer from its start to its end: polling, handing over, committing, rebalances."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import ConsumerRecord

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.broker.diagnosis import AccessCheck
from rtcc_bridge.clock import Clock
from rtcc_bridge.consumers.inflation import one_poll
from rtcc_bridge.consumers.lane import OnDone, PartitionWork, TopicLane
from rtcc_bridge.consumers.positions import Positions
from rtcc_bridge.consumers.raw_batches import UNREADABLE
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings

_POLL_MS: Final = 200
_FETCH_WAIT_MS: Final = 200
"""A partition that is resumed while a fetch waits at the broker is fetched from after this time at most."""
_COMMIT_PAUSE_SECONDS: Final = 0.1
_WATCH_SECONDS: Final = 2.0

_log = structlog.get_logger(__name__)


class ConsumerSession:
    """One consumer, from its start to its end."""

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        lanes: Mapping[str, TopicLane],
        metrics: Metrics,
        clock: Clock,
        stopping: asyncio.Event,
        report: Callable[[str | None], None],
        on_done: OnDone,
    ) -> None:
        """report: told why records cannot be consumed, or None. on_done: told of work that has ended, perhaps after
        this session has: whoever is told calls `progress` of the session that there is then.
        """
        self._kafka = kafka
        self._group = group
        self._lanes = lanes
        self._metrics = metrics
        self._clock = clock
        self._stopping = stopping
        self._report = report
        self._on_done = on_done
        self._consumer = _consumer(kafka, group)
        self._positions = Positions(self._consumer, metrics, _fetch_bytes(kafka))
        self._access = AccessCheck(kafka)
        self._drain_seconds = kafka.session_timeout_seconds / 2
        self._progressed = asyncio.Event()
        self._commit_turn = asyncio.Lock()
        self._joined = False
        self._fetching: dict[str, bool] = {}
        self._measured: set[tuple[str, str]] = set()
        self.has_consumed = False

    async def run(self) -> None:
        """Returns when the runner is stopped.

        Raises KafkaError, TimeoutError or OSError when the broker is away; UnavailableError when it is there and does
        not let this client in, which a session with newer secrets may change.
        """
        try:
            async with asyncio.timeout(2 * self._kafka.request_timeout_seconds):
                await self._consumer.start()
            self._consumer.subscribe(list(self._lanes), listener=_Rebalance(self))
            await _first_of(
                self._poll_for_ever(),
                self._commit_for_ever(),
                self._watch_for_ever(),
                self._stopping.wait(),
            )
        finally:
            await self._give_up({(topic, number) for topic, lane in self._lanes.items() for number in lane.partitions})
            await self._leave()

    def progress(self) -> None:
        """A record is finished or a topic resumed: hand over more, fetch more, commit."""
        for lane in self._lanes.values():
            lane.hand_over(self._on_done)
            self._regulate(lane)
        self._progressed.set()

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Finishes what is in work, commits and lets go."""
        self._joined = False
        self._positions.forget()
        await self._give_up({(tp.topic, tp.partition) for tp in partitions})

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        self._positions.forget()
        for tp in partitions:
            self._lanes[tp.topic].open(tp.partition)
        self._joined = self.has_consumed = True
        self._fetching.clear()
        self.progress()

    async def _leave(self) -> None:
        limit_seconds = 3 * self._kafka.request_timeout_seconds
        if not await stop_within(self._consumer.stop(), limit_seconds):
            _log.warning("the broker did not confirm that the consumer left", group=self._group)
            # aiokafka 0.14 gives up half-way when a fetch is in trouble, and leaves the connections open.
            await stop_within(self._consumer._client.close(), limit_seconds)

    async def _poll_for_ever(self) -> None:
        while True:
            batches = await self._poll()
            for tp, records in batches.items():
                lane = self._lanes[tp.topic]
                if tp.partition not in lane.partitions:
                    continue  # it was given up while the poll went on: its records come again to whoever has it now
                now = self._clock.now()
                lane.deliver(tp.partition, [consumed(record, now) for record in records])
                self._positions.delivered(tp, records[-1].offset)
                tombstones = sum(record.value is None for record in records)
                self._metrics.events_total.labels(tp.topic, "tombstone").inc(tombstones)
            if batches:
                self.progress()

    async def _poll(self) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        try:
            with one_poll():
                batches: Mapping[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                    timeout_ms=_POLL_MS
                )
        except NoOffsetForPartitionError as error:
            await self._positions.begin(error.args[0])
        except OffsetOutOfRangeError as error:
            await self._positions.begin_anew(error.args[0])
        except UNREADABLE:
            if self._joined:
                return await self._positions.read_raw()
            await asyncio.sleep(_POLL_MS / 1000)  # whose the partitions will be is not known yet
        else:
            return batches
        return {}

    async def _commit_for_ever(self) -> None:
        while True:
            await self._progressed.wait()
            self._progressed.clear()
            works = {
                (lane.topic, number): work for lane in self._lanes.values() for number, work in lane.partitions.items()
            }
            if not await self._commit(works):
                self._progressed.set()
            await asyncio.sleep(_COMMIT_PAUSE_SECONDS)  # many records share one commit

    async def _commit(self, works: Mapping[tuple[str, int], PartitionWork]) -> bool:
        """Commits what was finished since the last time; says whether that is settled."""
        async with self._commit_turn:
            mine = self._consumer.assignment()
            due = {
                place: work.offsets.committable
                for place, work in works.items()
                if work.offsets.committable not in {None, work.committed} and TopicPartition(*place) in mine
            }
            if not due:
                return True
            try:
                async with asyncio.timeout(self._kafka.request_timeout_seconds):
                    await self._consumer.commit({TopicPartition(*place): offset for place, offset in due.items()})
            except (CommitFailedError, IllegalStateError) as error:  # they will be delivered again to who has them now
                _log.warning("offsets are not committed: the partitions are no longer this member's", error=repr(error))
                return True
            except (KafkaError, TimeoutError) as error:
                _log.warning("offsets are not committed yet", error=repr(error))
                return False
            for place, offset in due.items():
                works[place].committed = offset
            return True

    async def _watch_for_ever(self) -> None:
        """Measures the lag, which is also how it learns that the broker is away, and back."""
        while True:
            reason = None if self._joined else "waiting for the consumer group"
            try:
                async with asyncio.timeout(self._kafka.request_timeout_seconds):
                    missing = set(self._lanes) - set(await self._consumer.topics())
                    await self._measure_lag()
            except (KafkaError, TimeoutError, OSError) as error:
                if (problem := await self._access.problem()) is not None:
                    raise UnavailableError(problem) from error
                reason = f"the broker does not answer ({type(error).__name__})"
            else:
                if missing:
                    reason = (
                        f"topics are missing, or this client may not see them: {', '.join(sorted(missing))}. Run "
                        "`rtcc-bridge topics create`, or grant what `rtcc-bridge topics acls` prints"
                    )
            self._positions.try_damaged_again()
            self._report(reason or self._positions.problem)
            await asyncio.sleep(_WATCH_SECONDS if reason is None else _WATCH_SECONDS / 4)

    async def _measure_lag(self) -> None:
        places = [TopicPartition(topic, number) for topic, lane in self._lanes.items() for number in lane.partitions]
        if not places:
            return
        for tp, end in (await self._consumer.end_offsets(places)).items():
            work = self._lanes[tp.topic].partitions.get(tp.partition)
            position = None if work is None else work.offsets.committable
            is_idle = work is not None and work.offsets.is_settled and tp in self._consumer.assignment()
            if position is not None and is_idle:  # what may lie behind the last record is the end of a transaction
                position = max(position, await self._consumer.position(tp))
            if position is None:
                position = await self._consumer.committed(tp)
            if position is None:  # a group that has read nothing waits for no more than the topic still holds
                position = (await self._consumer.beginning_offsets([tp]))[tp]
            if tp.partition not in self._lanes[tp.topic].partitions:
                continue  # it was taken away while the broker was asked: its lag is another process's to tell
            # The embedded broker tells an end that is too low; what it says with a fetch is right, but perhaps old.
            newest = max(end, self._consumer.highwater(tp) or 0)
            self._metrics.consumer_lag.labels(tp.topic, str(tp.partition)).set(max(0, newest - position))
            self._measured.add((tp.topic, str(tp.partition)))

    async def _give_up(self, places: Collection[tuple[str, int]]) -> None:
        closing = [
            lane.close([number for name, number in places if name == topic], self._drain_seconds)
            for topic, lane in self._lanes.items()
        ]
        closed = await asyncio.gather(*closing)
        works = {
            (topic, work.partition): work
            for topic, lane_works in zip(self._lanes, closed, strict=True)
            for work in lane_works
        }
        await self._commit(works)
        for topic, number in self._measured & {(topic, str(number)) for topic, number in works}:
            self._metrics.consumer_lag.remove(topic, number)

    def _regulate(self, lane: TopicLane) -> None:
        """Fetches from the topic's partitions only while it wants more."""
        if lane.wants_more is self._fetching.get(lane.topic):
            return
        self._fetching[lane.topic] = lane.wants_more
        mine = self._consumer.assignment()
        places = [TopicPartition(lane.topic, number) for number in lane.partitions]
        partitions = [tp for tp in places if tp in mine and self._positions.may_fetch(tp)]
        if lane.wants_more:
            self._consumer.resume(*partitions)
        else:
            self._consumer.pause(*partitions)


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Tells the session what the group decided."""

    def __init__(self, session: ConsumerSession) -> None:
        self._session = session

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._session.revoked(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Not a coroutine, so that nothing is delivered before it has run."""
        self._session.assigned(assigned)


def _consumer(kafka: KafkaSettings, group: str) -> AIOKafkaConsumer:
    session_ms = int(kafka.session_timeout_seconds * 1000)
    return AIOKafkaConsumer(
        **client_arguments(kafka),
        group_id=group,
        group_instance_id=None if kafka.group_instance_id is None else f"{kafka.group_instance_id}.{group}",
        enable_auto_commit=False,
        auto_offset_reset="none",  # `Positions` finds where to begin, and tells of it
        isolation_level="read_committed",  # what a sender took back in its transaction was never said
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=max(100, session_ms // 5),
        rebalance_timeout_ms=session_ms,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=_fetch_bytes(kafka),
        max_poll_records=kafka.poll_max_records,
    )


def _fetch_bytes(kafka: KafkaSettings) -> int:
    return max(1_048_576, kafka.max_record_bytes)


def consumed(record: ConsumerRecord, now: datetime) -> ConsumedRecord:
    """The record as handlers get it. Never raises: whatever is wrong with a record is its own dead letter's matter.

    Its timestamp is the producer's word: one that no clock can show, or that is yet to come, counts as `now`, and so
    does none at all, as in the oldest format of messages.
    """
    moment = now
    if record.timestamp is not None and 0 < record.timestamp <= now.timestamp() * 1000:
        moment = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return ConsumedRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=tuple((name, content or b"") for name, content in record.headers),
        timestamp=moment,
    )


async def _first_of(*work: Coroutine[Any, Any, Any]) -> None:
    """Runs all until the first one ends, cancels the others and raises what the first one raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
