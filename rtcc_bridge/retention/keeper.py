"""Purges what is due, by itself and when somebody asks for it (P24). Each search is a transaction of its own.

So a purge of thousands that is interrupted goes on where it was, in whichever process has the work next.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn, TypeAlias

import structlog

from rtcc_bridge.audit.commitments import forget_unborne
from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.periodic import periodically
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.retention.clock_watch import ClockWatch
from rtcc_bridge.retention.parts import RetentionParts
from rtcc_bridge.retention.purge import Purger
from rtcc_bridge.retention.schedule import Standing, standing_of
from rtcc_bridge.storage import retention
from rtcc_bridge.storage.locks import UNCONTESTED, SoleRight, Work, alone
from rtcc_bridge.storage.retention import RetentionFacts

_EVERY_SECONDS: Final = 60.0
_AT_ONCE: Final = 200

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Told what is done, how much of it, and of how many."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PurgeRun:
    """What was done. left: due, and not purged, since something about them is in the way: see the log."""

    purged: int
    left: int


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


class PurgeKeeper:
    """Looks for what is due each minute, in one process at a time."""

    def __init__(self, parts: RetentionParts, metrics: Metrics, watch: ClockWatch) -> None:
        self._parts = parts
        self._metrics = metrics
        self._purger = Purger(parts)
        self._watch = watch
        self._is_forgotten = True

    async def run(self) -> NoReturn:
        """Purges until cancelled. An outage is left to the next time; what is overdue meanwhile is a metric."""
        await periodically("purging searches whose time is over", self._look_alone, every_seconds=_EVERY_SECONDS)

    async def _look_alone(self) -> None:
        await alone(self._parts.database, Work.PURGE, self.look)
        await self._measure()

    async def look(self, right: SoleRight = UNCONTESTED) -> PurgeRun:
        """Purges what is due, unless the clock cannot be believed. Raises UnavailableError."""
        async with self._parts.database.write() as tx:
            problem = await self._watch.problem(tx)
        if problem is not None:
            _log.error("nothing is purged", why=problem)
            return PurgeRun(0, 0)
        return await self._purge_all(SYSTEM, right, _silent)

    async def purge_due(self, account: Account, on_progress: OnProgress = _silent) -> PurgeRun:
        """Purges what is due now, whatever the clock did: somebody has looked at it.

        Raises PolicyRefusalError (P10), ConflictError when the clock is ahead of the database's, UnavailableError: what
        is left is purged by the next call.
        """
        async with self._parts.watching(account, "retention.run", "retention"):
            require_permission(account, Deed.PURGE)
        async with self._parts.database.read() as tx:
            await self._watch.require_no_other_time(tx)
        return await self._purge_all(account.name, UNCONTESTED, on_progress)

    async def _purge_all(self, actor: str, right: SoleRight, on_progress: OnProgress) -> PurgeRun:
        await self._purger.finish_bytes()
        total = len([facts async for facts, _ in self._due()]) if on_progress is not _silent else 0
        done = purged = 0
        async for facts, _ in self._due():
            await right.confirm()
            purged += await self._purge_one(facts.probe_id, actor)
            done += 1
            on_progress("purging", done, max(done, total))
        if purged or not self._is_forgotten:
            async with self._parts.database.write() as tx:
                await forget_unborne(tx, self._parts.clock.now())
            self._is_forgotten = await self._parts.database.forget_deleted()
        if purged:
            _log.info("searches were purged at the end of their time", searches=purged)
        return PurgeRun(purged, done - purged)

    async def _purge_one(self, probe_id: str, actor: str) -> bool:
        try:
            record = await self._purger.purge(probe_id, actor)
        except IntegrityError as error:  # of one object: the others do not wait for it
            _log.error("a search cannot be purged", probe_id=probe_id, error=str(error))
            return False
        if record is None:
            return False
        self._metrics.purged_total.labels(record.outcome).inc()
        return True

    async def _due(self) -> AsyncIterator[tuple[RetentionFacts, Standing]]:
        rule, after = self._parts.rule, ""
        while True:
            now = self._parts.clock.now()
            async with self._parts.database.read() as tx:
                found = await retention.perhaps_due(
                    tx,
                    begun_before=now - timedelta(days=min(rule.days.values())),
                    disposed_before=now - timedelta(days=rule.after_disposition_days),
                    after=after,
                    limit=_AT_ONCE,
                )
            for facts in found:
                standing = standing_of(facts, rule, now)
                if standing.kept is None:
                    yield facts, standing
            if len(found) < _AT_ONCE:
                return
            after = found[-1].probe_id

    async def _measure(self) -> None:
        oldest: datetime | None = None
        count = 0
        async for _, standing in self._due():
            count += 1
            if standing.due_at is not None and (oldest is None or standing.due_at < oldest):
                oldest = standing.due_at
        age = 0.0 if oldest is None else (self._parts.clock.now() - oldest).total_seconds()
        self._metrics.purges_due.set(count)
        self._metrics.purge_overdue_seconds.set(max(0.0, age))
