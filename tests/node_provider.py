"""oidc-provider, the certified OpenID Connect provider for Node.js, on loopback: one for each test, in one process."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pytest
from aiohttp import ClientSession

from tests.npm_tools import installed
from tests.ports import free_port
from tests.sign_in_kit import HOME, IDENTITY, Browser

FOLDER = Path(__file__).resolve().parent / "identity_provider"
_START_SECONDS: Final = 60.0
_LOOK_AGAIN_SECONDS: Final = 0.05


@dataclass
class NodeProvider:
    """A running provider. nursery: the address of the process that it runs in."""

    issuer: str
    nursery: str
    _runs: bool = True

    def identity(self, **changes: Any) -> dict[str, Any]:
        """The section of the settings that names it."""
        return {**IDENTITY, "issuer": self.issuer, **changes}

    async def knows(self, name: str, **claims: Any) -> None:
        """From now on it says this of the person."""
        async with ClientSession() as http, http.put(f"{self.issuer}/people/{name}", json=claims) as answer:
            assert answer.status == 204

    async def forgets(self, name: str) -> None:
        async with ClientSession() as http, http.delete(f"{self.issuer}/people/{name}") as answer:
            assert answer.status == 204

    async def stop(self) -> None:
        """From now on nothing listens at its address."""
        if self._runs:
            self._runs = False
            async with (
                ClientSession() as http,
                http.delete(f"{self.nursery}/{self.issuer.rpartition(':')[2]}") as answer,
            ):
                assert answer.status == 204

    async def sign_in(self, browser: Browser, name: str, back: str = "/", amr: str = "pwd mfa") -> Any:
        """Everything that happens between the button on our page and our page again. Returns our last answer."""
        answer = await browser.ask(f"/sign-in/provider?back={back}")
        assert answer.status == 303, await answer.text()
        for _ in range(8):
            address = answer.headers["Location"]
            if address.startswith(HOME):
                return await browser.ask(address)
            if "/interaction/" in address:
                address = f"{address}?account={name}&amr={amr.replace(' ', '+')}"
            address = address if address.startswith("http") else f"{self.issuer}{address}"
            answer = await browser.ask(address)
            assert answer.status in {302, 303}, await answer.text()
        raise AssertionError("the provider goes round in circles")


@pytest.fixture(scope="module")
def provider_nursery() -> Iterator[str]:
    """The address of a process that the tests of a file start providers in. Skips them where there is no Node.js."""
    folder = installed(FOLDER, ("provider.mjs",))
    node = shutil.which("node")
    assert node is not None
    port = free_port()
    with tempfile.TemporaryFile() as said:  # a pipe that nobody reads would fill up
        process = subprocess.Popen([node, "provider.mjs", str(port)], cwd=folder, stdout=said, stderr=said)
        try:
            limit = time.monotonic() + _START_SECONDS
            while b"listening" not in (so_far := _all_of(said)):
                assert process.poll() is None, f"the process of the providers ended: {so_far.decode()}"
                assert time.monotonic() < limit, f"the process of the providers does not listen: {so_far.decode()}"
                time.sleep(_LOOK_AGAIN_SECONDS)  # between two looks at what it has said; the limit above ends the wait
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _all_of(file: IO[bytes]) -> bytes:
    """What another process, which shares the place in the file, has written so far."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


@asynccontextmanager
async def node_provider(nursery: str, logout_address: str) -> AsyncIterator[NodeProvider]:
    """A provider that knows nobody yet. logout_address: where it tells us that a session has ended."""
    port = free_port()
    client: Mapping[str, Any] = {
        "client_id": IDENTITY["client_id"],
        "client_secret": IDENTITY["client_secret"],
        "redirect_uris": [f"{HOME}/sign-in/callback"],
        "post_logout_redirect_uris": [f"{HOME}/sign-in"],
        "grant_types": ["authorization_code", "refresh_token"],
        "backchannel_logout_uri": logout_address,
        "backchannel_logout_session_required": True,
    }
    provider = NodeProvider(f"http://127.0.0.1:{port}", nursery)
    settings = {"issuer": provider.issuer, "port": port, "client": client}
    async with ClientSession() as http, http.post(nursery, json=settings) as answer:
        assert answer.status == 204
    try:
        yield provider
    finally:
        await provider.stop()
