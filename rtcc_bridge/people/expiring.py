"""Counts the analysts whose certificates end soon, so that somebody books the course before work stops (P10)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NoReturn

from rtcc_bridge.clock import Clock
from rtcc_bridge.metrics import EXPIRY_DAYS, Metrics
from rtcc_bridge.people.known import known_people
from rtcc_bridge.periodic import periodically
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.policy.certificates import Needed, missing
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.storage.engine import Database

_EVERY_SECONDS: Final = 60.0


class CertificateWatch:
    """Tells `certificates_expiring`."""

    def __init__(self, database: Database, clock: Clock, metrics: Metrics, policy_in_force: PolicyInForce) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._policy_in_force = policy_in_force

    async def run(self) -> NoReturn:
        """Looks now and then, until it is cancelled. An outage of the database is waited for."""
        await periodically("counting certificates that end", self.look, every_seconds=_EVERY_SECONDS)

    async def look(self) -> None:
        """Raises UnavailableError."""
        now, needed = self._clock.now(), self._policy_in_force.current.certificates
        async with self._database.read() as tx:
            known = await known_people(tx, now)
        for days, count in expiring(known, needed, now).items():
            self._metrics.certificates_expiring.labels(days).set(count)


def expiring(known: Sequence[Account], needed: Needed, now: datetime) -> dict[str, int]:
    """By days: how many analysts lack a certificate that is needed, or will by then. 0: they can begin no new work."""
    analysts = [one.certificates for one in known if Role.ANALYST in one.roles]
    return {
        days: sum(bool(missing(held, needed, now + timedelta(days=int(days)))) for held in analysts)
        for days in EXPIRY_DAYS
    }
