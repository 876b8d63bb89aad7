"""Who is known to work here: whoever has signed in of late, and in the demo the accounts of the role switch.

Who is asked to examine something is one of those for whom somebody still answers: whose session the identity provider
has ended, or whom it no longer knows, may have gone home or left for good.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.people.certificate_texts import certificates_from_json
from rtcc_bridge.people.signed_in import roles_of
from rtcc_bridge.policy import certificates
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.storage import people
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.people import PersonRecord

GONE_AFTER: Final = timedelta(days=35)
"""Whoever has not signed in for so long is no longer counted: they work elsewhere now."""


async def known_people(tx: Transaction, now: datetime) -> Sequence[Account]:
    """As each of them was last told of, at a sign-in or when it was asked again."""
    return [_account(record) for record in await people.every_person(tx) if _works_here(record, now)]


def _account(record: PersonRecord) -> Account:
    return Account(record.person, roles_of(record.roles), certificates_from_json(record.certificates))


def _works_here(record: PersonRecord, now: datetime) -> bool:
    return now - record.seen_at < GONE_AFTER


class KnownExaminers:
    """Whom the system may ask to examine a lead: analysts whose certificates are all in date (P10, P12)."""

    def __init__(self, clock: Clock, policy_in_force: PolicyInForce, demo_accounts: Collection[Account]) -> None:
        """demo_accounts: those that can be taken without signing in; none outside the demo."""
        self._clock = clock
        self._policy_in_force = policy_in_force
        self._demo_accounts = demo_accounts

    async def everybody(self, tx: Transaction) -> Sequence[Account]:
        """See `leads.examiners.Examiners`."""
        now, needed = self._clock.now(), self._policy_in_force.current.certificates
        return [one for one in await self._analysts(tx) if not certificates.missing(one.certificates, needed, now)]

    async def may_finish(self, tx: Transaction, person: str) -> bool:
        """See `leads.examiners.Examiners`."""
        return any(one.person == person for one in await self._analysts(tx))

    async def _analysts(self, tx: Transaction) -> Sequence[Account]:
        """Whoever has signed in is who they are, and no demo account of that name."""
        now = self._clock.now()
        found = {account.person: account for account in self._demo_accounts}
        for record in await people.every_person(tx):
            if record.unvouched_since is not None:
                found.pop(record.person, None)
            elif _works_here(record, now):
                found[record.person] = _account(record)
        return [one for one in found.values() if may(one, Deed.REVIEW_LEAD)]
