"""Sessions of people who signed in, and answers of the identity provider that are used up."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, or_, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.tables import sessions, used_sign_ins


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """One row. session_id: a hash of what the cookie holds. refresh_token: sealed under what the cookie holds.

    checked_at: when the roles were last asked for. checking_until: so long somebody is asking.
    """

    session_id: str
    kind: str
    person: str
    login: str
    roles: Sequence[str]
    certificates: Mapping[str, str]
    provider_subject: str | None
    provider_session: str | None
    refresh_token: bytes | None
    created_at: datetime
    seen_at: datetime
    checked_at: datetime
    checking_until: datetime | None
    expires_at: datetime


async def add(tx: Transaction, record: SessionRecord) -> None:
    await tx.execute(insert(sessions).values(asdict(record)))


async def find(tx: Transaction, session_id: str) -> SessionRecord | None:
    row = (await tx.execute(select(sessions).where(sessions.c.session_id == session_id))).mappings().one_or_none()
    return None if row is None else SessionRecord(**row)


async def touch(tx: Transaction, session_id: str, at: datetime) -> None:
    """The person did something."""
    unseen = (sessions.c.session_id == session_id) & (sessions.c.seen_at < at)
    await tx.execute(update(sessions).where(unseen).values(seen_at=at))


async def begin_check(tx: Transaction, record: SessionRecord, at: datetime, until: datetime) -> bool:
    """Whether it is the caller's turn to ask the provider; nobody else's until then, or until `change`."""
    free = or_(sessions.c.checking_until.is_(None), sessions.c.checking_until <= at)
    unchanged = (sessions.c.session_id == record.session_id) & (sessions.c.checked_at == record.checked_at)
    return (await tx.execute(update(sessions).where(unchanged, free).values(checking_until=until))).rowcount == 1


async def change(tx: Transaction, session_id: str, changes: Mapping[str, Any]) -> bool:
    """Whether the session was still there."""
    return (await tx.execute(update(sessions).where(sessions.c.session_id == session_id).values(changes))).rowcount == 1


async def remove(tx: Transaction, session_id: str) -> bool:
    """Whether the session was still there."""
    return (await tx.execute(delete(sessions).where(sessions.c.session_id == session_id))).rowcount == 1


async def remove_of_provider(tx: Transaction, subject: str | None, session: str | None) -> list[SessionRecord]:
    """Ends the provider's session, or all of the subject's where no session is named; returns them."""
    which = sessions.c.provider_subject == subject if session is None else sessions.c.provider_session == session
    return await _remove(tx, which)


async def remove_of_login(tx: Transaction, kind: str, login: str) -> list[SessionRecord]:
    """Ends the sessions of an account; returns them."""
    return await _remove(tx, (sessions.c.kind == kind) & (sessions.c.login == login))


async def every_open(tx: Transaction, now: datetime) -> list[SessionRecord]:
    """Those that are not over at that moment, by whom and when they began; some of them may have locked."""
    query = select(sessions).where(sessions.c.expires_at > now).order_by(sessions.c.person, sessions.c.created_at)
    return [SessionRecord(**row) for row in (await tx.execute(query)).mappings()]


async def remove_of_person(tx: Transaction, person: str) -> list[SessionRecord]:
    """Ends all sessions of a person, whatever account they signed in with; returns them."""
    return await _remove(tx, sessions.c.person == person)


async def remove_ended(tx: Transaction, ended_before: datetime, unseen_since: datetime) -> list[SessionRecord]:
    """Ends the sessions that are over, also those that nobody will ever use again; returns them."""
    return await _remove(tx, or_(sessions.c.expires_at <= ended_before, sessions.c.seen_at <= unseen_since))


async def is_sign_in_used(tx: Transaction, state_hash: str) -> bool:
    query = select(used_sign_ins.c.state_hash).where(used_sign_ins.c.state_hash == state_hash)
    return (await tx.execute(query)).first() is not None


async def use_sign_in(tx: Transaction, state_hash: str, at: datetime) -> bool:
    """Whether nobody came back from the provider with that answer before."""
    return await insert_if_absent(tx, used_sign_ins, {"state_hash": state_hash, "used_at": at})


async def forget_used_sign_ins(tx: Transaction, used_before: datetime) -> int:
    """Those that are over by themselves."""
    return (await tx.execute(delete(used_sign_ins).where(used_sign_ins.c.used_at <= used_before))).rowcount


async def _remove(tx: Transaction, which: Any) -> list[SessionRecord]:
    rows = (await tx.execute(delete(sessions).where(which).returning(*sessions.c))).mappings().all()
    return [SessionRecord(**row) for row in rows]
