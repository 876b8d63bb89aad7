"""Over the API: what named people may let pass, and what stays refused whoever asks."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtcc_bridge.matching.edits import Rotate
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy import accounts
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.website import Website, acting, running_site, still_form

REASON = {"reason": "spoken with"}
KILLING = {"attestation": "the crowd had gone when the body was found"}
PROVISIONAL = {"incidentType": "HOMICIDE", "reason": "dispatch cannot be reached"}


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def asked(site: Website, method: str, path: str, account: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    async with site.client.request(method, f"/api/v1{path}", json=body, headers=acting(account)) as answer:
        return answer.status, await answer.json()


async def attached(site: Website, **changes: str | None) -> tuple[int, dict[str, Any]]:
    async with site.client.post(
        "/api/v1/incidents/INC-1/probes", data=still_form(changes), headers=acting("analyst")
    ) as answer:
        return answer.status, await answer.json()


async def shown(site: Website, path: str, account: str) -> str:
    async with site.client.get(path, headers=acting(account)) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", "/deferrals", None, {"supervisor", "administrator", "auditor"}),
        ("POST", "/deferrals/analyst/lift", REASON, {"administrator"}),
        ("POST", "/incidents/INC-1/imminent", REASON, {"supervisor"}),
        ("POST", "/incidents/INC-1/killing", KILLING, {"supervisor"}),
        ("POST", "/incidents/INC-1/killing/confirm", None, {"supervisor", "administrator"}),
        ("GET", "/provisional-incidents", None, {"supervisor"}),
        ("POST", "/provisional-incidents", PROVISIONAL, {"supervisor"}),
        ("POST", "/provisional-incidents/INC-1/reconcile", {"incidentId": "INC-1"}, {"supervisor"}),
    ],
)
async def test_everybody_else_is_refused_and_that_is_audited(
    site: Website, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    await site.report("INC-1")
    for account in DEMO_ACCOUNTS:
        status, problem = await asked(site, method, path, account, body)
        assert (status == 403 and problem.get("rule") == "P10") == (account not in allowed), (account, problem)
    refused = site.kit.count("policy_refusals_total", rule="P10")
    assert refused == len(DEMO_ACCOUNTS) - len(allowed)


async def test_two_people_open_the_search_for_a_killing(site: Website) -> None:
    await site.report("INC-1", incidentTypeCommonRegistryText="CIVDIS")
    await site.report("INC-1", incidentTypeCommonRegistryText="HOMICIDE")
    status, problem = await attached(site)
    assert (status, problem["rule"]) == (403, "P02")
    attest, confirm = 'data-action="/api/v1/incidents/INC-1/killing"', "/api/v1/incidents/INC-1/killing/confirm"
    offered = {name: await shown(site, "/incidents/INC-1", name) for name in DEMO_ACCOUNTS}
    assert {name for name, page in offered.items() if attest in page} == {"supervisor"}
    made = await site.post("/incidents/INC-1/killing", "supervisor", KILLING)
    assert made["confirmedBy"] is None
    offered = {name: await shown(site, "/incidents/INC-1", name) for name in DEMO_ACCOUNTS}
    assert {name for name, page in offered.items() if confirm in page} == {"administrator"}
    assert "Another one confirms it" in offered["supervisor"]
    assert not any(KILLING["attestation"] in page or attest in page for page in offered.values())
    status, problem = await asked(site, "POST", "/incidents/INC-1/killing/confirm", "supervisor")
    assert (status, problem["rule"]) == (403, "P02")
    assert (await attached(site))[0] == 403
    confirmed = await site.post("/incidents/INC-1/killing/confirm", "administrator")
    assert (confirmed["attestedBy"], confirmed["confirmedBy"]) == ("supervisor", "administrator")
    assert KILLING["attestation"] not in json.dumps(confirmed)
    assert (await attached(site))[0] == 201
    assert confirm not in await shown(site, "/incidents/INC-1", "administrator")


async def test_the_watch_commander_declares_and_the_administrator_lifts(site: Website) -> None:
    await site.report("INC-1", incidentTypeCommonRegistryText="HOSTAGE")
    declared = await site.post("/incidents/INC-1/imminent", "supervisor", REASON)
    assert declared["incidentId"] == "INC-1"
    for _ in range(2):
        probe = await site.attach()
        chosen = await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
        assert (chosen["lane"], chosen["approval"]["state"]) == ("imminent", "pending")
    site.kit.clock.advance(3600)
    await site.kit.reconciler.sweep()
    (standing,) = (await site.get("/deferrals", "auditor"))["items"]
    assert (standing["analyst"], standing["isEnded"]) == ("analyst", True)
    lifted = await site.post("/deferrals/analyst/lift", "administrator", REASON)
    assert (lifted["unapproved"], lifted["lapsedEver"], lifted["isEnded"]) == (0, 2, False)
    assert (await asked(site, "POST", "/deferrals/analyst/lift", "administrator", REASON))[0] == 409
    assert (await asked(site, "POST", "/deferrals/analyst/lift", "administrator", {"reason": ""}))[0] == 422


async def test_p14_the_incidents_page_lets_the_watch_commander_declare_it_and_says_so_to_everybody(
    site: Website,
) -> None:
    form, said = "/api/v1/incidents/INC-1/imminent", "By the watch commander"
    await site.report("INC-1", incidentTypeCommonRegistryText="HOMICIDE")
    assert form not in await shown(site, "/incidents/INC-1", "supervisor"), "the policy does not list it"
    await site.report("INC-1", incidentTypeCommonRegistryText="HOSTAGE")
    for account in DEMO_ACCOUNTS:
        page = await shown(site, "/incidents/INC-1", account)
        assert (form in page) == (account == "supervisor"), account
        assert said not in page
    await site.post("/incidents/INC-1/imminent", "supervisor", {"reason": "shots are heard"})
    for account in DEMO_ACCOUNTS:
        page = await shown(site, "/incidents/INC-1", account)
        assert said in page, account
        assert form not in page
        assert "shots are heard" not in page
    site.kit.clock.advance(4 * 3600)
    assert said not in await shown(site, "/incidents/INC-1", "analyst")


async def test_p14_the_analyst_is_told_that_lapses_of_their_own_make_a_search_wait(site: Website) -> None:
    await site.report("INC-1")
    await site.alert("INC-1", minutes=300)
    said = "approvals of earlier searches of yours did not come in time"
    for waits in (False, False, True):
        probe = await site.attach(purpose="imminent_threat")
        await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
        path = f"/probes/{probe['probeId']}"
        assert (said in await shown(site, path, "analyst")) == waits
        assert said not in await shown(site, path, "supervisor")
    site.kit.clock.advance(3600)
    await site.kit.reconciler.sweep()
    assert said in await shown(site, path, "analyst")
    assert "Waits for its approval" in await shown(site, "/activity", "analyst")
    assert "Waits for its approval" not in await shown(site, "/activity", "reviewer")
    await site.post("/deferrals/analyst/lift", "administrator", REASON)
    assert said not in await shown(site, path, "analyst")
    assert "Waits for its approval" not in await shown(site, "/activity", "analyst")


async def test_p14_nobody_is_offered_to_lift_what_lapses_of_their_own_ended(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.report("INC-1")
    await site.alert("INC-1", minutes=300)
    for _ in range(2):
        probe = await site.attach(purpose="imminent_threat")
        await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    assert "/deferrals/analyst/lift" in await shown(site, "/oversight", "administrator")
    one_person = replace(DEMO_ACCOUNTS["administrator"], name=" Analyst")
    monkeypatch.setattr(accounts, "DEMO_ACCOUNTS", {**DEMO_ACCOUNTS, "administrator": one_person})
    page = await shown(site, "/oversight", "administrator")
    assert "/deferrals/analyst/lift" not in page
    assert "Your own: another administrator lifts it." in page


async def test_a_provisional_incident_is_opened_while_nobody_reads_the_feed(site: Website) -> None:
    opened = await asked(site, "POST", "/provisional-incidents", "supervisor", PROVISIONAL)
    assert opened[0] == 201
    incident_id = opened[1]["incidentId"]
    assert (await site.get(f"/incidents/{incident_id}"))["status"] == "open"
    await site.report("INC-1")
    done = await site.post(f"/provisional-incidents/{incident_id}/reconcile", "supervisor", {"incidentId": "INC-1"})
    assert done["reconciledWith"] == "INC-1"
    assert (await site.get(f"/incidents/{incident_id}"))["mergedInto"] == "INC-1"


async def test_further_stills_and_their_approval_are_seen(site: Website) -> None:
    await site.report("INC-1")
    first = await site.attach()
    await site.post(f"/probes/{first['probeId']}/face", "analyst", {"number": 1})
    status, problem = await attached(site, samePersonAs=first["probeId"])
    assert (status, problem["rule"]) == (403, "P01"), "it is not approved yet"
    offered = f'name="samePersonAs" value="{first["probeId"]}"'
    assert offered not in await shown(site, "/incidents/INC-1", "analyst")
    await site.post(f"/probes/{first['probeId']}/approve", "supervisor")
    status, problem = await attached(site, samePersonAs=first["probeId"])
    assert (status, problem["rule"]) == (403, "P01"), "the approval was given for one face of this picture"
    page = await shown(site, "/incidents/INC-1", "analyst")
    assert offered in page
    assert first["caseNumber"] not in page, "each look at a case number is audited"
    assert offered not in await shown(site, "/incidents/INC-1", "reviewer"), "the search of another analyst"
    site.kit.workers.crop_pixels = site.kit.workers.crop_pixels + np.uint8(1)
    further = await site.attach(image=b"another", samePersonAs=first["probeId"], warrantOrExigency="W-1")
    assert (further["samePersonAs"], further["warrantOrExigency"]) == (first["probeId"], "W-1")
    chosen = await site.post(f"/probes/{further['probeId']}/face", "analyst", {"number": 1})
    assert (chosen["state"], chosen["approval"]["approvedBy"]) == ("authorized", "supervisor")
    seen = await site.get(f"/probes/{first['probeId']}", "supervisor")
    assert seen["approval"]["covers"] == [further["probeId"]]
    page = await shown(site, "/incidents/INC-1", "analyst")
    assert "2 stills so far" in page
    assert f'value="{further["probeId"]}"' not in page, "one choice for one approval"
    for pages in ("/probes", "/approvals"):
        said = await shown(site, f"{pages}/{further['probeId']}", "supervisor")
        assert f'href="{pages}/{first["probeId"]}"' in said
        assert "The approval of that one covers this one too: nobody was asked anew." in said
        assert f'href="{pages}/{further["probeId"]}"' in await shown(site, f"{pages}/{first['probeId']}", "supervisor")
    late = await site.attach(image=b"a third", samePersonAs=first["probeId"])
    assert "it covers this one too" in await shown(site, f"/probes/{late['probeId']}", "analyst")
    site.kit.clock.advance(24 * 3600)
    assert offered not in await shown(site, "/incidents/INC-1", "analyst"), "an approval lasts for a day"
    site.kit.workers.crop_pixels = site.kit.workers.crop_pixels + np.uint8(1)
    await site.post(f"/probes/{late['probeId']}/face", "analyst", {"number": 1})
    for page in (f"/probes/{late['probeId']}", f"/approvals/{late['probeId']}"):
        assert "did not cover this one: it is decided on by itself" in await shown(site, page, "supervisor")


async def test_a_still_is_edited_until_a_face_is_chosen(site: Website) -> None:
    await site.report("INC-1")
    probe = await site.attach(edits=json.dumps([{"do": "rotate", "degrees": 90}]))
    assert probe["edits"] == [{"do": "rotate", "degrees": 90.0}]
    path = f"/probes/{probe['probeId']}/edits"
    status, edited = await asked(site, "POST", path, "analyst", {"steps": [{"do": "rotate", "degrees": -90}]})
    assert (status, edited["edits"]) == (200, [{"do": "rotate", "degrees": -90.0}])
    assert site.kit.workers.edits[-1] == (Rotate(-90.0),)
    for body in ({"steps": [{"do": "paint"}]}, {"steps": "none"}, {}):
        assert (await asked(site, "POST", path, "analyst", body))[0] == 422
    status, problem = await asked(site, "POST", path, "reviewer", {"steps": []})
    assert (status, problem["rule"]) == (403, "P05")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    assert (await asked(site, "POST", path, "analyst", {"steps": []}))[0] == 409
    assert (await attached(site, edits="[{"))[0] == 422


async def test_until_a_face_is_chosen_only_the_analyst_sees_the_still(site: Website) -> None:
    await site.report("INC-1")
    probe = await site.attach()
    image = f"/api/v1/probes/{probe['probeId']}/image"
    looks = {}
    for account in ("analyst", "reviewer", "supervisor"):
        async with site.client.get(image, headers=acting(account)) as answer:
            looks[account] = answer.status
    assert looks == {"analyst": 200, "reviewer": 403, "supervisor": 403}
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    async with site.client.get(image, headers=acting("supervisor")) as answer:
        assert answer.status == 200
