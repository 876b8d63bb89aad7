"""oidc-provider, the certified OpenID Connect provider for Node.js, as a process of its own on loopback."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.npm_tools import installed
from tests.ports import free_port
from tests.sign_in_kit import HOME, IDENTITY, Browser

FOLDER = Path(__file__).resolve().parent / "identity_provider"


@dataclass
class NodeProvider:
    """A running provider. people: who is known to it, by the account's name."""

    issuer: str
    process: asyncio.subprocess.Process

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


@asynccontextmanager
async def node_provider(logout_address: str) -> AsyncIterator[NodeProvider]:
    """logout_address: where it tells us that a session has ended. Skips the test where there is no Node.js."""
    folder = await asyncio.to_thread(installed, FOLDER, ("provider.mjs",))
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
    issuer = f"http://127.0.0.1:{port}"
    settings = json.dumps({"issuer": issuer, "port": port, "client": client})
    node = shutil.which("node")
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        node, "provider.mjs", settings, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        said = ""
        async with asyncio.timeout(60):
            while "listening" not in said:
                line = (await process.stdout.readline()).decode()
                assert line, f"the provider ended: {said}"
                said += line
        yield NodeProvider(issuer, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
