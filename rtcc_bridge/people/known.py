"""Who is known to work here: whoever has signed in of late, and in the demo the accounts of the role switch."""

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

GONE_AFTER: Final = timedelta(days=35)
"""Whoever has not signed in for so long is no longer counted: they work elsewhere now."""


async def known_people(tx: Transaction, now: datetime) -> Sequence[Account]:
    """As each of them was last told of, at a sign-in or when it was asked again."""
    return [
        Account(record.person, roles_of(record.roles), certificates_from_json(record.certificates))
        for record in await people.every_person(tx)
        if now - record.seen_at < GONE_AFTER
    ]


class KnownExaminers:
    """Whom the system may ask to examine a lead: analysts whose certificates are all in date (P10, P12)."""

    def __init__(self, clock: Clock, policy_in_force: PolicyInForce, demo_accounts: Collection[Account]) -> None:
        """demo_accounts: those that can be taken without signing in; none outside the demo."""
        self._clock = clock
        self._policy_in_force = policy_in_force
        self._demo_accounts = demo_accounts

    async def everybody(self, tx: Transaction) -> Sequence[Account]:
        """See `leads.examiners.Examiners`. Whoever has signed in is who they are, and no demo account of that name."""
        now, needed = self._clock.now(), self._policy_in_force.current.certificates
        found = {account.person: account for account in (*self._demo_accounts, *await known_people(tx, now))}
        return [
            account
            for account in found.values()
            if may(account, Deed.REVIEW_LEAD) and not certificates.missing(account.certificates, needed, now)
        ]
