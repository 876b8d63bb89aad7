"""Service tokens: what they are good for, and until when."""

from datetime import timedelta

import pytest

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.errors import InvalidInputError, NotFoundError, SignInRequiredError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.service_tokens import NewToken, ServiceTokens
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.policy.permissions import MACHINE_DEEDS, Deed, may
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock

ADMINISTRATOR = DEMO_ACCOUNTS["administrator"]


@pytest.fixture
def tokens(database: Database, clock: ManualClock, metrics: Metrics) -> ServiceTokens:
    audit = AuditLog(clock)
    return ServiceTokens(database, audit, clock, RefusalLog(database, audit, metrics))


async def create(tokens: ServiceTokens, clock: ManualClock, *deeds: Deed, days: float = 1) -> NewToken:
    return await tokens.create(ADMINISTRATOR, "the wall", deeds, clock.now() + timedelta(days=days))


async def test_a_token_is_good_for_its_deeds_and_no_other(tokens: ServiceTokens, clock: ManualClock) -> None:
    account = await tokens.find((await create(tokens, clock, Deed.WATCH_FLOOR)).text)
    assert {deed for deed in Deed if may(account, deed)} == {Deed.WATCH_FLOOR}
    assert account.roles == frozenset()


@pytest.mark.parametrize("deed", sorted(set(Deed) - MACHINE_DEEDS))
async def test_no_token_decides_or_shows_a_person(tokens: ServiceTokens, clock: ManualClock, deed: Deed) -> None:
    with pytest.raises(InvalidInputError, match="watch-floor"):
        await create(tokens, clock, deed)
    with pytest.raises(InvalidInputError):
        await create(tokens, clock, Deed.WATCH_FLOOR, deed)


async def test_a_token_ends(tokens: ServiceTokens, clock: ManualClock) -> None:
    text = (await create(tokens, clock, Deed.WATCH_FLOOR)).text
    clock.advance(24 * 3600 - 1)
    await tokens.find(text)
    clock.advance(1)
    with pytest.raises(SignInRequiredError):
        await tokens.find(text)


async def test_a_revoked_token_is_good_for_nothing_at_once(tokens: ServiceTokens, clock: ManualClock) -> None:
    new = await create(tokens, clock, Deed.WATCH_FLOOR)
    await tokens.revoke(ADMINISTRATOR, new.record.token_id)
    with pytest.raises(SignInRequiredError):
        await tokens.find(new.text)
    with pytest.raises(NotFoundError):
        await tokens.revoke(ADMINISTRATOR, new.record.token_id)


async def test_nothing_else_is_a_token(tokens: ServiceTokens, clock: ManualClock) -> None:
    text = (await create(tokens, clock, Deed.WATCH_FLOOR)).text
    other = (await create(tokens, clock, Deed.SEE_HEALTH)).text
    swapped = text[:22] + other[22:]
    for wrong in ("", text[:-1], text + "a", text.upper(), swapped, "rtcc_" + "0" * 16 + "_" + "a" * 43, "x" * 9999):
        with pytest.raises(SignInRequiredError):
            await tokens.find(wrong)


@pytest.mark.parametrize("days", [0, -1, 367])
async def test_a_token_ends_in_the_future_and_within_a_year(
    tokens: ServiceTokens, clock: ManualClock, days: float
) -> None:
    with pytest.raises(InvalidInputError):
        await create(tokens, clock, Deed.WATCH_FLOOR, days=days)


async def test_the_token_itself_is_kept_nowhere(tokens: ServiceTokens, clock: ManualClock) -> None:
    new = await create(tokens, clock, Deed.WATCH_FLOOR)
    await tokens.find(new.text)
    [record] = await tokens.every(ADMINISTRATOR)
    assert record.used_at == clock.now()
    assert new.text.rpartition("_")[2] not in str(record)
