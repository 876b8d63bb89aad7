"""Tokens for OAUTHBEARER from an authority's endpoint: asked for once, renewed in time; what is said without one."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from rtcc_bridge.broker.tokens import ClientCredentials, TokenUnavailableError
from rtcc_bridge.kafka_access import TokenSettings
from tests.integration.secured_kafka import private_file
from tests.integration.token_authority import CLIENT, SECRET, TokenAuthority, token_authority
from tests.kafka_cluster.certificates import TestAuthority


class Watch:
    """Seconds that go on when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[TokenAuthority]:
    async with token_authority(TestAuthority(tmp_path / "authority")) as serving:
        yield serving


def credentials(authority: TokenAuthority, watch: Watch | None = None, **changes: object) -> ClientCredentials:
    return ClientCredentials(TokenSettings.model_validate(authority.settings(**changes)), watch or Watch())


async def refusal(provider: ClientCredentials, capfd: pytest.CaptureFixture[str]) -> str:
    """What is said; the secret, or what it is sent as, is nowhere."""
    with pytest.raises(TokenUnavailableError) as raised:
        await provider.token()
    told = [repr(error) + str(error) for error in _causes(raised.value)]
    sent = base64.b64encode(b"rtcc+consumer:a+secret%3A+with%2Fodd%2Bsigns").decode()
    for hidden in (SECRET, sent):
        assert not any(hidden in words for words in (*told, *capfd.readouterr()))
    return str(raised.value)


async def test_a_token_is_asked_for_as_the_standard_says(authority: TokenAuthority) -> None:
    assert (await credentials(authority, scope="kafka").token()).count(".") == 2
    assert authority.forms == [{"grant_type": "client_credentials", "scope": "kafka"}]
    method, _, sent = authority.logins[0].partition(" ")
    assert method == "Basic"
    assert base64.b64decode(sent) == b"rtcc+consumer:a+secret%3A+with%2Fodd%2Bsigns"


async def test_a_token_is_kept_until_shortly_before_its_end(authority: TokenAuthority) -> None:
    watch = Watch()
    provider = credentials(authority, watch)
    first, *others = await asyncio.gather(*(provider.token() for _ in range(5)))
    assert others == [first] * 4
    watch.seconds += 3600 - 31
    assert await provider.token() == first
    assert len(authority.forms) == 1
    watch.seconds += 2
    second = await provider.token()
    assert second != first
    assert len(authority.forms) == 2


async def test_a_short_token_is_kept_for_half_of_its_life(authority: TokenAuthority) -> None:
    watch = Watch()
    authority.life_seconds = 20
    provider = credentials(authority, watch)
    first = await provider.token()
    watch.seconds += 9
    assert await provider.token() == first
    watch.seconds += 2
    assert await provider.token() != first


async def test_the_secret_in_the_file_is_read_for_each_token(
    authority: TokenAuthority, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = private_file(tmp_path / "secret", "first\n")
    watch = Watch()
    provider = credentials(authority, watch, client_secret=None, client_secret_file=file)
    await provider.token()
    private_file(file, "second\n")
    watch.seconds += 3600
    await provider.token()
    used = [base64.b64decode(login.removeprefix("Basic ")) for login in authority.logins]
    assert used == [b"rtcc+consumer:first", b"rtcc+consumer:second"]
    file.unlink()
    watch.seconds += 3600
    said = await refusal(provider, capfd)
    assert "kafka.sasl.token.client_secret_file" in said
    assert "Name the file that holds the secret" in said


async def test_an_answer_in_pieces_is_read_to_its_end(authority: TokenAuthority) -> None:
    async def in_pieces(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for piece in (b'{"access_', b'token": "whole", ', b'"expires_in": 60}'):
            await answer.write(piece)
            await asyncio.sleep(0.05)  # so that the pieces travel alone
        await answer.write_eof()
        return answer

    authority.instead = in_pieces
    assert await credentials(authority).token() == "whole"


async def test_a_refusal_says_what_to_do(authority: TokenAuthority, capfd: pytest.CaptureFixture[str]) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "invalid_client", "error_description": f"not {SECRET}"}, status=401)

    authority.instead = refuse
    provider = credentials(authority)
    said = await refusal(provider, capfd)
    assert f"{authority.endpoint} refuses client {CLIENT} a token (HTTP 401, invalid_client)" in said
    assert "check kafka.sasl.token.client_id and its secret" in said
    authority.instead = None
    assert await provider.token(), "the next time it is asked again"


async def test_an_authority_that_does_not_answer_is_not_waited_for(
    authority: TokenAuthority, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = asyncio.Event()

    async def never(_request: web.Request) -> web.StreamResponse:
        await ended.wait()
        raise AssertionError

    authority.instead = never
    said = await refusal(credentials(authority, timeout_seconds=0.3), capfd)
    assert f"no token from {authority.endpoint} (no answer within 0.3 s)" in said
    assert "kafka.sasl.token.endpoint" in said


async def test_an_unknown_certificate_of_the_endpoint_is_told(
    authority: TokenAuthority, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = TestAuthority(tmp_path / "other")
    said = await refusal(credentials(authority, ca_file=other.ca_file), capfd)
    assert "certificate" in said.lower()
    assert "kafka.sasl.token.ca_file" in said
    assert authority.forms == [], "the secret was not sent"


@pytest.mark.parametrize("body", ["", "[]", '{"access_token": ""}', '{"access_token": "x", "expires_in": "soon"}'])
async def test_an_answer_without_a_token_is_refused(
    authority: TokenAuthority, body: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def other(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    authority.instead = other
    assert "answered without a usable token" in await refusal(credentials(authority), capfd)


async def test_the_endpoint_sends_nobody_elsewhere(
    authority: TokenAuthority, capfd: pytest.CaptureFixture[str]
) -> None:
    async def elsewhere(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(authority.endpoint + "?again")

    authority.instead = elsewhere
    assert "HTTP 307" in await refusal(credentials(authority), capfd)
    assert len(authority.forms) == 1


def _causes(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *_causes(error.__cause__), *_causes(error.__context__)]
