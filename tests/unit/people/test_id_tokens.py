"""Tokens that are not what they should be: forged, expired, for somebody else, for something else."""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.people.id_tokens import LOGOUT_EVENT, InvalidTokenError, TokenChecker
from rtcc_bridge.people.provider_documents import ProviderDocuments
from tests.doubles import ManualClock
from tests.unit.people.provider_answers import ISSUER, KEY, SETTINGS, Published, claims, public, signed

SAME_FOR_ALL = RSAKey.import_key({name: value for name, value in KEY.as_dict(private=True).items() if name != "alg"})
OTHER = RSAKey.generate_key(2048, parameters={"kid": "two", "use": "sig", "alg": "RS256"})
CURVE = ECKey.generate_key("P-256", parameters={"kid": "curve", "use": "sig", "alg": "ES256"})


class Watch:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def checker(clock: ManualClock, http: Published | None = None, watch: Watch | None = None) -> TokenChecker:
    published = http or Published(public(KEY, CURVE))
    return TokenChecker(SETTINGS, ProviderDocuments(SETTINGS, published, watch or Watch()), clock)


async def test_a_token_that_is_what_it_should_be_is_believed(clock: ManualClock) -> None:
    assert (await checker(clock).id_token(signed(claims(clock)), "n"))["sub"] == "s-1"
    assert (await checker(clock).id_token(signed(claims(clock, aud=["x", "client"], azp="client")), "n"))[
        "sub"
    ] == "s-1"
    assert (await checker(clock).id_token(signed(claims(clock), CURVE, alg="ES256"), "n"))["sub"] == "s-1"
    assert (await checker(clock).id_token(signed(claims(clock, nonce=None)), None))["sub"] == "s-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": f"{ISSUER}/"},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"aud": {"client": 1}},
        {"azp": "another"},
        {"nonce": "m"},
        {"nonce": None},
        {"nonce": ["n"]},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
    ],
)
async def test_a_token_with_a_claim_that_does_not_fit_is_not(clock: ManualClock, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError):
        await checker(clock).id_token(signed(claims(clock, **changes)), "n")


@pytest.mark.parametrize(("seconds", "believed"), [(299, True), (359, True), (362, False), (-59, True), (-62, False)])
async def test_a_token_has_its_time(clock: ManualClock, seconds: float, believed: bool) -> None:
    """A minute is left for clocks that differ."""
    token = signed(claims(clock))
    clock.advance(seconds)
    if believed:
        await checker(clock).id_token(token, "n")
    else:
        with pytest.raises(InvalidTokenError, match="cannot be believed"):
            await checker(clock).id_token(token, "n")


def _part(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def unsigned(content: dict[str, Any], algorithm: str = "none") -> str:
    head = {"alg": algorithm, "typ": "JWT", "kid": "one"}
    return f"{_part(json.dumps(head).encode())}.{_part(json.dumps(content).encode())}."


def with_the_public_key_as_secret(content: dict[str, Any]) -> str:
    """Whoever takes the algorithm from the token checks it with what everybody knows."""
    head = unsigned(content, "HS256").rstrip(".")
    return f"{head}.{_part(hmac.digest(KEY.as_pem(private=False), head.encode(), 'sha256'))}"


async def test_forged_tokens_are_not_believed(clock: ManualClock) -> None:
    content = claims(clock)
    good = signed(content)
    head, body, seal = good.split(".")
    changed = urlsafe_b64encode(json.dumps(content | {"sub": "s-2"}).encode()).rstrip(b"=").decode()
    forged = [
        signed(content, OTHER),
        signed(content, OTHER, kid="one"),
        signed(content, OTHER, kid=None),
        f"{head}.{changed}.{seal}",
        f"{head}.{body}.",
        f"{head}.{body}",
        unsigned(content),
        with_the_public_key_as_secret(content),
        signed(content, SAME_FOR_ALL, alg="RS512"),
        signed(content, typ="at+jwt"),
        signed(content, typ="logout+jwt"),
        jws.serialize_compact({"alg": "RS256", "kid": KEY.kid}, b"[]", KEY),
        good[:-4],
        "",
        "a.b.c",
        "ü.ü.ü",
        "x" * 100_000,
    ]
    for token in forged:
        with pytest.raises(InvalidTokenError):
            await checker(clock).id_token(token, "n")


async def test_keys_are_fetched_anew_for_a_key_that_is_not_known_and_not_too_often(clock: ManualClock) -> None:
    http, watch = Published(public(KEY)), Watch()
    tokens = checker(clock, http, watch)
    await tokens.id_token(signed(claims(clock)), "n")
    http.keys = public(OTHER)
    for _ in range(5):
        with pytest.raises(InvalidTokenError):
            await tokens.id_token(signed(claims(clock), OTHER), "n")
    assert http.asked.count(f"{ISSUER}/keys") == 1
    watch.seconds += 11
    await tokens.id_token(signed(claims(clock), OTHER), "n")
    with pytest.raises(InvalidTokenError):  # the old key was withdrawn
        await tokens.id_token(signed(claims(clock)), "n")
    assert http.asked.count(f"{ISSUER}/keys") == 2


async def test_keys_are_not_kept_for_ever(clock: ManualClock) -> None:
    http, watch = Published(public(KEY)), Watch()
    tokens = checker(clock, http, watch)
    await tokens.id_token(signed(claims(clock)), "n")
    http.keys = public(OTHER)
    watch.seconds += 3601
    with pytest.raises(InvalidTokenError):
        await tokens.id_token(signed(claims(clock)), "n")


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["text"],
        [{"kty": "oct", "k": "c2VjcmV0", "kid": "one"}],
        [{"kty": "RSA", "kid": "one"}],
        [{**KEY.as_dict(private=False), "use": "enc"}],
        [{**KEY.as_dict(private=False), "n": str(KEY.as_dict(private=False)["n"])[:171]}],
    ],
)
async def test_without_a_usable_key_nobody_is_let_in(clock: ManualClock, keys: list[Any]) -> None:
    with pytest.raises(UnavailableError):
        await checker(clock, Published(keys)).id_token(signed(claims(clock)), "n")


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://identity.example.org/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "http://identity.example.org/end"},
    ],
)
async def test_a_discovery_document_that_does_not_fit_is_not_believed(
    clock: ManualClock, changes: dict[str, Any]
) -> None:
    with pytest.raises(UnavailableError):
        await ProviderDocuments(SETTINGS, Published(public(KEY), **changes)).endpoints()


def farewell(clock: ManualClock, **changes: Any) -> dict[str, Any]:
    found = claims(clock, nonce=None, sid="p-1", events={LOGOUT_EVENT: {}}, jti="j") | changes
    return {name: value for name, value in found.items() if value is not None}


async def test_a_logout_token_names_whose_sessions_end(clock: ManualClock) -> None:
    tokens = checker(clock)
    assert await tokens.logout_token(signed(farewell(clock), typ="logout+jwt")) == ("s-1", "p-1")
    assert await tokens.logout_token(signed(farewell(clock, sub=None))) == (None, "p-1")
    assert await tokens.logout_token(signed(farewell(clock, sid=None, exp=None))) == ("s-1", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"events": None},
        {"events": {}},
        {"events": {LOGOUT_EVENT: True}},
        {"events": [LOGOUT_EVENT]},
        {"nonce": "n"},
        {"sub": None, "sid": None},
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"iat": None},
    ],
)
async def test_a_logout_token_that_is_none_ends_nothing(clock: ManualClock, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError):
        await checker(clock).logout_token(signed(farewell(clock, **changes), typ="logout+jwt"))


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -62), ("iat", 62), ("nbf", 62)])
async def test_a_logout_token_whose_time_is_over_or_to_come_ends_nothing(
    clock: ManualClock, claim: str, seconds: int
) -> None:
    """One that says of itself that it is from tomorrow would be young until then."""
    content = farewell(clock, **{claim: int(clock.now().timestamp()) + seconds})
    with pytest.raises(InvalidTokenError):
        await checker(clock).logout_token(signed(content, typ="logout+jwt"))


async def test_a_logout_token_that_somebody_kept_ends_nothing(clock: ManualClock) -> None:
    token = signed(farewell(clock, exp=int(clock.now().timestamp()) + 9999), typ="logout+jwt")
    clock.advance(181)
    with pytest.raises(InvalidTokenError):
        await checker(clock).logout_token(token)


async def test_an_id_token_ends_nothing_and_a_logout_token_lets_nobody_in(clock: ManualClock) -> None:
    with pytest.raises(InvalidTokenError):
        await checker(clock).logout_token(signed(claims(clock)))
    with pytest.raises(InvalidTokenError):
        await checker(clock).id_token(signed(farewell(clock), typ="logout+jwt"), None)
