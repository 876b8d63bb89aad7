"""Whose answer is taken for whose sign-in, by a provider that looks at nothing itself: it redeems what it is sent."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.errors import SignInRequiredError, UnavailableError
from rtcc_bridge.people import provider as provider_module
from rtcc_bridge.people.id_tokens import InvalidTokenError
from rtcc_bridge.people.provider import IdentityProvider, OnTheWay
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.unit.people.provider_answers import ISSUER, KEY, SETTINGS, Published, claims, public, signed

HOME = "https://rtcc.example.org"


class Gullible(Published):
    """Answers each code with a token for `nonce`. sent: the codes. both: waits until so many codes are here."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(public(KEY), authorization_response_iss_parameter_supported=True)
        self.clock = clock
        self.nonce: str | None = None
        self.says: dict[str, Any] = {"amr": ["pwd", "mfa"]}
        self.sent: list[Mapping[str, str]] = []
        self.both: asyncio.Barrier | None = None
        self.instead: tuple[int, dict[str, Any] | None] | None = None

    async def post(self, url: str, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any] | None]:
        self.sent.append(form)
        if self.both is not None:
            await self.both.wait()
        if self.instead is not None:
            return self.instead
        return 200, {"id_token": signed(claims(self.clock, **{"nonce": self.nonce} | self.says))}


@dataclass(frozen=True)
class Begun:
    """A browser that is with the provider now."""

    cookie: str
    state: str
    nonce: str


@pytest.fixture
def http(clock: ManualClock) -> Gullible:
    return Gullible(clock)


@pytest.fixture
def provider(
    http: Gullible, database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> IdentityProvider:
    monkeypatch.setattr(provider_module, "ProviderHttp", lambda _settings: http)
    return IdentityProvider(SETTINGS, database, clock, f"{HOME}/sign-in/callback", HOME)


async def begin(provider: IdentityProvider) -> Begun:
    on_the_way: OnTheWay = await provider.depart("/incidents/INC-1")
    asked = parse_qs(urlsplit(on_the_way.address).query)
    return Begun(on_the_way.cookie, asked["state"][0], asked["nonce"][0])


def answer(state: str, **changes: str | None) -> dict[str, str]:
    found: dict[str, str | None] = {"code": "c", "state": state, "iss": ISSUER, **changes}
    return {name: value for name, value in found.items() if value is not None}


async def test_the_browser_that_began_comes_back(provider: IdentityProvider, http: Gullible) -> None:
    begun = await begin(provider)
    http.nonce = begun.nonce
    back = await provider.arrive(answer(begun.state), begun.cookie)
    assert (back.back, back.person.subject, back.person.account.name) == ("/incidents/INC-1", "s-1", "s-1")
    assert [form["code"] for form in http.sent] == ["c"]


async def test_the_answer_to_another_browser_s_sign_in_is_not_even_redeemed(
    provider: IdentityProvider, http: Gullible
) -> None:
    """Whoever gets a victim's browser to call with their own code would have it act under their account."""
    victim, attacker = await begin(provider), await begin(provider)
    http.nonce = victim.nonce  # the worst case: the provider lends itself to it
    for state in (attacker.state, victim.nonce, "", victim.state[:-1], f"{victim.state}A"):
        with pytest.raises(SignInRequiredError) as refused:
            await provider.arrive(answer(state), victim.cookie)
        assert refused.value.rule == "P29"
    assert http.sent == [], "the code would be used up, or taken for stolen"


@pytest.mark.parametrize("issuer", ["https://evil.example", f"{ISSUER}/", "", None])
async def test_the_answer_of_another_provider_is_not_redeemed(
    provider: IdentityProvider, http: Gullible, issuer: str | None
) -> None:
    begun = await begin(provider)
    http.nonce = begun.nonce
    with pytest.raises(SignInRequiredError):
        await provider.arrive(answer(begun.state, iss=issuer), begun.cookie)
    assert http.sent == []


@pytest.mark.parametrize("changes", [{"code": None}, {"error": "access_denied"}, {"code": None, "error": "login"}])
async def test_a_provider_that_says_no_lets_nobody_in(
    provider: IdentityProvider, http: Gullible, changes: dict[str, str | None]
) -> None:
    begun = await begin(provider)
    http.nonce = begun.nonce
    with pytest.raises(SignInRequiredError, match="did not let you in"):
        await provider.arrive(answer(begun.state, **changes), begun.cookie)
    assert http.sent == []


async def test_an_answer_that_comes_too_late_is_not_redeemed(
    provider: IdentityProvider, http: Gullible, clock: ManualClock
) -> None:
    begun = await begin(provider)
    http.nonce = begun.nonce
    clock.advance(601)
    with pytest.raises(SignInRequiredError):
        await provider.arrive(answer(begun.state), begun.cookie)
    assert http.sent == []


async def test_an_answer_is_redeemed_once(provider: IdentityProvider, http: Gullible) -> None:
    begun = await begin(provider)
    http.nonce = begun.nonce
    await provider.arrive(answer(begun.state), begun.cookie)
    with pytest.raises(SignInRequiredError):
        await provider.arrive(answer(begun.state), begun.cookie)
    assert len(http.sent) == 1


async def test_of_two_at_the_same_moment_with_one_answer_one_signs_in(
    provider: IdentityProvider, http: Gullible, database: Database
) -> None:
    begun = await begin(provider)
    http.nonce, http.both = begun.nonce, asyncio.Barrier(2)
    came = await asyncio.gather(
        *(provider.arrive(answer(begun.state), begun.cookie) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in came) == ["Return", "SignInRequiredError"]
    async with database.read() as tx:
        assert len((await tx.execute(tables.used_sign_ins.select())).all()) == 1


@pytest.mark.parametrize(
    ("instead", "error"),
    [
        ((400, {"error": "invalid_grant"}), SignInRequiredError),
        ((200, None), SignInRequiredError),
        ((401, {"error": "invalid_client"}), UnavailableError),
        ((503, None), UnavailableError),
    ],
)
async def test_without_a_token_nobody_is_let_in(
    provider: IdentityProvider, http: Gullible, instead: tuple[int, dict[str, Any] | None], error: type[Exception]
) -> None:
    begun = await begin(provider)
    http.instead = instead
    with pytest.raises(error):
        await provider.arrive(answer(begun.state), begun.cookie)


@pytest.mark.parametrize("instead", [{"access_token": "a"}, {"id_token": 5}, {"id_token": None}])
async def test_the_log_says_when_there_was_no_id_token(
    provider: IdentityProvider, http: Gullible, instead: dict[str, Any]
) -> None:
    """A provider that is not asked for `openid` gives none: operations find out why nobody gets in."""
    begun = await begin(provider)
    http.instead = (200, instead)
    with capture_logs() as logged, pytest.raises(InvalidTokenError):
        await provider.arrive(answer(begun.state), begun.cookie)
    assert [entry["why"] for entry in logged] == ["the answer holds no ID token"]


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ({"nonce": "another sign-in's"}, InvalidTokenError),
        ({"sub": "s" * 257}, InvalidTokenError),
        ({"amr": ["pwd"]}, SignInRequiredError),
    ],
)
async def test_a_token_that_does_not_fit_lets_nobody_in(
    provider: IdentityProvider, http: Gullible, says: dict[str, Any], error: type[Exception]
) -> None:
    begun = await begin(provider)
    http.nonce = begun.nonce
    http.says |= says
    with pytest.raises(SignInRequiredError) as refused:
        await provider.arrive(answer(begun.state), begun.cookie)
    assert type(refused.value) is error


async def test_whoever_is_asked_about_again_is_the_same_person(provider: IdentityProvider, http: Gullible) -> None:
    assert (await provider.refresh("token", "s-1")).account.name == "s-1"
    with pytest.raises(SignInRequiredError):
        await provider.refresh("token", "s-2")
