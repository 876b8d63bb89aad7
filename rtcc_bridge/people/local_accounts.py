"""Local accounts, which the demo has instead of an identity provider: added by the administrator, locked after five
failed sign-ins (P29)."""

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.people.certificate_texts import certificates_from_json, certificates_to_json
from rtcc_bridge.people.passwords import LEAST_CHARACTERS, MOST_CHARACTERS, Passwords
from rtcc_bridge.people.signed_in import SignedIn, Voucher, roles_of
from rtcc_bridge.policy.accounts import Account, Role, person_id, require_no_actor_of_ours
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import people, sessions
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.people import LocalAccountRecord

MOST_FAILURES: Final = 5
LOCKED_FOR: Final = timedelta(minutes=15)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_REFUSED: Final = (
    "Account and password do not fit together, or the account is locked or disabled. After "
    f"{MOST_FAILURES} failed sign-ins it is locked for {LOCKED_FOR // timedelta(minutes=1)} minutes; the administrator "
    "unlocks it with a new password."
)


class LocalAccounts:
    """The accounts of the demo profile. Whoever manages them needs the permission; refusals are audited."""

    def __init__(self, database: Database, audit: AuditLog, clock: Clock, refusals: RefusalLog) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._refusals = refusals
        self._passwords = Passwords()

    async def sign_in(self, login: str, password: str) -> SignedIn:
        """Raises PolicyRefusalError (P29) in the same words and after the same time, whatever does not fit."""
        name = login.strip().casefold()
        known = _NAME.fullmatch(name) is not None and 0 < len(password) <= MOST_CHARACTERS
        subject = f"account/{name}" if known else "account/unreadable"
        async with self._refusals.watching(
            actor=name if known else "nobody", action="session.begin", subject=subject, authority={}
        ):
            return await self._sign_in(name if known else "", password[:MOST_CHARACTERS])

    async def add(
        self,
        actor: Account,
        login: str,
        roles: Collection[Role],
        password: str,
        *,
        person: str | None = None,
        certificates: Mapping[str, Certificate] | None = None,
    ) -> None:
        """person: the one id of whom the account belongs to; its own name without. Commits.

        Raises PolicyRefusalError (P29 too: the id of one of our own actors), InvalidInputError (name or password),
        ConflictError (there is one of that name).
        """
        name = _readable(login)
        async with self._managing(actor, "account.add", name):
            require_permission(actor, Deed.MANAGE_ACCOUNTS)
            require_no_actor_of_ours(person or name)
            hashed, now = await self._passwords.hash(_fit(password)), self._clock.now()
            record = LocalAccountRecord(
                login=name,
                person=person_id(person or name),
                roles=sorted(roles),
                certificates=certificates_to_json(certificates or {}),
                password_hash=hashed,
                failed_sign_ins=0,
                locked_until=None,
                disabled_at=None,
                created_at=now,
                changed_at=now,
            )
            async with self._database.write() as tx:
                if not await people.add_account(tx, record):
                    raise ConflictError(f"There is an account {name} already.")
                details = {"roles": record.roles, "certificates": dict(record.certificates)}
                await self._enter(tx, actor, "account.add", name, "added", details)

    async def every(self, actor: Account) -> list[LocalAccountRecord]:
        """Raises PolicyRefusalError."""
        async with self._managing(actor, "account.list", "accounts"):
            require_permission(actor, Deed.MANAGE_ACCOUNTS)
        async with self._database.read() as tx:
            return await people.every_account(tx)

    async def disable(self, actor: Account, login: str) -> int:
        """Nobody signs in with it any more; returns how many sessions ended. Commits.

        Raises PolicyRefusalError, InvalidInputError, NotFoundError.
        """
        name, now = _readable(login), self._clock.now()
        return await self._change(actor, "account.disable", name, {"disabled_at": now, "changed_at": now})

    async def set_password(self, actor: Account, login: str, password: str) -> int:
        """Unlocks the account too, and ends its sessions; returns how many. Raises as `disable` does. Commits."""
        name = _readable(login)
        async with self._managing(actor, "account.password", name):
            require_permission(actor, Deed.MANAGE_ACCOUNTS)
            hashed = await self._passwords.hash(_fit(password))
        changes = {"password_hash": hashed, "failed_sign_ins": 0, "locked_until": None, "changed_at": self._clock.now()}
        return await self._change(actor, "account.password", name, changes)

    async def _sign_in(self, login: str, password: str) -> SignedIn:
        now = self._clock.now()
        async with self._database.write() as tx:
            counted = await people.count_attempt(tx, login, MOST_FAILURES, now, now + LOCKED_FOR)
            record = await people.find_account(tx, login) if counted else None
        usable = record is not None and record.disabled_at is None
        hashed = record.password_hash if record is not None and usable else None
        if not await self._passwords.fits(password, hashed) or record is None:
            raise PolicyRefusalError("P29", _REFUSED)
        async with self._database.write() as tx:
            await people.change_account(tx, login, {"failed_sign_ins": 0, "locked_until": None})
        certificates = certificates_from_json(record.certificates)
        account = Account(record.person, roles_of(record.roles), certificates, record.login)
        return SignedIn(voucher=Voucher.LOCAL, account=account)

    async def _change(self, actor: Account, action: str, login: str, changes: Mapping[str, Any]) -> int:
        async with self._managing(actor, action, login):
            require_permission(actor, Deed.MANAGE_ACCOUNTS)
            async with self._database.write() as tx:
                if not await people.change_account(tx, login, changes):
                    raise NotFoundError(f"There is no account {login}: `rtcc-bridge users list` names them.")
                ended = await sessions.remove_of_login(tx, Voucher.LOCAL, login)
                account = await people.find_account(tx, login)
                if account is not None and account.disabled_at is not None:
                    await people.stop_asking(tx, account.person, account.disabled_at)
                await self._enter(tx, actor, action, login, "changed", {"sessionsEnded": len(ended)})
        return len(ended)

    def _managing(self, actor: Account, action: str, login: str) -> Any:
        return self._refusals.watching(actor=actor.name, action=action, subject=f"account/{login}", authority={})

    async def _enter(
        self, tx: Transaction, actor: Account, action: str, login: str, outcome: str, details: Mapping[str, Any]
    ) -> None:
        await self._audit.append(
            tx,
            actor=actor.name,
            action=action,
            subject=f"account/{login}",
            outcome=outcome,
            authority={},
            details=details,
        )


def _readable(login: str) -> str:
    name = login.strip().casefold()
    if _NAME.fullmatch(name) is None:
        raise InvalidInputError(
            "An account's name begins with a letter or digit and goes on with those, dots, dashes, underscores or @; "
            "at most 128 characters.",
            "fields",
        )
    return name


def _fit(password: str) -> str:
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise InvalidInputError(
            f"A password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters: take a few words together.",
            "fields",
        )
    return password
