"""Local accounts, service tokens, and what is known of the people who have signed in."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent, replace_all
from rtcc_bridge.storage.tables import local_accounts, people, service_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAccountRecord:
    """One row. failed_sign_ins: one after the other, up to now."""

    login: str
    person: str
    roles: Sequence[str]
    certificates: Mapping[str, str]
    password_hash: str
    failed_sign_ins: int
    locked_until: datetime | None
    disabled_at: datetime | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTokenRecord:
    """One row. secret_sha256: of the random part of the token, which is nowhere kept."""

    token_id: str
    name: str
    secret_sha256: str
    deeds: Sequence[str]
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """One row: what was last said of a person, at a sign-in or when it was asked again.

    unvouched_since: when whoever said it ended the person's session, or took that back.
    """

    person: str
    roles: Sequence[str]
    certificates: Mapping[str, str]
    seen_at: datetime
    unvouched_since: datetime | None = None


async def add_account(tx: Transaction, record: LocalAccountRecord) -> bool:
    """Whether there was none of that name yet."""
    return await insert_if_absent(tx, local_accounts, asdict(record))


async def find_account(tx: Transaction, login: str) -> LocalAccountRecord | None:
    row = (await tx.execute(select(local_accounts).where(local_accounts.c.login == login))).mappings().one_or_none()
    return None if row is None else LocalAccountRecord(**row)


async def every_account(tx: Transaction) -> list[LocalAccountRecord]:
    rows = (await tx.execute(select(local_accounts).order_by(local_accounts.c.login))).mappings()
    return [LocalAccountRecord(**row) for row in rows]


async def change_account(tx: Transaction, login: str, changes: Mapping[str, Any]) -> bool:
    """Whether there is one of that name."""
    statement = update(local_accounts).where(local_accounts.c.login == login).values(changes)
    return (await tx.execute(statement)).rowcount == 1


async def count_attempt(tx: Transaction, login: str, most: int, at: datetime, locked_until: datetime) -> bool:
    """Counts a sign-in before the password is looked at, so that no number of them at once gets past the limit.

    The one that reaches it locks the account. Whether it may be made: the account is there and not locked. A lock that
    is over gives a fresh count.
    """
    table = local_accounts
    over = (table.c.login == login) & (table.c.locked_until <= at)
    await tx.execute(update(table).where(over).values(failed_sign_ins=0, locked_until=None))
    free = (table.c.login == login) & table.c.locked_until.is_(None) & (table.c.failed_sign_ins < most)
    counted = update(table).where(free).values(failed_sign_ins=table.c.failed_sign_ins + 1)
    if (await tx.execute(counted)).rowcount == 0:
        return False
    full = (table.c.login == login) & (table.c.failed_sign_ins >= most)
    await tx.execute(update(table).where(full).values(locked_until=locked_until))
    return True


async def add_token(tx: Transaction, record: ServiceTokenRecord) -> bool:
    return await insert_if_absent(tx, service_tokens, asdict(record))


async def find_token(tx: Transaction, token_id: str) -> ServiceTokenRecord | None:
    query = select(service_tokens).where(service_tokens.c.token_id == token_id)
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else ServiceTokenRecord(**row)


async def every_token(tx: Transaction) -> list[ServiceTokenRecord]:
    order = (service_tokens.c.created_at, service_tokens.c.token_id)
    rows = (await tx.execute(select(service_tokens).order_by(*order))).mappings()
    return [ServiceTokenRecord(**row) for row in rows]


async def revoke_token(tx: Transaction, token_id: str, at: datetime) -> bool:
    """Whether there was one that was not revoked yet."""
    there = (service_tokens.c.token_id == token_id) & service_tokens.c.revoked_at.is_(None)
    return (await tx.execute(update(service_tokens).where(there).values(revoked_at=at))).rowcount == 1


async def note_use(tx: Transaction, token_id: str, at: datetime) -> None:
    older = or_(service_tokens.c.used_at.is_(None), service_tokens.c.used_at < at)
    await tx.execute(update(service_tokens).where(service_tokens.c.token_id == token_id, older).values(used_at=at))


async def put_person(tx: Transaction, record: PersonRecord) -> None:
    await replace_all(tx, people, [asdict(record)])


async def stop_asking(tx: Transaction, person: str, at: datetime) -> None:
    """Nobody asks the person to examine anything, until they are told of again (`put_person`)."""
    await tx.execute(update(people).where(people.c.person == person).values(unvouched_since=at))


async def every_person(tx: Transaction) -> list[PersonRecord]:
    rows = (await tx.execute(select(people).order_by(people.c.person))).mappings()
    return [PersonRecord(**row) for row in rows]
