"""Publishes the events of one topic in order. Each topic has a lane of its own: one that fails holds up no other."""

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from rtcc_bridge.broker.client import EventProducer, RecordPlace
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS, TRACEPARENT
from rtcc_bridge.errors import BridgeError, InvalidInputError, TransientError, UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.lead_offsets import lead_event_offset
from rtcc_bridge.publishing.outbox import LARGEST_EVENT_BYTES
from rtcc_bridge.settings import RelaySettings
from rtcc_bridge.storage import lead_event_offsets, outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.outbox import OutboxRecord
from rtcc_bridge.task_group import task_group
from rtcc_bridge.telemetry.traceparent import read_traceparent, recorded_trace_id
from rtcc_bridge.telemetry.tracing import Kind, Span, span

Acknowledged: TypeAlias = tuple[OutboxRecord, RecordPlace]

_log = structlog.get_logger(__name__)


class TopicLane:
    """The unpublished events of one topic."""

    def __init__(
        self,
        topic: str,
        database: Database,
        producer: EventProducer,
        metrics: Metrics,
        clock: Clock,
        settings: RelaySettings,
        stopping: asyncio.Event,
    ) -> None:
        self._topic = topic
        self._database = database
        self._producer = producer
        self._metrics = metrics
        self._clock = clock
        self._batch_size = settings.batch_size
        self._timeout_seconds = settings.publish_timeout_seconds
        self._stopping = stopping

    async def publish_all(self) -> None:
        """Publishes until nothing of this topic is left. What fails is tried again, for ever, with growing pauses.

        While the process stops, a failure is not tried again: the rows stay for the next process.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            stop=lambda _: self._stopping.is_set(),
            sleep=self._pause,
            before_sleep=self._log_failure,
            reraise=True,
        )
        something_left = True
        while something_left:
            something_left = await retrying(self._publish_batch)

    async def _publish_batch(self) -> bool:
        """One batch; False when nothing was left. Raises UnavailableError when a part of it failed.

        A row is marked after its acknowledgement: a stop in between publishes it once more, with the same event id.
        """
        async with self._database.read() as tx:
            records = await outbox.unpublished(tx, self._topic, self._batch_size)
        acknowledged, failures = await self._publish(records)
        if acknowledged:
            await self._mark(acknowledged)
        self._tell_refused([record for record, failure in failures if isinstance(failure, InvalidInputError)])
        if failures:
            raise UnavailableError(str(failures[-1][1]))
        return bool(records)

    def _tell_refused(self, records: Sequence[OutboxRecord]) -> None:
        """Leaving such an event out would tear a hole into its lead's sequence, so it waits, with those of its key."""
        self._metrics.outbox_refused.labels(self._topic).set(len(records))
        for record in records:
            _log.error(
                "event_too_large",
                topic=self._topic,
                event_id=record.event_id,
                remedy=f"Raise the topic's max.message.bytes above {LARGEST_EVENT_BYTES}; the event waits for that",
            )

    async def _publish(
        self, records: Sequence[OutboxRecord]
    ) -> tuple[list[Acknowledged], list[tuple[OutboxRecord, BridgeError]]]:
        """Publishes in waves, each with the next event of every key. Returns what was acknowledged and what was not.

        The next event of a key goes out only when the one before is acknowledged, so no failure reorders a key.
        """
        waiting: dict[str | None, deque[OutboxRecord]] = defaultdict(deque)
        for record in records:
            waiting[record.key].append(record)
        acknowledged: list[Acknowledged] = []
        failures: list[tuple[OutboxRecord, BridgeError]] = []
        while waiting:
            wave = [rows[0] for rows in waiting.values()]
            for record, answer in zip(wave, await self._publish_wave(wave), strict=True):
                if isinstance(answer, RecordPlace):
                    acknowledged.append((record, answer))
                    waiting[record.key].popleft()
                else:
                    failures.append((record, answer))
                if not isinstance(answer, RecordPlace) or not waiting[record.key]:
                    del waiting[record.key]
        return acknowledged, failures

    async def _publish_wave(self, wave: Sequence[OutboxRecord]) -> list[RecordPlace | BridgeError]:
        async with task_group() as group:
            tasks = [group.create_task(self._publish_one(record)) for record in wave]
        return [task.result() for task in tasks]

    async def _publish_one(self, record: OutboxRecord) -> RecordPlace | BridgeError:
        started = time.perf_counter()
        key = None if record.key is None else record.key.encode()
        value = json.dumps(record.event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        try:
            with _span_of(record, self._topic):
                async with asyncio.timeout(self._timeout_seconds):
                    place = await self._producer.send(self._topic, key=key, value=value, headers=STRUCTURED_HEADERS)
        except TimeoutError:
            return UnavailableError(f"no acknowledgement within {self._timeout_seconds:g} s")
        except BridgeError as error:
            return error
        if record.latency_metric is not None:
            self._metrics.stage_seconds.labels("publish").observe(time.perf_counter() - started)
        return place

    async def _mark(self, acknowledged: Sequence[Acknowledged]) -> None:
        """With where the events of leads lie, so that it can be told who has read them (P19).

        A relay that was held up for so long that another took its place comes late: the other one has published these
        events once more and gone on, and the places of before would look as if the topic had begun anew.
        """
        now = self._clock.now()
        async with self._database.write() as tx:
            own = await outbox.mark_published(tx, [record.id for record, _ in acknowledged], now)
            found = (lead_event_offset(record, place, now) for record, place in acknowledged if record.id in own)
            await lead_event_offsets.record(tx, [one for one in found if one is not None])
        for record, _ in acknowledged:
            waited_seconds = max(0.0, (now - record.created_at).total_seconds())
            self._metrics.outbox_lag_seconds.observe(waited_seconds, recorded_trace_id(record.event.get(TRACEPARENT)))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _log_failure(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        _log.warning("publishing_failed", topic=self._topic, attempt=state.attempt_number, error=str(error))


def _span_of(record: OutboxRecord, topic: str) -> AbstractContextManager[Span | None]:
    """Part of the trace that the event bears; what bears none begins none here."""
    traceparent = read_traceparent(record.event.get(TRACEPARENT))
    return nullcontext() if traceparent is None else span("publish", traceparent, kind=Kind.PRODUCER, topic=topic)
