"""Gives committed events their place on the feed, in an order that no reader can see gaps in."""

from collections.abc import Callable, Sequence
from datetime import datetime

from rtcc_bridge.clock import Clock
from rtcc_bridge.metric_kinds import Latencies
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.outbox import LatencyMetric
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.outbox import UnnumberedRecord
from rtcc_bridge.storage.standing_query import StandingQuery
from rtcc_bridge.telemetry.traceparent import recorded_trace_id


class Numbering:
    """Numbers committed events; only whoever holds the relay's lock may use it.

    Rows are numbered after they have committed and by one process at a time, so whoever has read up to a position has
    seen everything that will ever stand before it. Of two transactions that touch one lead or incident, the one that
    committed first has the lower row id, since the second waits for its lock: their events keep that order.
    """

    def __init__(
        self, database: Database, metrics: Metrics, clock: Clock, batch_size: int, on_feed_moved: Callable[[], None]
    ) -> None:
        """on_feed_moved is called after each commit that added to the feed; it must not block or raise."""
        self._database = database
        self._clock = clock
        self._batch_size = batch_size
        self._unnumbered = StandingQuery(database, outbox.unnumbered)
        self._on_feed_moved = on_feed_moved
        self._latencies: dict[str, Latencies] = {
            LatencyMetric.EVENT_TO_FLOOR.value: metrics.event_to_floor_seconds,
            LatencyMetric.PROBE_TO_CANDIDATES.value: metrics.probe_to_candidates_seconds,
        }

    async def number_all(self) -> int:
        """Numbers everything that has committed, in batches, and returns how many. Raises UnavailableError."""
        numbered = 0
        while batch := await self._number_batch():
            numbered += batch
            if batch < self._batch_size:
                break
        return numbered

    async def _number_batch(self) -> int:
        records = await self._unnumbered.answer(self._batch_size)
        if not records:
            return 0
        now = self._clock.now()
        async with self._database.write() as tx:
            await outbox.number(tx, [record.id for record in records], now)
        self._observe(records, now)
        self._on_feed_moved()
        return len(records)

    def _observe(self, records: Sequence[UnnumberedRecord], now: datetime) -> None:
        for record in records:
            if record.latency_metric is None or record.latency_since is None:
                continue
            seconds = (now - record.latency_since).total_seconds()
            latencies = self._latencies[record.latency_metric].labels(record.latency_label or "")
            latencies.observe(max(0.0, seconds), recorded_trace_id(record.traceparent))
