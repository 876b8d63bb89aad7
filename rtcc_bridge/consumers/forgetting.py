"""Forgets which events had their effect, once no topic can deliver them again."""

from datetime import timedelta
from functools import partial
from typing import Final, NoReturn

from rtcc_bridge.clock import Clock
from rtcc_bridge.periodic import periodically
from rtcc_bridge.storage import input_events
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import UNCONTESTED, SoleRight, Work, alone

_AT_ONCE: Final = 1000
_EVERY_SECONDS: Final = 3600.0


class EventForgetter:
    """Prunes the notes of input events, a batch at a time, so that no transaction is long."""

    def __init__(self, database: Database, clock: Clock, keep_hours: float) -> None:
        """keep_hours has to be as long as a record can stay on its topic: a younger event may be delivered again."""
        self._database = database
        self._clock = clock
        self._keep = timedelta(hours=keep_hours)

    async def run(self) -> NoReturn:
        """Prunes hourly until cancelled. An outage of the database is left to the next time."""
        forget = partial(alone, self._database, Work.EVENT_FORGETTER, self.forget)
        await periodically("forgetting old events", forget, every_seconds=_EVERY_SECONDS)

    async def forget(self, right: SoleRight = UNCONTESTED) -> int:
        """Forgets all that is old enough; returns how many. Commits each batch.

        Raises UnavailableError, also when the right is lost.
        """
        forgotten = 0
        while True:
            await right.confirm()
            async with self._database.write() as tx:
                pruned = await input_events.prune(tx, self._clock.now() - self._keep, _AT_ONCE)
            forgotten += pruned
            if pruned < _AT_ONCE:
                return forgotten
