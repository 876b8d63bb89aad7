"""The one place that tells the time, so that tests can move it."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells wall-clock time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)
