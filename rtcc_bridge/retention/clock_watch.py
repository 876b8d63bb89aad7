"""Whether the clock can be believed when something is about to be destroyed.

A clock that goes back only makes everything younger: nothing is purged early, and what was purged stays so. One that
leaps ahead would purge at once what has years to live. So a leap stops purging for a day, in which the alert ClockOff,
or somebody who looks at the preview, has the time to find it.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.storage.purge_looks import PurgeLook

TOLERANCE: Final = timedelta(minutes=5)
LONGEST_SILENCE: Final = timedelta(days=1)
"""A daemon that is up writes to its audit log more often. After a longer silence it was off, or the clock leapt."""
SETTLING: Final = timedelta(days=1)


class ClockWatch:
    """Compares the clock with the one that only counts, and at the first look with the database.

    There stands what the clock said at the last look of any process, which only such a look writes: whatever else is
    entered by a clock that has leapt, a process that has just been started knows of the leap.
    """

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._seen: tuple[datetime, float] | None = None

    def look(self, last: PurgeLook | None, newest_entry_at: datetime | None) -> tuple[PurgeLook, str | None]:
        """What is to be kept of this look, and why nothing is to be purged now; None when the clock can be believed.

        last: what was kept of the last look, of this process or another. newest_entry_at: of the audit log, for the
        first look ever.
        """
        now, counted = self._clock.now(), self._monotonic()
        until = None if last is None else last.distrusted_until
        if self._has_leapt(now, counted, newest_entry_at if last is None else last.seen_at):
            until = now + SETTLING
        elif until is not None and not now < until <= now + SETTLING:
            until = None  # it is over, or the clock was put back: then it is younger than all, and harms nothing
        self._seen = (now, counted)
        look = PurgeLook(now, until)
        if until is None:
            return look, None
        hours = (until - now) / timedelta(hours=1)
        return look, f"the clock leapt ahead: nothing is purged for {hours:.0f} h, unless the administrator asks for it"

    def _has_leapt(self, now: datetime, counted: float, before: datetime | None) -> bool:
        if self._seen is not None:
            seen, counted_then = self._seen
            return now - seen > timedelta(seconds=counted - counted_then) + TOLERANCE
        return before is not None and now - before > LONGEST_SILENCE
