"""The one owner of a consumer: polls in batches, hands over, commits what is finished, and outlives outages.

An offset is committed after the effect of its record is durable, so a record may be delivered again: after a crash, a
rebalance, a failed commit. Handlers have their effect once (`storage.input_events`), the runner never loses a record.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self

import structlog
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from rtcc_bridge.broker.diagnosis import AccessCheck, outage_in_words, refused_right
from rtcc_bridge.clock import Clock
from rtcc_bridge.consumers.attempts import LONGEST_PAUSE_SECONDS
from rtcc_bridge.consumers.dead_letters import DeadLetterRate, DeadLetterWriter
from rtcc_bridge.consumers.finisher import Finisher
from rtcc_bridge.consumers.lane import BatchLane, TopicLane, WindowLane
from rtcc_bridge.consumers.records import BatchHandler, Handler
from rtcc_bridge.consumers.session import ConsumerSession
from rtcc_bridge.errors import ConfigurationError, NotFoundError, UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.settings import KafkaSettings

_OUTAGES: Final = (KafkaError, TimeoutError, OSError, UnavailableError)

_log = structlog.get_logger(__name__)


class Runner:
    """Consumes the topics of `handlers` as one member of a group.

    A topic whose dead letters pass the configured rate is paused. After `kafka.dead_letter_pause_seconds` it goes on by
    itself, with a fresh count, and is paused again if its records are still bad. `consumers.pauses` shares pauses with
    other processes and keeps them over a restart.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        handlers: Mapping[str, Handler | BatchHandler],
        dead_letters: DeadLetterWriter,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._metrics = metrics
        self._clock = clock
        self._access = AccessCheck(kafka)
        self._finisher = Finisher(kafka, group, dead_letters, metrics, clock, self._count_dead_letter)
        self._lanes = {topic: self._lane(topic, handler) for topic, handler in handlers.items()}
        self._rates = {
            topic: DeadLetterRate(kafka.dead_letter_rate_limit, kafka.dead_letter_rate_window_seconds)
            for topic in handlers
        }
        self._resumptions: dict[str, asyncio.TimerHandle] = {}
        self._session: ConsumerSession | None = None
        self._stopping = asyncio.Event()
        self._fatal: BaseException | None = None
        self._not_ready: str | None = "not started"
        self._outages = OutageLog(f"consuming in the group {group}")
        self._task: asyncio.Task[None] | None = None
        self.on_pause: Callable[[str], None] = lambda _topic: None
        """Called with a topic that this runner paused by itself; must not block or raise."""
        for topic in handlers:
            metrics.expect_topic(topic)
            metrics.topic_paused.labels(topic).set(0)

    @property
    def not_ready_reason(self) -> str | None:
        """Why records cannot be consumed now, in plain words; None when they can."""
        if self._not_ready is None and self.paused_topics:
            kafka = self._kafka
            return (
                f"paused for too many dead letters (more than {kafka.dead_letter_rate_limit} in "
                f"{kafka.dead_letter_rate_window_seconds:g} s): {', '.join(self.paused_topics)}. Correct the sender; "
                f"a paused topic is tried again after {kafka.dead_letter_pause_seconds:g} s, or at once after "
                "`rtcc-bridge topics resume TOPIC`"
            )
        return self._not_ready

    @property
    def ready(self) -> bool:
        return self.not_ready_reason is None

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._lanes)

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
        try:
            session = ConsumerSession(
                self._kafka,
                self._group,
                self._lanes,
                self._metrics,
                self._clock,
                self._stopping,
                self._set_not_ready,
                self._work_ended,
            )
        except ConfigurationError as error:  # a secret that is being replaced may be away for a moment
            raise UnavailableError(str(error)) from error
        self._session = session
        try:
            await session.run()
        except _OUTAGES as error:
            if (refusal := refused_right(error) or await self._access.problem()) is not None:
                raise UnavailableError(refusal) from error
            if not session.has_consumed:
                raise
            self._set_not_ready(f"the connection to the broker was lost ({type(error).__name__})")
        finally:
            self._session = None

    def _lane(self, topic: str, handler: Handler | BatchHandler) -> TopicLane:
        if isinstance(handler, BatchHandler):
            finish_batch = partial(self._finisher.finish_batch, handler)
            window = self._kafka.window
            return BatchLane(topic, limit=min(window, handler.most_at_once), window=window, finish=finish_batch)
        return WindowLane(topic, window=self._kafka.window, finish=partial(self._finisher.finish, handler))

    def _count_dead_letter(self, topic: str) -> None:
        if self._rates[topic].add(self._clock.now()) and not self._lanes[topic].paused:
            self.pause(topic, self._kafka.dead_letter_pause_seconds)
            self.on_pause(topic)

    def pause(self, topic: str, pause_seconds: float) -> None:
        """Stops to take records of the topic, for so long at most; one that is paused already stays as it is."""
        lane = self._lanes[topic]
        if lane.paused:
            return
        lane.paused = True
        self._metrics.topic_paused.labels(topic).set(1)
        self._resumptions[topic] = asyncio.get_running_loop().call_later(pause_seconds, self.resume, topic)
        _log.error(
            "the topic is paused for its rate of dead letters: correct the sender; it is tried again by itself",
            topic=topic,
            pause_seconds=pause_seconds,
            limit=self._kafka.dead_letter_rate_limit,
            window_seconds=self._kafka.dead_letter_rate_window_seconds,
        )

    def _work_ended(self, task: asyncio.Task[None]) -> None:
        """A handler that was slow to let go may end in a later session: that one hands over more, and commits."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        if self._session is not None:
            self._session.progress()

    def _fail(self, error: BaseException) -> None:
        """Ends the runner with an error that going on would make worse."""
        self._fatal = self._fatal or error
        self._stopping.set()

    def _set_not_ready(self, reason: str | None) -> None:
        if reason is not None and self._not_ready is None and not self._stopping.is_set():
            _log.warning("consuming is interrupted", reason=reason, group=self._group)
        elif reason is None and self._not_ready is not None:
            self._outages.succeeded()
            _log.info("consuming", group=self._group, topics=sorted(self._lanes))
        self._not_ready = reason

    def _note_outage(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        assert error is not None, "only a failure is tried again"
        is_told = isinstance(error, UnavailableError)
        reason = str(error) if is_told else outage_in_words(self._kafka, "the broker does not answer", error)
        self._set_not_ready(reason)
        self._outages.failed(UnavailableError(reason))

    async def _sleep(self, seconds: float) -> None:
        """A pause that a stop ends."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
