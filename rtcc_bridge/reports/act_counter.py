"""Counts for the figures of oversight what the audit log has come to hold, and keeps apart what the signs of misuse are
made of, in the role relay."""

from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from rtcc_bridge.audit.entries import REFUSED
from rtcc_bridge.periodic import periodically
from rtcc_bridge.reports.tally import SEARCHED
from rtcc_bridge.storage import act_counts, still_acts
from rtcc_bridge.storage.engine import Database, Transaction

_EVERY_SECONDS: Final = 30.0
_AT_ONCE: Final = 2_000
"""Entries of one transaction, which on SQLite keeps every other writer waiting."""


class ActCounter:
    """While it does not work the figures and the signs are as true, and take longer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> NoReturn:
        """Counts now and then, until it is cancelled. An outage of the database is left to the next time."""
        await periodically("counting acts", self.count_all, every_seconds=_EVERY_SECONDS)

    async def count_all(self) -> None:
        """Counts every entry that has its place in the log, some at a time. Commits each time; UnavailableError."""
        while await self._is_behind(act_counts.is_behind):
            async with self._database.write() as tx:
                await act_counts.count_on(tx, SEARCHED, refused=REFUSED, limit=_AT_ONCE)
        while await self._is_behind(still_acts.is_behind):
            async with self._database.write() as tx:
                await still_acts.keep_on(tx, refused=REFUSED, limit=_AT_ONCE)

    async def _is_behind(self, asked: Callable[[Transaction, int], Awaitable[bool]]) -> bool:
        async with self._database.read() as tx:
            return await asked(tx, 0)
