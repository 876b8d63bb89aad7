"""Counts the galleries' sealed segments, also when no matcher is there to rewrite them. It opens none."""

from typing import Final, NoReturn

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.periodic import periodically
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Database

_EVERY_SECONDS: Final = 15.0


class SegmentWatch:
    """Tells `gallery_segments` and `segments_to_scrub`."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Looks now and then, until it is cancelled. An outage of the database is waited for."""
        await periodically("counting gallery segments", self.look, every_seconds=_EVERY_SECONDS)

    async def look(self) -> None:
        """Raises TransientError."""
        waiting = 0
        async with self._database.read() as tx:
            for record in await galleries.every(tx):
                self._metrics.gallery_segments.labels(record.name).set(await galleries.count_segments(tx, record.name))
                waiting += len(await galleries.segments_to_scrub(tx, record.name))
        self._metrics.segments_to_scrub.set(waiting)
