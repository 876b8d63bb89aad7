"""Counts the analysts whose certificates end soon, so that somebody books the course before work stops (P10)."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NoReturn

import structlog

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import TransientError
from rtcc_bridge.metrics import EXPIRY_DAYS, Metrics
from rtcc_bridge.people.signed_in import certificates_from_json
from rtcc_bridge.policy.accounts import Role
from rtcc_bridge.policy.certificates import REQUIRED_CERTIFICATES
from rtcc_bridge.storage import people
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.people import PersonRecord

_EVERY_SECONDS: Final = 60.0
_GONE_AFTER: Final = timedelta(days=35)
"""Whoever has not signed in for so long is no longer counted: they work elsewhere now."""

log = structlog.get_logger(__name__)


class CertificateWatch:
    """Tells `certificates_expiring`."""

    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Looks now and then, until it is cancelled. An outage of the database is waited for."""
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.warning("certificates were not counted, trying again", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> None:
        """Raises UnavailableError."""
        async with self._database.read() as tx:
            known = await people.every_person(tx)
        for days, count in expiring(known, self._clock.now()).items():
            self._metrics.certificates_expiring.labels(days).set(count)


def expiring(known: Sequence[PersonRecord], now: datetime) -> dict[str, int]:
    """By days: how many analysts have a needed certificate that ends by then. 0: it has ended, or was never there."""
    analysts = [one for one in known if Role.ANALYST.value in one.roles and now - one.seen_at < _GONE_AFTER]
    ends = [_first_end(one, now) for one in analysts]
    return {days: sum(end <= now + timedelta(days=int(days)) for end in ends) for days in EXPIRY_DAYS}


def _first_end(record: PersonRecord, now: datetime) -> datetime:
    held = certificates_from_json(record.certificates)
    return min(held.get(name, now) for name in REQUIRED_CERTIFICATES)
