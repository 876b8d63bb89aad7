"""Counts who has had a lead that was taken back and is not known to know it, so that somebody asks (P19)."""

from datetime import timedelta
from typing import Final, NoReturn

from rtcc_bridge.clock import Clock
from rtcc_bridge.leads.lead import ENDED
from rtcc_bridge.metrics import RECEIVER_KINDS, Metrics
from rtcc_bridge.periodic import periodically
from rtcc_bridge.storage import unacknowledged
from rtcc_bridge.storage.engine import Database

_EVERY_SECONDS: Final = 300.0
_MOST_SYSTEMS: Final = 1000
LONG: Final = timedelta(days=1)


class ReceiverWatch:
    """Tells `withdrawals_unacknowledged`."""

    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Looks now and then, until it is cancelled. An outage of the database is waited for."""
        await periodically("counting withdrawals not acknowledged", self.look, every_seconds=_EVERY_SECONDS)

    async def look(self) -> None:
        """Raises UnavailableError."""
        by = self._clock.now() - LONG
        async with self._database.read() as tx:
            people = await unacknowledged.count_people(tx, ENDED, by)
            systems = await unacknowledged.systems_behind(tx, _MOST_SYSTEMS, published_by=by)
        found = {**people, "system": len(systems)}
        for kind in RECEIVER_KINDS:
            self._metrics.withdrawals_unacknowledged.labels(kind).set(found[kind])
