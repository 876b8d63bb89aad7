"""A stand-in for a Transit engine: its HTTP interface as far as the program uses it, with AES-GCM behind it.

It is no OpenBao and no Vault: that those answer like it is taken from their documentation, and what they say of a
ciphertext that they do not open from their source (`keysutil/policy.go`, `transit/path_decrypt.go`).
"""

import base64
import binascii
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "a-token"


@dataclass
class TransitServer:
    """The state of the engine; `fail_with` makes it answer every request with that status. Without keys, the key of
    that name was deleted.
    """

    address: str = ""
    token: str = TOKEN
    keys: list[bytes] = field(default_factory=lambda: [AESGCM.generate_key(256)])
    min_decryption_version: int = 1
    fail_with: int | None = None
    requests: int = 0

    async def encrypt(self, request: web.Request) -> web.Response:
        plain = base64.b64decode((await request.json())["plaintext"], validate=True)
        nonce = secrets.token_bytes(12)
        sealed = nonce + AESGCM(self.keys[-1]).encrypt(nonce, plain, None)
        text = f"vault:v{len(self.keys)}:{base64.b64encode(sealed).decode()}"
        return web.json_response({"data": {"ciphertext": text, "key_version": len(self.keys)}})

    async def decrypt(self, request: web.Request) -> web.Response:
        _, named, text = (await request.json())["ciphertext"].split(":")
        version = int(named[1:])
        if not self.keys:
            return _refusal("encryption key not found")
        if version > len(self.keys):
            return _refusal("invalid ciphertext: version is too new")
        if version < self.min_decryption_version:
            return _refusal("ciphertext or signature version is disallowed by policy (too old)")
        try:
            sealed = base64.b64decode(text)
            plain = AESGCM(self.keys[version - 1]).decrypt(sealed[:12], sealed[12:], None)
        except binascii.Error:
            return _refusal("invalid ciphertext: could not decode base64")
        except InvalidTag:
            return _refusal("cipher: message authentication failed")
        return web.json_response({"data": {"plaintext": base64.b64encode(plain).decode()}})

    async def key(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"data": {"latest_version": len(self.keys), "min_decryption_version": self.min_decryption_version}}
        )

    async def rotate(self, _request: web.Request) -> web.Response:
        self.keys.append(AESGCM.generate_key(256))
        return web.Response(status=204)

    def guarded(self) -> Callable[[web.Request, web.RequestHandler], object]:
        @web.middleware
        async def check(request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
            self.requests += 1
            if self.fail_with is not None:
                return web.json_response({"errors": []}, status=self.fail_with)
            if request.headers.get("X-Vault-Token") != self.token:
                return web.json_response({"errors": ["permission denied"]}, status=403)
            return await handler(request)  # type: ignore[misc, no-any-return]  # aiohttp types no handlers

        return check  # type: ignore[return-value]  # as above


def _refusal(said: str) -> web.Response:
    return web.json_response({"errors": [said]}, status=400)


@asynccontextmanager
async def transit_server() -> AsyncIterator[TransitServer]:
    """A server on a loopback port, with one key."""
    server = TransitServer()
    app = web.Application(middlewares=[server.guarded()])  # type: ignore[list-item]  # as above
    app.router.add_post("/v1/transit/encrypt/rtcc-bridge", server.encrypt)
    app.router.add_post("/v1/transit/decrypt/rtcc-bridge", server.decrypt)
    app.router.add_get("/v1/transit/keys/rtcc-bridge", server.key)
    app.router.add_post("/v1/transit/keys/rtcc-bridge/rotate", server.rotate)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
