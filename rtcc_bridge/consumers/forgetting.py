"""Forgets which events had their effect, once no topic can deliver them again."""

import asyncio
from datetime import timedelta
from typing import Final, NoReturn

import structlog

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.storage import input_events
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import LONGEST_STEP_SECONDS, UNCONTESTED, SoleRight, Work, sole_right

_AT_ONCE: Final = 1000
_EVERY_SECONDS: Final = 3600.0

_log = structlog.get_logger(__name__)


class EventForgetter:
    """Prunes the notes of input events, a batch at a time, so that no transaction is long."""

    def __init__(self, database: Database, clock: Clock, keep_hours: float) -> None:
        """keep_hours has to be as long as a record can stay on its topic: a younger event may be delivered again."""
        self._database = database
        self._clock = clock
        self._keep = timedelta(hours=keep_hours)

    async def run(self) -> NoReturn:
        """Prunes hourly until cancelled. An outage of the database is left to the next time."""
        while True:
            try:
                async with sole_right(
                    self._database, Work.EVENT_FORGETTER, confirmed_within_seconds=LONGEST_STEP_SECONDS
                ) as right:
                    if right is not None:
                        await self.forget(right)
            except UnavailableError as error:
                _log.warning("old events could not be forgotten yet", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

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
