"""Sees records through: each is handled, or kept as a dead letter. Nothing else ends the work on a record."""

from collections.abc import Callable, Sequence

import structlog

from rtcc_bridge.clock import Clock
from rtcc_bridge.consumers.attempts import Attempts, Failure, until_available
from rtcc_bridge.consumers.dead_letters import NOT_KEPT, DeadLetterWriter
from rtcc_bridge.consumers.records import BatchHandler, ConsumedRecord, Handler
from rtcc_bridge.errors import RejectedError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings

_log = structlog.get_logger(__name__)


class Finisher:
    """Finishes records of one group. Raises IntegrityError from a handler, and nothing else of it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        dead_letters: DeadLetterWriter,
        metrics: Metrics,
        clock: Clock,
        on_dead_letter: Callable[[str], None],
    ) -> None:
        """on_dead_letter: told of each record that was given up, with its topic; it must not block or raise."""
        self._kafka = kafka
        self._group = group
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._clock = clock
        self._on_dead_letter = on_dead_letter

    async def finish(self, handler: Handler, record: ConsumedRecord) -> None:
        """Handles the record or, when it cannot be handled, makes a dead letter of it."""
        failure = await self._attempts(self._kafka.handle_attempts, record).run(lambda: handler.handle(record))
        await self._settle(record, failure)

    async def finish_batch(self, handler: BatchHandler, records: Sequence[ConsumedRecord]) -> None:
        """Handles the records in their order, or makes dead letters of those that cannot be handled.

        A batch that fails for another reason than an outage is halved, down to the single record, which is then tried
        as often as any other: so a record that makes its transaction fail takes no neighbour with it.
        """
        outcomes: Sequence[RejectedError | None] = ()

        async def handle() -> None:
            nonlocal outcomes
            outcomes = await handler.handle_batch(records)

        is_single = len(records) == 1
        failure = await self._attempts(self._kafka.handle_attempts if is_single else 1, records[0]).run(handle)
        if failure is None:
            for record, refusal in zip(records, outcomes, strict=True):
                await self._settle(record, None if refusal is None else Failure.at_once(refusal, self._clock.now()))
        elif is_single:
            await self._settle(records[0], failure)
        else:
            middle = len(records) // 2
            await self.finish_batch(handler, records[:middle])
            await self.finish_batch(handler, records[middle:])

    def _attempts(self, limit: int, record: ConsumedRecord) -> Attempts:
        return Attempts(limit, self._kafka.handle_backoff_seconds, self._clock, record)

    async def _settle(self, record: ConsumedRecord, failure: Failure | None) -> None:
        """Counts the record, which was handled, or keeps it as a dead letter."""
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
            error=failure.message,
            attempts=failure.attempts,
        )
        self._on_dead_letter(record.topic)
