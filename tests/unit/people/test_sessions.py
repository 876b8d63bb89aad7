"""Sessions and whoever vouches for them: asked again in time, by one at a time, and what happens when it is away."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import select

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.errors import SignInRequiredError, UnavailableError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.people.session_secret import hash_of, is_secret, new_secret, seal, unseal
from rtcc_bridge.people.sessions import Sessions
from rtcc_bridge.people.signed_in import SignedIn, Voucher
from rtcc_bridge.policy.accounts import ACTORS_OF_OURS, Account, Role
from rtcc_bridge.storage import people, tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.people import LocalAccountRecord
from tests.doubles import ManualClock

BORIS = Account("e-2", frozenset({Role.SUPERVISOR}), login="boris")
PERSON = SignedIn(voucher=Voucher.PROVIDER, account=BORIS, subject="s-2", session="p-2", refresh_token="token-0")
LOCAL = replace(PERSON, voucher=Voucher.LOCAL, subject=None, session=None, refresh_token=None)
SETTINGS = IdentitySettings(recheck_seconds=60, outage_seconds=600)


@dataclass
class Provider:
    """Says of everybody what the test wants. tokens: with which it was asked."""

    says: Account = BORIS
    problem: Exception | None = None
    rotates: bool = True
    tokens: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    wait_for: asyncio.Event | None = None

    async def refresh(self, refresh_token: str, subject: str) -> SignedIn:
        self.tokens.append(refresh_token)
        self.asked.set()
        if self.wait_for is not None:
            await self.wait_for.wait()
        if self.problem is not None:
            raise self.problem
        fresh = f"token-{len(self.tokens)}" if self.rotates else None
        return replace(PERSON, account=self.says, refresh_token=fresh)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def sessions(database: Database, clock: ManualClock, provider: Provider) -> Sessions:
    return Sessions(database, AuditLog(clock), clock, SETTINGS, provider, has_local_accounts=False)


async def test_what_is_fresh_is_not_asked_again(sessions: Sessions, clock: ManualClock, provider: Provider) -> None:
    secret = await sessions.begin(PERSON)
    for _ in range(3):
        clock.advance(19)
        assert (await sessions.find(secret, acts=True)).roles == {Role.SUPERVISOR}
    assert provider.tokens == []
    clock.advance(3)
    await sessions.find(secret, acts=True)
    assert provider.tokens == ["token-0"]


@pytest.mark.parametrize("rotates", [True, False])
async def test_each_time_the_newest_refresh_token_is_sent(
    sessions: Sessions, clock: ManualClock, provider: Provider, rotates: bool
) -> None:
    provider.rotates = rotates
    secret = await sessions.begin(PERSON)
    for _ in range(3):
        clock.advance(61)
        await sessions.find(secret, acts=True)
    assert provider.tokens == (["token-0", "token-1", "token-2"] if rotates else ["token-0"] * 3)


async def test_of_many_requests_at_once_one_asks_and_the_others_are_served(
    sessions: Sessions, clock: ManualClock, provider: Provider
) -> None:
    """A refresh token that is sent twice would be taken for stolen."""
    secret = await sessions.begin(PERSON)
    clock.advance(61)
    provider.wait_for = asyncio.Event()
    asking = asyncio.create_task(sessions.find(secret, acts=True))
    await provider.asked.wait()
    others = await asyncio.gather(*(sessions.find(secret, acts=True) for _ in range(5)))
    provider.wait_for.set()
    assert {account.name for account in [*others, await asking]} == {"e-2"}
    assert provider.tokens == ["token-0"]


async def test_whoever_asked_and_died_holds_nobody_up(
    sessions: Sessions, clock: ManualClock, provider: Provider
) -> None:
    secret = await sessions.begin(PERSON)
    clock.advance(61)
    provider.wait_for = asyncio.Event()
    asking = asyncio.create_task(sessions.find(secret, acts=True))
    await provider.asked.wait()
    asking.cancel()
    await asyncio.wait([asking])
    provider.wait_for = None
    await sessions.find(secret, acts=True)
    assert len(provider.tokens) == 1
    clock.advance(31)
    await sessions.find(secret, acts=True)
    assert len(provider.tokens) == 2


async def test_an_outage_is_lived_through_until_it_is_too_long(
    sessions: Sessions, clock: ManualClock, provider: Provider
) -> None:
    secret = await sessions.begin(PERSON)
    provider.problem = UnavailableError("it does not answer")
    for _ in range(10):
        clock.advance(65)
        await sessions.find(secret, acts=True)
    clock.advance(11)
    with pytest.raises(SignInRequiredError, match="has not answered"):
        await sessions.find(secret, acts=True)
    provider.problem = None
    clock.advance(31)
    assert (await sessions.find(secret, acts=True)).name == "e-2"  # it was not ended: the provider is back


async def test_without_a_refresh_token_a_session_ends_with_the_provider_s_word(
    sessions: Sessions, clock: ManualClock, provider: Provider
) -> None:
    secret = await sessions.begin(replace(PERSON, refresh_token=None, lifetime_seconds=300.0))
    clock.advance(299)
    await sessions.find(secret, acts=True)
    clock.advance(1)
    with pytest.raises(SignInRequiredError):
        await sessions.find(secret, acts=True)
    assert provider.tokens == []


async def test_a_session_that_the_provider_ended_is_gone_while_it_is_asked(
    sessions: Sessions, clock: ManualClock, provider: Provider
) -> None:
    secret = await sessions.begin(PERSON)
    clock.advance(61)
    provider.wait_for = asyncio.Event()
    asking = asyncio.create_task(sessions.find(secret, acts=True))
    await provider.asked.wait()
    assert await sessions.end_of_provider("s-2", None) == 1
    provider.wait_for.set()
    with pytest.raises(SignInRequiredError, match="ended meanwhile"):
        await asking


async def test_the_provider_ends_one_session_or_all_of_a_person(sessions: Sessions) -> None:
    first = await sessions.begin(PERSON)
    second = await sessions.begin(replace(PERSON, session="p-3"))
    assert await sessions.end_of_provider("s-2", "p-3") == 1
    assert (await sessions.find(first, acts=True)).name == "e-2"
    with pytest.raises(SignInRequiredError):
        await sessions.find(second, acts=True)
    assert await sessions.end_of_provider("s-2", None) == 1
    assert await sessions.end_of_provider("somebody else", None) == 0


async def test_a_session_that_nobody_comes_back_to_is_ended_and_audited_all_the_same(
    sessions: Sessions, database: Database, clock: ManualClock
) -> None:
    secret = await sessions.begin(PERSON)
    assert await sessions.forget_old() == 0
    clock.advance(1800)
    assert await sessions.forget_old() == 1
    assert await sessions.forget_old() == 0
    with pytest.raises(SignInRequiredError):
        await sessions.find(secret, acts=True)
    async with database.read() as tx:
        entries = (await tx.execute(select(tables.audit_entries.c.action, tables.audit_entries.c.outcome))).all()
    assert sorted(map(tuple, entries)) == [("session.begin", "signed_in"), ("session.lock", "locked")]


async def test_what_was_said_before_the_clock_was_set_back_is_asked_again(
    sessions: Sessions, clock: ManualClock, provider: Provider
) -> None:
    """A role that was taken away meanwhile would be good until the clock is there again."""
    secret = await sessions.begin(PERSON)
    clock.advance(1700)
    await sessions.find(secret, acts=False)
    clock.advance(-1200)
    await sessions.find(secret, acts=False)
    assert provider.tokens == ["token-0", "token-1"]


@pytest.mark.parametrize("changes", [{"refresh_token": seal(new_secret(), "token-9")}, {"provider_subject": None}])
async def test_whoever_cannot_be_asked_about_is_let_in_no_longer(
    sessions: Sessions, clock: ManualClock, provider: Provider, database: Database, changes: dict[str, Any]
) -> None:
    """Whoever writes to the database has nobody vouched for by another one's token, nor by none."""
    secret = await sessions.begin(PERSON)
    async with database.write() as tx:
        await tx.execute(tables.sessions.update().values(**changes))
    clock.advance(61)
    with pytest.raises(SignInRequiredError, match="cannot be asked") as caught:
        await sessions.find(secret, acts=True)
    assert (caught.value.rule, provider.tokens) == ("P29", [])
    async with database.read() as tx:
        assert (await tx.execute(select(tables.sessions))).all() == []


def test_a_refresh_token_opens_under_its_own_secret_alone() -> None:
    secret, other = new_secret(), new_secret()
    sealed = seal(secret, "token")
    assert unseal(secret, sealed) == "token"
    assert unseal(other, sealed) is None
    assert unseal(secret, sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert unseal(secret, b"") is None
    assert is_secret(secret)
    assert not is_secret(hash_of(secret))
    assert not any(map(is_secret, ("", "a" * 42, "a" * 44, "ä" * 43, "a" * 42 + "\n")))


async def unvouched(database: Database) -> dict[str, bool]:
    """By person, whether nobody answers for them."""
    async with database.read() as tx:
        rows = await tx.execute(select(tables.people.c.person, tables.people.c.unvouched_since))
        return {row.person: row.unvouched_since is not None for row in rows}


@pytest.mark.parametrize("says", ["refuses", "names somebody else"])
async def test_whoever_the_provider_takes_its_word_back_for_is_asked_to_examine_nothing(
    sessions: Sessions, clock: ManualClock, provider: Provider, database: Database, says: str
) -> None:
    secret = await sessions.begin(PERSON)
    assert await unvouched(database) == {"e-2": False}
    clock.advance(61)
    if says == "refuses":
        provider.problem = SignInRequiredError("P29", "refuses")
    else:
        provider.says = replace(BORIS, name="e-3")
    with pytest.raises(SignInRequiredError, match=says):
        await sessions.find(secret, acts=True)
    assert await unvouched(database) == {"e-2": True}
    await sessions.begin(PERSON)
    assert await unvouched(database) == {"e-2": False}


async def test_so_is_whoever_s_session_the_provider_ends(sessions: Sessions, database: Database) -> None:
    await sessions.begin(PERSON)
    await sessions.begin(replace(PERSON, account=replace(BORIS, name="e-4"), subject="s-4", session="p-4"))
    assert await sessions.end_of_provider("s-2", None) == 1
    assert await unvouched(database) == {"e-2": True, "e-4": False}


async def test_and_nobody_for_whom_it_does_not_say_so(
    sessions: Sessions, clock: ManualClock, database: Database
) -> None:
    """A session that locks, is over or is signed out of says nothing of who works here."""
    secret = await sessions.begin(PERSON)
    await sessions.end(secret)
    await sessions.begin(PERSON)
    clock.advance(13 * 3600)
    assert await sessions.forget_old() == 1
    assert await unvouched(database) == {"e-2": False}


async def test_a_session_of_a_local_account_is_good_in_the_demo_alone(
    sessions: Sessions, clock: ManualClock, provider: Provider, database: Database
) -> None:
    """A database of a demo that is put to real use, or a row that somebody wrote into it."""
    of_the_demo = Sessions(database, AuditLog(clock), clock, SETTINGS, provider, has_local_accounts=True)
    secret = await of_the_demo.begin(LOCAL)
    with pytest.raises(SignInRequiredError, match="no local accounts") as caught:
        await sessions.find(secret, acts=True)
    assert caught.value.rule == "P29"
    async with database.read() as tx:
        assert (await tx.execute(select(tables.sessions))).all() == []
    with pytest.raises(SignInRequiredError, match="no local accounts"):
        await sessions.begin(LOCAL)


@pytest.mark.parametrize(
    "changes", [{"disabled_at": ManualClock().now()}, {"person": "e-9"}, {"login": "another"}], ids=min
)
async def test_a_session_is_good_as_long_as_its_local_account_is_what_it_was(
    clock: ManualClock, database: Database, changes: dict[str, Any]
) -> None:
    """Also where it is disabled while somebody signs in, between password and session: nothing else ends that."""
    of_the_demo = Sessions(database, AuditLog(clock), clock, SETTINGS, None, has_local_accounts=True)
    account = LocalAccountRecord(
        login="boris",
        person="e-2",
        roles=["supervisor"],
        certificates={},
        password_hash="none",
        failed_sign_ins=0,
        locked_until=None,
        disabled_at=None,
        created_at=clock.now(),
        changed_at=clock.now(),
    )
    async with database.write() as tx:
        await people.add_account(tx, account)
    secret = await of_the_demo.begin(LOCAL)
    assert (await of_the_demo.find(secret, acts=True)).name == "e-2"
    async with database.write() as tx:
        await tx.execute(tables.local_accounts.update().values(**changes))
    with pytest.raises(SignInRequiredError, match="disabled") as caught:
        await of_the_demo.find(secret, acts=True)
    assert caught.value.rule == "P29"
    async with database.read() as tx:
        assert (await tx.execute(select(tables.sessions))).all() == []


@pytest.mark.parametrize("person", [*sorted(ACTORS_OF_OURS), " System ", "token/abc"])
async def test_nobody_signs_in_as_one_of_our_own_actors(sessions: Sessions, database: Database, person: str) -> None:
    with pytest.raises(SignInRequiredError, match="uses for itself") as caught:
        await sessions.begin(replace(PERSON, account=replace(BORIS, name=person)))
    assert caught.value.rule == "P29"
    async with database.read() as tx:
        assert (await tx.execute(select(tables.sessions))).all() == []
