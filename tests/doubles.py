"""Stand-ins for what a test has to steer."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """A clock that a test moves."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
