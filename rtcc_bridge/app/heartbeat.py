"""Tells the other processes, through the database, that this one lives and what it misses: the floor board reads it.

It also ends the process when it finds that a restoration has begun on its database: whoever was expunged after the
backup may be in the gallery again until that is finished (P25).
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Final

from rtcc_bridge.app.roles import Role
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.storage import processes, restorations
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.health import ReadinessBoard

_BEAT_SECONDS: Final = 2.0
_FORGOTTEN_AFTER: Final = timedelta(hours=1)
"""Until then the board can say since when a role is missing."""


class Heartbeat:
    """`run` is a part of every process."""

    def __init__(
        self,
        database: Database,
        roles: Collection[Role],
        readiness: ReadinessBoard,
        clock: Clock,
        beat_seconds: float = _BEAT_SECONDS,
    ) -> None:
        self._database = database
        self._roles = tuple(roles)
        self._readiness = readiness
        self._clock = clock
        self._beat_seconds = beat_seconds
        self._process_id = secrets.token_hex(8)
        self._stopping = asyncio.Event()
        self._outage = OutageLog("reporting that this process lives")

    def stop(self) -> None:
        """Lets `run` take the report back and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Reports until `stop`. An outage of the database is waited for.

        Raises ConfigurationError, which ends the process, when the database is being restored.
        """
        try:
            await self._report_until_stopped()
        except ConfigurationError:
            await self._attempt(self._leave)
            raise
        await self._attempt(self._leave)

    async def _report_until_stopped(self) -> None:
        while not self._stopping.is_set():
            await self._attempt(self.beat)
            try:
                async with asyncio.timeout(self._beat_seconds):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def beat(self) -> None:
        """Reports once. Commits. Raises UnavailableError, ConfigurationError when the database is being restored."""
        found = await self._readiness.ask()
        dependencies = {one.name: one.reason for one in found.dependencies}
        async with self._database.write() as tx:
            asked_at = self._clock.now()
            await restorations.require_finished(tx)
            reported_at = await processes.report(tx, self._process_id, self._roles, dependencies)
            await processes.forget_unseen(tx, _FORGOTTEN_AFTER)
        if not self._database.is_sqlite:
            self._readiness.metrics.clock_offset_seconds.set((asked_at - reported_at).total_seconds())

    async def _leave(self) -> None:
        async with self._database.write() as tx:
            await processes.forget(tx, self._process_id)

    async def _attempt(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except UnavailableError as error:
            self._outage.failed(error)
        else:
            self._outage.succeeded()
