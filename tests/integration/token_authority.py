"""An authority for the tests of OAUTHBEARER: a token endpoint (OAuth 2.0 client credentials) on loopback, with TLS."""

import asyncio
import json
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.kafka_cluster.certificates import TestAuthority

CLIENT = "rtcc consumer"
SECRET = "a secret: with/odd+signs"


class TokenAuthority:
    """Gives tokens of Apache Kafka's unsigned kind to CLIENT for SECRET.

    forms, logins: what was asked with, in order. `instead` answers in its place when it is set.
    """

    def __init__(self, endpoint: str, ca_file: Path, life_seconds: float) -> None:
        self.endpoint = endpoint
        self.ca_file = ca_file
        self.life_seconds = life_seconds
        self.forms: list[dict[str, str]] = []
        self.logins: list[str] = []
        self.instead: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The section kafka.sasl.token for this authority."""
        found = {"endpoint": self.endpoint, "client_id": CLIENT, "client_secret": SECRET, "ca_file": self.ca_file}
        return found | changes

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The endpoint."""
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        self.logins.append(request.headers.get("Authorization", ""))
        if self.instead is not None:
            return await self.instead(request)
        token = unsigned_token("alice", self.life_seconds, len(self.forms))
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.life_seconds})


def unsigned_token(subject: str, life_seconds: float, number: int) -> str:
    """A JSON Web Token without a signature, which Apache Kafka takes where no validator is configured."""
    now = time.time()
    claims = {"sub": subject, "iat": int(now), "exp": now + life_seconds, "jti": str(number)}
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


@asynccontextmanager
async def token_authority(certificates: TestAuthority, life_seconds: float = 3600) -> AsyncIterator[TokenAuthority]:
    """Serves on a free port of loopback; its certificate is signed by `certificates`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(await asyncio.to_thread(certificates.issue, "token-endpoint"))
    authority = TokenAuthority("", certificates.ca_file, life_seconds)
    app = web.Application()
    app.router.add_post("/token", authority.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        authority.endpoint = f"https://127.0.0.1:{runner.addresses[0][1]}/token"
        yield authority
    finally:
        await runner.cleanup()


def _part(content: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
