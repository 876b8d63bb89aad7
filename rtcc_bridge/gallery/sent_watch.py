"""Tells how long pictures sent on a page wait for their template, also when no matcher is there to make one."""

from datetime import datetime
from typing import Final, NoReturn

from rtcc_bridge.clock import Clock
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.periodic import periodically
from rtcc_bridge.storage import sent_pictures
from rtcc_bridge.storage.engine import Database

_EVERY_SECONDS: Final = 15.0


class SentPictureWatch:
    """Tells `sent_picture_wait_seconds`."""

    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._oldest_at: datetime | None = None
        metrics.sent_picture_wait_seconds.set_function(self._wait_seconds)

    async def run(self) -> NoReturn:
        """Looks now and then, until it is cancelled. An outage of the database is waited for."""
        await periodically("looking for pictures that wait", self.look, every_seconds=_EVERY_SECONDS)

    async def look(self) -> None:
        """Raises TransientError."""
        async with self._database.read() as tx:
            self._oldest_at = await sent_pictures.oldest_waiting_at(tx)

    def _wait_seconds(self) -> float:
        """It grows while the database, which would tell that none waits any more, does not answer."""
        if self._oldest_at is None:
            return 0.0
        return max(0.0, (self._clock.now() - self._oldest_at).total_seconds())
