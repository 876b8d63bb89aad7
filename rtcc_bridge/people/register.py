"""Who works here: roles, certificates with their ends, open sessions; and signing somebody out.

What stands here was last said at a sign-in, or when the identity provider was asked again: this program keeps no list
of staff of its own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.people.certificate_texts import certificates_from_json
from rtcc_bridge.people.known import GONE_AFTER
from rtcc_bridge.people.signed_in import roles_of
from rtcc_bridge.policy.accounts import Account, Role, person_id
from rtcc_bridge.policy.certificates import Certificate, Needed
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.probes.reasons import stated
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import people, sessions
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.people import PersonRecord
from rtcc_bridge.storage.sessions import SessionRecord

SOON: Final = timedelta(days=60)
"""From so long before its end on a certificate is on top of the list: courses are booked weeks ahead."""

_VIEW: Final = "people.view"
_END: Final = "people.end_sessions"


@dataclass(frozen=True, slots=True)
class HeldCertificate:
    """issued_at: None for the demo's accounts, which were never issued any. ends_at: by the certificate or by the
    policy's days, whichever comes first; None where nothing ends it."""

    kind: CertificateKind
    issued_at: datetime | None
    ends_at: datetime | None
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredPerson:
    """One person.

    certificates: those that an analyst's work needs and the person has. missing: those that it needs and the person
    has not, or not any more; empty for whoever is no analyst. seen_at: the last word on the person; None for an account
    that nobody has signed in with yet, or that is taken without (the demo's). first_end: when the first of the needed
    certificates ends. is_vouched: somebody still answers for the person.
    """

    person: str
    roles: frozenset[Role]
    certificates: Sequence[HeldCertificate]
    missing: Sequence[CertificateKind]
    first_end: datetime | None
    seen_at: datetime | None
    is_vouched: bool
    has_left: bool
    sessions: Sequence[SessionRecord]

    def needs_care(self, now: datetime) -> bool:
        """Whether new work has stopped for want of a certificate, or is about to."""
        is_ending = self.first_end is not None and self.first_end <= now + SOON
        return not self.has_left and (bool(self.missing) or is_ending)


class PeopleRegister:
    """Where the administrator sees everybody. Each look, and each signing out, is audited."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        clock: Clock,
        refusals: RefusalLog,
        policy_in_force: PolicyInForce,
        demo_accounts: Collection[Account],
    ) -> None:
        """demo_accounts: those that can be taken without signing in; none outside the demo."""
        self._database = database
        self._audit = audit
        self._clock = clock
        self._refusals = refusals
        self._policy_in_force = policy_in_force
        self._demo_accounts = demo_accounts

    async def look(self, account: Account) -> Sequence[RegisteredPerson]:
        """Everybody; first whoever lacks a certificate or soon will, by its end, then by name.

        Raises PolicyRefusalError (P10), UnavailableError.
        """
        async with self._refusals.watching(actor=account.name, action=_VIEW, subject="people", authority={}):
            require_permission(account, Deed.SEE_PEOPLE)
        now, needed = self._clock.now(), self._policy_in_force.current.certificates
        async with self._database.write() as tx:
            await self._enter(tx, account, _VIEW, "people", "shown", {})
            known = await people.every_person(tx)
            open_sessions = await sessions.every_open(tx, now)
        signed_in = {person_id(one.person) for one in known}
        found = [_signed_in(one, needed, open_sessions, now) for one in known]
        # Whoever has signed in under the name of an account of the demo is who they are.
        found += [_of_account(one, needed, now) for one in self._demo_accounts if one.person not in signed_in]
        return sorted(found, key=lambda one: _order(one, now))

    async def end_sessions(self, account: Account, person: str, reason: str) -> int:
        """Signs somebody out everywhere; returns how many sessions ended. Commits.

        Nobody asks the person to examine anything until they sign in again, which they can. Raises PolicyRefusalError
        (P10), InvalidInputError (no reason), NotFoundError (nothing is open), UnavailableError.
        """
        async with self._refusals.watching(actor=account.name, action=_END, subject=person, authority={}):
            require_permission(account, Deed.END_SESSIONS)
            why, now = stated(reason, "Signing somebody out"), self._clock.now()
            async with self._database.write() as tx:
                ended = await sessions.remove_of_person(tx, person)
                if not ended:
                    raise NotFoundError("This person has no open session.")
                await people.stop_asking(tx, person, now)
                for one in ended:
                    told = {"login": one.login, "person": person}
                    place = f"session/{one.session_id[:16]}"
                    await self._enter(tx, account, "session.end", place, "ended_by_administrator", told)
                details = {"sessions": len(ended), "reason": why}
                await self._enter(tx, account, _END, person, "signed_out", details)
        return len(ended)

    async def _enter(
        self, tx: Transaction, account: Account, action: str, subject: str, outcome: str, details: Mapping[str, Any]
    ) -> None:
        await self._audit.append(
            tx,
            actor=account.name,
            action=action,
            subject=subject,
            outcome=outcome,
            authority={},
            details=details,
        )


def _signed_in(
    record: PersonRecord, needed: Needed, open_sessions: Sequence[SessionRecord], now: datetime
) -> RegisteredPerson:
    account = Account(record.person, roles_of(record.roles), certificates_from_json(record.certificates))
    return replace(
        _of_account(account, needed, now),
        seen_at=record.seen_at,
        is_vouched=record.unvouched_since is None,
        has_left=now - record.seen_at >= GONE_AFTER,
        sessions=[one for one in open_sessions if one.person == record.person],
    )


def _of_account(account: Account, needed: Needed, now: datetime) -> RegisteredPerson:
    """As far as the account itself tells: without a session, and without a last word on the person."""
    held = [_held(kind, account.certificates[kind], needed, now) for kind in needed if kind in account.certificates]
    holds = {one.kind for one in held if one.holds}
    is_analyst = Role.ANALYST in account.roles
    ends = [one.ends_at for one in held if one.holds and one.ends_at is not None]
    return RegisteredPerson(
        person=account.name,
        roles=account.roles,
        certificates=held,
        missing=[kind for kind in needed if kind not in holds] if is_analyst else [],
        first_end=min(ends, default=None) if is_analyst else None,
        seen_at=None,
        is_vouched=True,
        has_left=False,
        sessions=(),
    )


def _held(kind: CertificateKind, certificate: Certificate, needed: Needed, now: datetime) -> HeldCertificate:
    rule = needed[kind]
    is_dated = certificate.issued_at is not None or certificate.until is not None
    ends_at = certificate.ends_at(rule) if is_dated else None
    return HeldCertificate(kind, certificate.issued_at, ends_at, certificate.holds(rule, now))


def _order(one: RegisteredPerson, now: datetime) -> tuple[bool, datetime, str]:
    """What is missing comes before what ends."""
    soonest = now if one.missing else one.first_end
    needs_care = one.needs_care(now)
    return not needs_care, soonest if needs_care and soonest is not None else now, one.person
