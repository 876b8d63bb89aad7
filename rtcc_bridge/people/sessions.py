"""Sessions: opened at a sign-in, locked when idle, ended after a day's work, asked about again at the provider (P29).

Every request asks here, so a role that was taken away is gone with the next request: of a local account at once, of
the provider's when what it said is older than `identity.recheck_seconds`, or as soon as it ends the session itself
(back-channel logout). Whoever's session the provider ends, or no longer answers for, is asked to examine nothing until
they sign in again: whether they went home or left the department it does not say (P12).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import SignInRequiredError, TransientError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.people.certificate_texts import certificates_from_json, certificates_to_json
from rtcc_bridge.people.session_secret import hash_of, is_secret, new_secret, seal, unseal
from rtcc_bridge.people.signed_in import SignedIn, Voucher, roles_of
from rtcc_bridge.policy.accounts import Account, require_no_actor_of_ours
from rtcc_bridge.storage import people, sessions
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.people import PersonRecord
from rtcc_bridge.storage.sessions import SessionRecord

SEEN_EVERY: Final = timedelta(seconds=60)
"""An act of a person is written down at most so often: a session may lock so much early, and never late."""
CHECK_TAKES: Final = timedelta(seconds=30)
"""After so long somebody else asks the provider: whoever wanted to has gone."""
CLOCK_STEP: Final = timedelta(minutes=5)
"""A session that was used further in the future than this locks, and what was asked there is asked again: the clock was
set back, and nobody knows how long ago that was."""

_OVER: Final = ("session.end", "expired")
_LOCKED: Final = ("session.lock", "locked")
_TAKEN_BACK: Final = ("session.end", "taken_back")
_SIGN_IN_AGAIN: Final = "Sign in again."

log = structlog.get_logger(__name__)


class Rechecker(Protocol):
    """Asks whoever vouched for a person again."""

    async def refresh(self, refresh_token: str, subject: str) -> SignedIn:
        """Raises SignInRequiredError when the provider takes its word back, TransientError when it does not answer."""
        ...


class Sessions:
    """The sessions of all replicas. `provider`: None where there is none."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        clock: Clock,
        settings: IdentitySettings,
        provider: Rechecker | None,
        *,
        has_local_accounts: bool,
    ) -> None:
        """has_local_accounts: in the demo alone; elsewhere no session of one is good, wherever its row came from."""
        self._database = database
        self._audit = audit
        self._clock = clock
        self._settings = settings
        self._idle = timedelta(seconds=settings.idle_seconds)
        self._provider = provider
        self._has_local_accounts = has_local_accounts

    async def begin(self, person: SignedIn) -> str:
        """Opens a session and returns what its cookie holds; commits.

        Raises SignInRequiredError for a local account where there are none, and for the id of one of our own actors.
        """
        self._require_known_here(person.voucher, person.account.name)
        secret, now = new_secret(), self._clock.now()
        longest = timedelta(hours=self._settings.session_hours)
        if person.voucher is Voucher.PROVIDER and person.refresh_token is None:
            # Nothing can be asked again: the session is over when the provider's word is.
            word = max(person.lifetime_seconds or 0.0, self._settings.recheck_seconds)
            longest = min(longest, timedelta(seconds=word))
        account = person.account
        record = SessionRecord(
            session_id=hash_of(secret),
            kind=person.voucher,
            person=account.name,
            login=account.login,
            roles=sorted(account.roles),
            certificates=certificates_to_json(account.certificates),
            provider_subject=person.subject,
            provider_session=person.session,
            refresh_token=None if person.refresh_token is None else seal(secret, person.refresh_token),
            created_at=now,
            seen_at=now,
            checked_at=now,
            checking_until=None,
            expires_at=now + longest,
        )
        async with self._database.write() as tx:
            await sessions.add(tx, record)
            await self._note_person(tx, account, now)
            details = {"roles": sorted(account.roles), "by": person.voucher.value}
            await self._enter(tx, record, "session.begin", "signed_in", details)
        return secret

    async def find(self, secret: str, *, acts: bool) -> Account:
        """Who acts. acts: whether a person did something, and not a page by itself.

        Raises SignInRequiredError when the session is over, locked or taken back, UnavailableError.
        """
        record = await self._there(secret)
        try:
            self._require_known_here(record.kind, record.person)
        except SignInRequiredError:
            await self._end(record, *_TAKEN_BACK)
            raise
        now = self._clock.now()
        if now >= record.expires_at:
            await self._end(record, *_OVER)
            raise SignInRequiredError("P29", f"This session is over: it was as long as one may be. {_SIGN_IN_AGAIN}")
        if now >= record.seen_at + self._idle or record.seen_at > now + CLOCK_STEP:
            await self._end(record, *_LOCKED)
            raise SignInRequiredError("P29", f"This session has locked, since nothing was done in it. {_SIGN_IN_AGAIN}")
        record = await self._rechecked(record, secret, now)
        if acts and now >= record.seen_at + SEEN_EVERY:
            async with self._database.write() as tx:
                await sessions.touch(tx, record.session_id, now)
        return _account(record)

    async def end(self, secret: str) -> SessionRecord | None:
        """The person signs out. Returns what was ended; None where nothing was."""
        if not is_secret(secret):
            return None
        async with self._database.read() as tx:
            record = await sessions.find(tx, hash_of(secret))
        return record if record is not None and await self._end(record, "session.end", "signed_out") else None

    async def end_of_provider(self, subject: str | None, session: str | None) -> int:
        """The provider has ended its session, or all of a person's; returns how many of ours end with that."""
        async with self._database.write() as tx:
            ended = await sessions.remove_of_provider(tx, subject, session)
            for record in ended:
                await people.stop_asking(tx, record.person, self._clock.now())
                await self._enter(tx, record, "session.end", "ended_by_provider", {})
        return len(ended)

    async def forget_old(self) -> int:
        """Ends what nobody has come back to, as it would end if somebody did; returns how many. Commits."""
        now = self._clock.now()
        async with self._database.write() as tx:
            ended = await sessions.remove_ended(tx, now, now - self._idle)
            for record in ended:
                action, outcome = _OVER if now >= record.expires_at else _LOCKED
                await self._enter(tx, record, action, outcome, {})
        return len(ended)

    def _require_known_here(self, kind: str, person: str) -> None:
        """Raises SignInRequiredError."""
        if kind == Voucher.LOCAL and not self._has_local_accounts:
            raise SignInRequiredError("P29", f"There are no local accounts here. {_SIGN_IN_AGAIN}")
        require_no_actor_of_ours(person)

    async def _there(self, secret: str) -> SessionRecord:
        record = None
        if is_secret(secret):
            async with self._database.read() as tx:
                record = await sessions.find(tx, hash_of(secret))
        if record is None:
            raise SignInRequiredError("P29", f"There is no such session any more. {_SIGN_IN_AGAIN}")
        return record

    async def _rechecked(self, record: SessionRecord, secret: str, now: datetime) -> SessionRecord:
        if record.kind == Voucher.LOCAL:
            return await self._of_local_account(record)
        is_fresh = -CLOCK_STEP < now - record.checked_at < timedelta(seconds=self._settings.recheck_seconds)
        if is_fresh or record.refresh_token is None:  # without one the session ends with the provider's word: `begin`
            return record
        async with self._database.write() as tx:
            is_ours = await sessions.begin_check(tx, record, now, now + CHECK_TAKES)
        if is_ours:
            return await self._ask_provider(record, secret, now)
        return self._while_unanswered(record, now)

    def _while_unanswered(self, record: SessionRecord, now: datetime) -> SessionRecord:
        """Somebody else is asking, or the provider is away: what it said last holds for a while."""
        oldest = timedelta(seconds=self._settings.recheck_seconds + self._settings.outage_seconds)
        if now < record.checked_at + oldest:
            return record
        raise SignInRequiredError(
            "P29", f"The identity provider has not answered for too long, so nobody can be let in. {_SIGN_IN_AGAIN}"
        )

    async def _ask_provider(self, record: SessionRecord, secret: str, now: datetime) -> SessionRecord:
        assert record.refresh_token is not None
        token = unseal(secret, record.refresh_token)
        try:
            if token is None or self._provider is None or record.provider_subject is None:
                raise SignInRequiredError("P29", f"The identity provider cannot be asked about you. {_SIGN_IN_AGAIN}")
            person = await self._provider.refresh(token, record.provider_subject)
        except SignInRequiredError:
            await self._end(record, *_TAKEN_BACK)
            raise
        except TransientError as error:
            log.warning("the identity provider was not reached: what it said last holds", error=str(error))
            return self._while_unanswered(record, now)
        if person.account.name != record.person:
            await self._end(record, *_TAKEN_BACK)
            raise SignInRequiredError("P29", f"The identity provider names somebody else now. {_SIGN_IN_AGAIN}")
        return await self._keep(record, secret, person, now)

    async def _keep(self, record: SessionRecord, secret: str, person: SignedIn, now: datetime) -> SessionRecord:
        account = person.account
        token = record.refresh_token if person.refresh_token is None else seal(secret, person.refresh_token)
        changes: dict[str, Any] = {
            "roles": sorted(account.roles),
            "certificates": certificates_to_json(account.certificates),
            "refresh_token": token,
            "checked_at": now,
            "checking_until": None,
        }
        updated = replace(record, **changes)
        async with self._database.write() as tx:
            if not await sessions.change(tx, record.session_id, changes):
                raise SignInRequiredError("P29", f"This session has ended meanwhile. {_SIGN_IN_AGAIN}")
            await self._note_person(tx, account, now)
            if updated.roles != list(record.roles):
                details = {"roles": updated.roles, "before": list(record.roles)}
                await self._enter(tx, updated, "session.roles", "changed", details)
        return updated

    async def _of_local_account(self, record: SessionRecord) -> SessionRecord:
        async with self._database.read() as tx:
            account = await people.find_account(tx, record.login)
        if account is None or account.disabled_at is not None or account.person != record.person:
            await self._end(record, *_TAKEN_BACK)
            raise SignInRequiredError("P29", "This account has been disabled. Ask the administrator.")
        return replace(record, roles=account.roles, certificates=account.certificates)

    async def _end(self, record: SessionRecord, action: str, outcome: str) -> bool:
        async with self._database.write() as tx:
            if not await sessions.remove(tx, record.session_id):
                return False
            if (action, outcome) == _TAKEN_BACK:
                await people.stop_asking(tx, record.person, self._clock.now())
            await self._enter(tx, record, action, outcome, {})
        return True

    async def _note_person(self, tx: Transaction, account: Account, now: datetime) -> None:
        record = PersonRecord(
            person=account.name,
            roles=sorted(account.roles),
            certificates=certificates_to_json(account.certificates),
            seen_at=now,
        )
        await people.put_person(tx, record)

    async def _enter(
        self, tx: Transaction, record: SessionRecord, action: str, outcome: str, details: Mapping[str, Any]
    ) -> None:
        await self._audit.append(
            tx,
            actor=record.person,
            action=action,
            subject=f"session/{record.session_id[:16]}",
            outcome=outcome,
            authority={},
            details={"login": record.login, **details},
        )


def _account(record: SessionRecord) -> Account:
    certificates = certificates_from_json(record.certificates)
    return Account(record.person, roles_of(record.roles), certificates, record.login)
