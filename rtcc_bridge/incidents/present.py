"""The moment at which an event is applied, and what is too far ahead of it."""

from datetime import datetime, timedelta
from typing import Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.storage.database_clock import database_now
from rtcc_bridge.storage.engine import Transaction

MOST_AHEAD: Final = timedelta(minutes=2)
"""An event from further in the future than this would win over every true one for as long: it is refused.

Clocks that are set by NTP differ by much less.
"""


def is_ahead(at: datetime, now: datetime) -> bool:
    """Whether what says that it is of `at` comes from the future."""
    return at > now + MOST_AHEAD


async def present_for(tx: Transaction, clock: Clock, at: datetime) -> datetime:
    """The present moment for an event of `at`: this process's, unless the event is ahead of that.

    Then the database has a say, and the later of the two counts: a process whose clock is behind refuses no good event.
    """
    now = clock.now()
    return max(now, await database_now(tx)) if is_ahead(at, now) else now
