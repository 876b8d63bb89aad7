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

TOLERANCE: Final = timedelta(minutes=5)
LONGEST_SILENCE: Final = timedelta(days=1)
"""A daemon that is up writes to its audit log more often. After a longer silence it was off, or the clock leapt."""
SETTLING: Final = timedelta(days=1)


class ClockWatch:
    """Compares the clock with the one that only counts, and at the first look with the audit log's newest entry."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._seen: tuple[datetime, float] | None = None
        self._distrusted_until = 0.0

    def problem(self, newest_entry_at: datetime | None) -> str | None:
        """Why nothing is to be purged now; None when the clock can be believed. Asked at every pass."""
        now, counted = self._clock.now(), self._monotonic()
        if self._has_leapt(now, counted, newest_entry_at):
            self._distrusted_until = counted + SETTLING.total_seconds()
        self._seen = (now, counted)
        if counted >= self._distrusted_until:
            return None
        hours = (self._distrusted_until - counted) / 3600
        return f"the clock leapt ahead: nothing is purged for {hours:.0f} h, unless the administrator asks for it"

    def _has_leapt(self, now: datetime, counted: float, newest_entry_at: datetime | None) -> bool:
        if self._seen is not None:
            seen, counted_then = self._seen
            return now - seen > timedelta(seconds=counted - counted_then) + TOLERANCE
        return newest_entry_at is not None and now - newest_entry_at > LONGEST_SILENCE
