"""The one owner of a consumer: polls in batches, hands over, commits what is finished, and outlives outages.

An offset is committed after the effect of its record is durable, so a record may be delivered again: after a crash, a
rebalance, a failed commit. Handlers have their effect once (`storage.input_events`), the runner never loses a record.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import structlog
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from rtcc_bridge.clock import Clock
from rtcc_bridge.consumers.attempts import LONGEST_PAUSE_SECONDS, Attempts, until_available
from rtcc_bridge.consumers.dead_letters import NOT_KEPT, DeadLetterRate, DeadLetterWriter
from rtcc_bridge.consumers.lane import TopicLane
from rtcc_bridge.consumers.records import ConsumedRecord, Handler
from rtcc_bridge.consumers.session import ConsumerSession
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings

_OUTAGES: Final = (KafkaError, TimeoutError, OSError)

_log = structlog.get_logger(__name__)


class Runner:
    """Consumes the topics of `handlers` as one member of a group.

    A topic whose dead letters pass the configured rate is paused. After `kafka.dead_letter_pause_seconds` it goes on by
    itself, with a fresh count, and is paused again if its records are still bad. No pause survives a restart.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        handlers: Mapping[str, Handler],
        dead_letters: DeadLetterWriter,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._handlers = dict(handlers)
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._clock = clock
        self._lanes = {
            topic: TopicLane(topic, ordered=handler.ordered, window=kafka.window, finish=self._finish)
            for topic, handler in self._handlers.items()
        }
        self._rates = {
            topic: DeadLetterRate(kafka.dead_letter_rate_limit, kafka.dead_letter_rate_window_seconds)
            for topic in self._handlers
        }
        self._resumptions: dict[str, asyncio.TimerHandle] = {}
        self._session: ConsumerSession | None = None
        self._stopping = asyncio.Event()
        self._fatal: BaseException | None = None
        self._not_ready: str | None = "not started"
        self._task: asyncio.Task[None] | None = None
        for topic in self._handlers:
            metrics.topic_paused.labels(topic).set(0)

    @property
    def not_ready_reason(self) -> str | None:
        """Why records cannot be consumed now, in plain words; None when they can."""
        if self._not_ready is None and self.paused_topics:
            kafka = self._kafka
            return (
                f"paused for too many dead letters (more than {kafka.dead_letter_rate_limit} in "
                f"{kafka.dead_letter_rate_window_seconds:g} s): {', '.join(self.paused_topics)}. Correct the sender; "
                f"a paused topic is tried again after {kafka.dead_letter_pause_seconds:g} s"
            )
        return self._not_ready

    @property
    def ready(self) -> bool:
        return self.not_ready_reason is None

    @property
    def paused_topics(self) -> tuple[str, ...]:
        """Topics that are paused for their rate of dead letters."""
        return tuple(topic for topic, lane in self._lanes.items() if lane.paused)

    async def __aenter__(self) -> Self:
        """Starts to consume in a task of its own. A failure of that task surfaces at the end."""
        self._task = asyncio.create_task(self.run(), name=f"runner-{self._group}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._task is not None:
            await self._task

    async def run(self) -> None:
        """Consumes until `stop` or cancellation; while the broker is away it tries again, with jitter.

        At the end work gets half a session timeout to finish, offsets are committed and the group is left. Raises
        IntegrityError from a handler, and what should not happen inside the runner itself.
        """
        try:
            while not self._stopping.is_set():
                retrying = AsyncRetrying(
                    retry=retry_if_exception_type(_OUTAGES),
                    wait=wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE_SECONDS),
                    before_sleep=self._note_outage,
                    sleep=self._sleep,
                    reraise=True,
                )
                await retrying(self._consume)
        finally:
            for resumption in self._resumptions.values():
                resumption.cancel()
            self._set_not_ready("stopped")
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """Asks `run` to end in good order."""
        self._stopping.set()

    def resume(self, topic: str) -> None:
        """Goes on with a topic that was paused for its dead letters. Raises NotFoundError for a topic of others."""
        lane = self._lanes.get(topic)
        if lane is None:
            raise NotFoundError(f"{topic} is not consumed here")
        if (resumption := self._resumptions.pop(topic, None)) is not None:
            resumption.cancel()
        self._rates[topic].clear()
        lane.paused = False
        self._metrics.topic_paused.labels(topic).set(0)
        _log.info("the topic is resumed: it is paused again if its records are still bad", topic=topic)
        if self._session is not None:
            self._session.progress()

    async def _consume(self) -> None:
        """One connection to the broker, until it is lost or the runner stops. Raises what kept it from coming about."""
        if self._stopping.is_set():
            return
        session = ConsumerSession(
            self._kafka,
            self._group,
            self._lanes,
            self._metrics,
            self._clock,
            self._stopping,
            self._set_not_ready,
            self._fail,
        )
        self._session = session
        try:
            await session.run()
        except _OUTAGES as error:
            if not session.has_consumed:
                raise
            self._set_not_ready(f"the connection to the broker was lost ({type(error).__name__})")
        finally:
            self._session = None

    async def _finish(self, record: ConsumedRecord) -> None:
        """Handles the record or, when it cannot be handled, makes a dead letter of it."""
        handler = self._handlers[record.topic]
        attempts = Attempts(self._kafka.handle_attempts, self._kafka.handle_backoff_seconds, self._clock, record)
        failure = await attempts.run(lambda: handler.handle(record))
        if failure is None:
            self._metrics.events_total.labels(record.topic, "handled").inc()
            return
        is_kept = await until_available(
            lambda: self._dead_letters.put(record, failure, self._group), self._kafka.handle_backoff_seconds
        )
        self._metrics.events_total.labels(record.topic, "dead_letter").inc()
        self._metrics.dead_letters_total.labels(record.topic, failure.reason if is_kept else NOT_KEPT).inc()
        _log.warning(
            "a record was put to the dead letters" if is_kept else "a record was given up without a dead letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=failure.reason,
            error=str(failure.error),
            attempts=failure.attempts,
        )
        if self._rates[record.topic].add(self._clock.now()):
            self._pause(record.topic)

    def _pause(self, topic: str) -> None:
        lane = self._lanes[topic]
        if lane.paused:
            return
        lane.paused = True
        self._metrics.topic_paused.labels(topic).set(1)
        pause_seconds = self._kafka.dead_letter_pause_seconds
        self._resumptions[topic] = asyncio.get_running_loop().call_later(pause_seconds, self.resume, topic)
        _log.error(
            "the topic is paused for its rate of dead letters: correct the sender; it is tried again by itself",
            topic=topic,
            pause_seconds=pause_seconds,
            limit=self._kafka.dead_letter_rate_limit,
            window_seconds=self._kafka.dead_letter_rate_window_seconds,
        )

    def _fail(self, error: BaseException) -> None:
        """Ends the runner with an error that going on would make worse."""
        self._fatal = self._fatal or error
        self._stopping.set()

    def _set_not_ready(self, reason: str | None) -> None:
        if reason is not None and self._not_ready is None and not self._stopping.is_set():
            _log.warning("consuming is interrupted", reason=reason, group=self._group)
        elif reason is None and self._not_ready is not None:
            _log.info("consuming", group=self._group, topics=sorted(self._lanes))
        self._not_ready = reason

    def _note_outage(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        self._set_not_ready(f"the broker does not answer ({type(error).__name__})")
        _log.warning("no connection to the broker: it is tried again", error=repr(error), group=self._group)

    async def _sleep(self, seconds: float) -> None:
        """A pause that a stop ends."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
