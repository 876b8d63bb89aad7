"""Back-pressure from the outbox: while what was decided does not get out, no further work is begun."""

from datetime import datetime
from typing import Final

from rtcc_bridge.errors import BusyError
from rtcc_bridge.settings import RelaySettings
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database

_RETRY_SECONDS: Final = 10.0


async def require_room(database: Database, settings: RelaySettings, now: datetime) -> None:
    """Raises BusyError when too many events wait for the relay, or the oldest for too long; UnavailableError."""
    async with database.read() as tx:
        waiting = await outbox.waiting(tx, settings.backlog_limit + 1)
    if waiting.count > settings.backlog_limit:
        raise BusyError(
            f"More than {settings.backlog_limit} events wait to be published. Try again when the message broker is up.",
            _RETRY_SECONDS,
        )
    age_seconds = 0.0 if waiting.oldest_at is None else (now - waiting.oldest_at).total_seconds()
    if age_seconds > settings.backlog_age_limit_seconds:
        raise BusyError(
            f"Nothing was published for {age_seconds:.0f} s. Try again when the message broker is up.", _RETRY_SECONDS
        )
