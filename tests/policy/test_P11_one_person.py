"""P11: one person with two accounts is one person, for every rule that wants another one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Role
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.probe_kit import CERTIFIED
from tests.website import Website, running_site, still_form

PASSWORD = "correct horse battery"
ADMINISTRATOR = DEMO_ACCOUNTS["administrator"]
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path, identity={"role_switch": False}) as running:
        yield running


async def signed_in(site: Website, login: str) -> dict[str, str]:
    """The headers of a person who has signed in with a local account."""
    fields = {"login": login, "password": PASSWORD}
    async with site.client.post("/sign-in", data=fields, headers=OWN_PAGE, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        return {**OWN_PAGE, "Cookie": f"rtcc_session={answer.cookies['rtcc_session'].value}"}


async def test_an_analyst_does_not_approve_their_own_search_under_another_account(site: Website) -> None:
    accounts = site.services.people.accounts
    assert accounts is not None
    assert set(CERTIFIED) == set(CertificateKind)
    await accounts.add(ADMINISTRATOR, "anna", [Role.ANALYST], PASSWORD, person="E-17", certificates=CERTIFIED)
    await accounts.add(ADMINISTRATOR, "anna.admin", [Role.SUPERVISOR], PASSWORD, person=" e-17")
    await accounts.add(ADMINISTRATOR, "boris", [Role.SUPERVISOR], PASSWORD, person="E-18")
    await site.report("INC-1")
    anna, again, boris = [await signed_in(site, login) for login in ("anna", "anna.admin", "boris")]
    attach = "/api/v1/incidents/INC-1/probes"
    async with site.client.post(attach, data=still_form(), headers=anna) as answer:
        probe = (await answer.json())["probeId"]
    async with site.client.post(f"/api/v1/probes/{probe}/face", json={"number": 1}, headers=anna) as answer:
        assert answer.status == 200
    async with site.client.post(f"/api/v1/probes/{probe}/approve", json={}, headers=again) as answer:
        assert (answer.status, (await answer.json(content_type=None))["rule"]) == (403, "P01")
    async with site.client.post(f"/api/v1/probes/{probe}/approve", json={}, headers=boris) as answer:
        assert answer.status == 200
    [entry] = [one for one in await site.kit.audited("probe.approve") if one["outcome"] == "refused"]
    assert entry["actor"] == "e-17"
