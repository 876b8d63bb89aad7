"""Whether the clock can be believed when something is about to be destroyed.

A clock that goes back only makes everything younger: nothing is destroyed early, and what was stays so. One that leaps
ahead would destroy at once what has years to live. So a leap stops that for a day, in which the alert ClockOff, or
somebody who looks at the preview, has the time to find it; and a clock that is ahead of the database's destroys nothing
for as long as it is, whoever asks.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import ConflictError
from rtcc_bridge.storage import purge_looks, retention
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.purge_looks import PurgeLook

OtherClock: TypeAlias = Callable[[Transaction], Awaitable[datetime]]
"""Tells the time by a clock that is not this machine's."""

TOLERANCE: Final = timedelta(minutes=5)
LONGEST_SILENCE: Final = timedelta(days=1)
"""A daemon that is up writes to its audit log more often. After a longer silence it was off, or the clock leapt."""
SETTLING: Final = timedelta(days=1)


class ClockWatch:
    """Compares the clock with the one that only counts, with the database's, and at the first look with the log.

    In the database stands what the clock said at the last look of any process, which only such a look writes: whatever
    else is entered by a clock that has leapt, a process that has just been started knows of the leap.
    """

    def __init__(
        self,
        clock: Clock,
        work: str,
        other: OtherClock | None,
        *,
        waits_after_silence: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """work: what it watches for. other: None where the database has no clock of its own. waits_after_silence: a
        daemon that was off for days cannot tell that from a leap, and waits as after one.
        """
        self._clock = clock
        self._work = work
        self._other = other
        self._waits_after_silence = waits_after_silence
        self._monotonic = monotonic
        self._seen: tuple[datetime, float] | None = None

    async def problem(self, tx: Transaction) -> str | None:
        """Why nothing is to be destroyed now; None when the clock can be believed. Keeps what it saw."""
        look = self._look(await purge_looks.newest(tx, self._work), await retention.newest_entry_at(tx))
        await purge_looks.keep(tx, self._work, look)
        if (ahead := await self._ahead(tx)) is not None:
            return ahead
        if look.distrusted_until is None:
            return None
        hours = (look.distrusted_until - look.seen_at) / timedelta(hours=1)
        return f"the clock leapt ahead: nothing is done for {hours:.0f} h, unless the administrator asks for it"

    async def require_no_other_time(self, tx: Transaction) -> None:
        """Whatever the clock did, somebody has looked at it. Raises ConflictError when the database's says no."""
        if (ahead := await self._ahead(tx)) is not None:
            raise ConflictError(ahead)

    async def _ahead(self, tx: Transaction) -> str | None:
        if self._other is None:
            return None
        by = self._clock.now() - await self._other(tx)
        if by <= TOLERANCE:
            return None
        minutes = by / timedelta(minutes=1)
        return f"this machine's clock is {minutes:.0f} min ahead of the database's: set right the one that is wrong"

    def _look(self, last: PurgeLook | None, newest_entry_at: datetime | None) -> PurgeLook:
        """last: what was kept of the last look, of this process or another. newest_entry_at: of the audit log, for the
        first look ever.
        """
        now, counted = self._clock.now(), self._monotonic()
        until = None if last is None else last.distrusted_until
        if self._has_leapt(now, counted, newest_entry_at if last is None else last.seen_at):
            until = now + SETTLING
        elif until is not None and not now < until <= now + SETTLING:
            until = None  # it is over, or the clock was put back: then it is younger than all, and harms nothing
        self._seen = (now, counted)
        return PurgeLook(now, until)

    def _has_leapt(self, now: datetime, counted: float, before: datetime | None) -> bool:
        if self._seen is not None:
            seen, counted_then = self._seen
            return now - seen > timedelta(seconds=counted - counted_then) + TOLERANCE
        return self._waits_after_silence and before is not None and now - before > LONGEST_SILENCE
