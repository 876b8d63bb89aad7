"""The one relay: numbers committed events for the feed and publishes them to their topics (decision 4)."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import structlog

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.publishing.numbering import Numbering
from rtcc_bridge.publishing.topic_lane import TopicLane
from rtcc_bridge.settings import RelaySettings
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import SoleRight, Work, sole_right
from rtcc_bridge.storage.standing_query import StandingQuery
from rtcc_bridge.task_group import task_group

_STANDBY_SECONDS: Final = 1.0
_CONFIRMED_WITHIN_SECONDS: Final = 10.0
"""A relay that was stopped for longer, or waits for one statement for longer, is taken for dead by the others."""

_PRUNE_EVERY: Final = timedelta(hours=1)
_PRUNED_AT_ONCE: Final = 1000

Lanes: TypeAlias = dict[str, asyncio.Task[None]]

_log = structlog.get_logger(__name__)


class Relay:
    """Numbers and publishes, if this process holds the lock; else it stands by for the one that does.

    Without the broker, numbering and so the floor's feed go on, and publishing is tried again for ever. Without the
    database, everything waits for it. Nothing is held in memory but the batch in work.
    """

    def __init__(
        self,
        database: Database,
        producer: EventProducer,
        settings: RelaySettings,
        metrics: Metrics,
        clock: Clock,
        on_feed_moved: Callable[[], None] = lambda: None,
    ) -> None:
        """on_feed_moved is called after each commit that added to the feed; it must not block or raise."""
        self._database = database
        self._producer = producer
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._numbering = Numbering(database, metrics, clock, settings.batch_size, on_feed_moved)
        self._backlog = StandingQuery(database, outbox.backlog_by_topic)
        self._lock_outage = OutageLog("holding the relay's lock")
        self._numbering_outage = OutageLog("numbering events")
        self._outbox_outage = OutageLog("reading the outbox")
        self._to_number = asyncio.Event()
        self._to_publish = asyncio.Event()
        self._stopping = asyncio.Event()
        self._is_active = False
        self._oldest_at: datetime | None = None
        metrics.outbox_oldest_age_seconds.set_function(self._oldest_age_seconds)
        self._next_prune = clock.now()
        database.after_commit(self._wake)

    async def readiness(self) -> str | None:
        """None when the broker answers, else why not. A relay that stands by publishes nothing and needs none."""
        if not self._is_active:
            return None
        try:
            await self._producer.ping()
        except UnavailableError as error:
            return str(error)
        return None

    def stop(self) -> None:
        """Lets `run` number and publish what has committed, for as long as the time limit allows, and return."""
        self._stopping.set()
        self._wake()

    async def run(self) -> None:
        """Works until `stop`. Whatever may pass is waited for; any other error is raised and ends the process."""
        while not self._stopping.is_set():
            try:
                async with sole_right(
                    self._database, Work.RELAY, confirmed_within_seconds=_CONFIRMED_WITHIN_SECONDS
                ) as lock:
                    self._lock_outage.succeeded()
                    if lock is not None:
                        await self._work(lock)
                        return
            except* UnavailableError as errors:
                self._lock_outage.failed(errors.exceptions[0])
            await self._wait(self._stopping, _STANDBY_SECONDS)

    async def _work(self, lock: SoleRight) -> None:
        self._set_active(active=True)
        try:
            async with task_group() as tasks:
                tasks.create_task(self._keep_numbering(lock))
                tasks.create_task(self._keep_publishing())
        finally:
            self._set_active(active=False)

    def _oldest_age_seconds(self) -> float:
        """It grows while the database, which would tell of a later one, does not answer."""
        return 0.0 if self._oldest_at is None else max(0.0, (self._clock.now() - self._oldest_at).total_seconds())

    def _set_active(self, *, active: bool) -> None:
        self._is_active = active
        self._oldest_at = None  # until the outbox is read: what waits is the active relay's to tell
        self._metrics.relay_active.set(active)
        _log.info("relay_active" if active else "relay_stands_by")

    async def _keep_numbering(self, lock: SoleRight) -> None:
        while True:
            last_round = self._stopping.is_set()
            self._to_number.clear()
            await lock.confirm()
            try:
                await self._numbering.number_all()
                await self._prune_when_due()
            except UnavailableError as error:
                self._numbering_outage.failed(error)
            else:
                self._numbering_outage.succeeded()
            if last_round:
                return
            await self._wait(self._to_number, self._settings.idle_seconds)

    async def _keep_publishing(self) -> None:
        """Sees to it that each topic that has events has a lane."""
        lanes: Lanes = {}
        try:
            while not self._stopping.is_set():
                self._to_publish.clear()
                _reap(lanes)
                self._start_lanes(lanes, await self._waiting_topics())
                await self._wait(self._to_publish, self._settings.idle_seconds)
            await self._finish(lanes)
        finally:
            for lane in lanes.values():
                lane.cancel()
            await asyncio.gather(*lanes.values(), return_exceptions=True)

    async def _finish(self, lanes: Lanes) -> None:
        """Publishes what has committed, until one lane fails or the time is over; the rest waits in the outbox."""
        try:
            async with asyncio.timeout(self._settings.publish_timeout_seconds):
                while True:
                    if lanes:
                        await asyncio.wait(lanes.values())
                    failed = _reap(lanes)
                    topics = await self._waiting_topics()
                    if failed or not topics:
                        break
                    self._start_lanes(lanes, topics)
        except TimeoutError:
            topics = list(lanes)
        if topics:
            _log.warning("stopped_with_unpublished_events", topics=topics)

    def _start_lanes(self, lanes: Lanes, topics: Sequence[str]) -> None:
        for topic in topics:
            if topic in lanes:
                continue
            lane = TopicLane(
                topic, self._database, self._producer, self._metrics, self._clock, self._settings, self._stopping
            )
            lanes[topic] = asyncio.create_task(lane.publish_all(), name=f"publish {topic}")
            lanes[topic].add_done_callback(lambda _: self._to_publish.set())

    async def _waiting_topics(self) -> list[str]:
        try:
            backlog = await self._backlog.answer()
        except UnavailableError as error:
            self._outbox_outage.failed(error)
            return []
        self._outbox_outage.succeeded()
        self._oldest_at = min((one.oldest_at for one in backlog.values() if one.oldest_at is not None), default=None)
        counts = {topic: waiting.count for topic, waiting in backlog.items() if topic is not None}
        self._metrics.outbox_backlog.set(sum(counts.values()))
        return list(counts)

    async def _prune_when_due(self) -> None:
        """Deletes one batch of old rows; the next at once while there are more, so no transaction is long."""
        now = self._clock.now()
        if now < self._next_prune:
            return
        done_before = now - timedelta(hours=self._settings.retention_hours)
        async with self._database.write() as tx:
            pruned = await outbox.prune(tx, done_before, _PRUNED_AT_ONCE)
        if pruned < _PRUNED_AT_ONCE:
            self._next_prune = now + _PRUNE_EVERY

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._to_number.set()
        self._to_publish.set()


def _reap(lanes: Lanes) -> bool:
    """Drops the lanes that have ended, and says whether one gave up. Raises what was no failure that may pass."""
    ended = [topic for topic, lane in lanes.items() if lane.done()]
    failed = False
    for topic in ended:
        error = lanes.pop(topic).exception()
        if error is not None and not isinstance(error, UnavailableError):
            raise error
        failed = failed or error is not None
    return failed
