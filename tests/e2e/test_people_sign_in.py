"""The daemon outside the demo, as a process: nobody is served who has not signed in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from rtcc_bridge.clock import SystemClock
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.policy.policy_signatures import Signer
from tests.e2e.conftest import Place
from tests.e2e.program import start
from tests.integration.pipeline import until
from tests.node_provider import NodeProvider, node_provider
from tests.policy_kit import SignedPolicy
from tests.ports import free_port
from tests.sign_in_kit import HOME, Browser
from tests.signing_keys import key_pair

pytestmark = pytest.mark.once

ANNA = {
    "preferred_username": "anna",
    "employee": "E-1",
    "groups": ["fusion-analysts"],
    "training": [f"{kind}={datetime.now(UTC).date()}" for kind in CertificateKind],
}


def production(place: Place, provider: NodeProvider, policy: SignedPolicy, operations_port: int) -> Path:
    """The place's settings as an agency has them."""
    authority = key_pair(place.folder / "authority")
    content: dict[str, Any] = yaml.safe_load(place.settings_file.read_text())
    content["profile"] = "production"
    content["web"]["public_url"] = HOME
    content["operations"] = {"port": operations_port}
    content["identity"] = provider.identity()
    content["authority"] = {"signing_key_file": str(authority.private), "public_keys_file": str(authority.public)}
    content["policy"] = {
        "file": str(policy.file),
        "administrator_key_file": str(policy.keys[Signer.ADMINISTRATOR].public),
        "city_key_file": str(policy.keys[Signer.CITY].public),
    }
    file = place.folder / "production.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@asynccontextmanager
async def answering_daemon(settings: Path, place: Place, operations_port: int) -> AsyncIterator[None]:
    """One that never gets ready: the gallery of a demo is searched in no agency (P28)."""

    async def answers() -> bool:
        try:
            async with aiohttp.request("GET", f"http://127.0.0.1:{operations_port}/healthz") as answer:
                return answer.status == HTTPStatus.OK
        except aiohttp.ClientError:
            return False

    program = await start(["serve", "--config", str(settings)], place.log)
    try:
        await until(answers)
        yield
    finally:
        program.terminate()
        await program.wait()


async def test_a_person_signs_in_at_the_daemon(
    enrolled_place: Place, http: aiohttp.ClientSession, provider_nursery: str
) -> None:
    place = enrolled_place
    policy = SignedPolicy.make(place.folder / "policy", SystemClock())
    policy.sign()
    operations_port = free_port()
    async with node_provider(provider_nursery, f"{place.address}/sign-in/back-channel-logout") as provider:
        settings = production(place, provider, policy, operations_port)
        async with answering_daemon(settings, place, operations_port):
            browser = Browser(http, place.address)
            answer = await browser.ask("/")
            assert (answer.status, answer.headers["Location"]) == (303, "/sign-in?back=%2F")
            assert (await browser.api("/incidents", **{"X-Demo-Account": "analyst"})).status == 401
            await provider.knows("anna", **ANNA)
            assert (await provider.sign_in(browser, "anna")).headers["Location"] == "/"
            answer = await browser.ask("/")
            assert (answer.status, "Signed in as anna" in await answer.text()) == (200, True)
            assert (await browser.api("/incidents")).status == 200
            answer = await browser.api("/probes")
            assert (answer.status, (await answer.json(content_type=None))["rule"]) == (403, "P10")
            async with http.get(f"{place.address}/api/v1/incidents") as past_the_proxy:
                assert past_the_proxy.status == 403
