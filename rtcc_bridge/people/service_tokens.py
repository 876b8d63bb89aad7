"""Service tokens: what a program shows instead of a session. Each is for certain deeds, and ends."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import InvalidInputError, NotFoundError, SignInRequiredError
from rtcc_bridge.policy.accounts import PROGRAM_PREFIX, Account
from rtcc_bridge.policy.permissions import MACHINE_DEEDS, Deed, require_permission
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import people
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.people import ServiceTokenRecord

LONGEST: Final = timedelta(days=366)
USED_EVERY: Final = timedelta(minutes=5)
"""A use is written down at most so often."""

_TOKEN: Final = re.compile(r"rtcc_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}")


@dataclass(frozen=True, slots=True)
class NewToken:
    """text: the token itself, which is told this once."""

    text: str
    record: ServiceTokenRecord


class ServiceTokens:
    """The tokens of all programs. Whoever manages them needs the permission; refusals are audited."""

    def __init__(self, database: Database, audit: AuditLog, clock: Clock, refusals: RefusalLog) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._refusals = refusals

    async def create(self, actor: Account, name: str, deeds: Collection[Deed], expires_at: datetime) -> NewToken:
        """Commits. Raises PolicyRefusalError, InvalidInputError (name, deeds or end)."""
        async with self._managing(actor, "token.create", "token/new"):
            require_permission(actor, Deed.MANAGE_TOKENS)
            now = self._clock.now()
            _require_fit(name, deeds, expires_at, now)
            token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
            record = ServiceTokenRecord(
                token_id=token_id,
                name=name,
                secret_sha256=_sha256(secret),
                deeds=sorted(deeds),
                created_by=actor.name,
                created_at=now,
                expires_at=expires_at,
                revoked_at=None,
                used_at=None,
            )
            async with self._database.write() as tx:
                await people.add_token(tx, record)
                details = {"name": name, "deeds": record.deeds, "expiresAt": expires_at.isoformat()}
                await self._audit.append(
                    tx, actor=actor.name, action="token.create", subject=f"token/{token_id}", outcome="created",
                    authority={}, details=details,
                )  # fmt: skip
        return NewToken(f"rtcc_{token_id}_{secret}", record)

    async def every(self, actor: Account) -> list[ServiceTokenRecord]:
        """Raises PolicyRefusalError."""
        async with self._managing(actor, "token.list", "tokens"):
            require_permission(actor, Deed.MANAGE_TOKENS)
        async with self._database.read() as tx:
            return await people.every_token(tx)

    async def revoke(self, actor: Account, token_id: str) -> None:
        """It is good for nothing from this moment. Commits. Raises PolicyRefusalError, NotFoundError."""
        async with self._managing(actor, "token.revoke", f"token/{token_id[:32]}"):
            require_permission(actor, Deed.MANAGE_TOKENS)
            async with self._database.write() as tx:
                if not await people.revoke_token(tx, token_id, self._clock.now()):
                    raise NotFoundError("There is no such token that holds: see `rtcc-bridge tokens list`.")
                await self._audit.append(
                    tx, actor=actor.name, action="token.revoke", subject=f"token/{token_id}", outcome="revoked",
                    authority={}, details={},
                )  # fmt: skip

    async def find(self, text: str) -> Account:
        """Who acts by this token. Raises SignInRequiredError when it is none that holds, UnavailableError."""
        fitting = _TOKEN.fullmatch(text)
        record = None
        if fitting is not None:
            async with self._database.read() as tx:
                record = await people.find_token(tx, fitting[1])
        now = self._clock.now()
        if (
            fitting is None
            or record is None
            or not hmac.compare_digest(record.secret_sha256, _sha256(fitting[2]))
            or record.revoked_at is not None
            or now >= record.expires_at
        ):
            raise SignInRequiredError("P10", "This service token does not hold, or not any more: ask for another one.")
        if record.used_at is None or now >= record.used_at + USED_EVERY:
            async with self._database.write() as tx:
                await people.note_use(tx, record.token_id, now)
        return Account(
            f"{PROGRAM_PREFIX}{record.token_id}", frozenset(), login=record.name, deeds=frozenset(record.deeds)
        )

    def _managing(self, actor: Account, action: str, subject: str) -> Any:
        return self._refusals.watching(actor=actor.name, action=action, subject=subject, authority={})


def _sha256(secret: str) -> str:
    """A secret of 256 random bits needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _require_fit(name: str, deeds: Collection[Deed], expires_at: datetime, now: datetime) -> None:
    if _NAME.fullmatch(name) is None:
        raise InvalidInputError("Name the program: letters, digits, spaces, dots and dashes, at most 128.", "fields")
    if not deeds or not set(deeds) <= MACHINE_DEEDS:
        possible = ", ".join(sorted(deed.name.lower().replace("_", "-") for deed in MACHINE_DEEDS))
        raise InvalidInputError(f"A program may be given one or more of: {possible}.", "fields")
    if not now < expires_at <= now + LONGEST:
        raise InvalidInputError("A token ends in the future, and within a year: give another day.", "fields")
