"""The whole life of a lead over the API, as docs/lead-life.md walks through it, and how the API says no."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rtcc_bridge.leads.comparison import Component
from rtcc_bridge.leads.schemas import lead_schemas
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.life_kit import build_life
from tests.website import Json, Website, acting, running_site

SCHEMAS = lead_schemas()


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def lead_with_candidates(site: Website, people: int = 3) -> str:
    """From dispatch's report to `lead.candidates`; the requestor's account is that of the demo."""
    await site.report("INC-1")
    probe = await site.attach("INC-1", requestor="requestor")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    await site.post(f"/probes/{probe['probeId']}/approve", "supervisor")
    life = build_life(site.kit)
    await site.search_all([await life.enrol(f"person {number}", pictures=2) for number in range(people)])
    lead: Json = (await site.get(f"/probes/{probe['probeId']}", "analyst"))["lead"]
    return str(lead["data"]["leadId"])


def form(ref: str, conclusion: str) -> Json:
    seen: Mapping[str, str] = {"nose": "similar", "ears": "different"}
    findings = [{"component": one.value, "finding": seen.get(one.value, "not_visible")} for one in Component]
    return {"candidateRef": ref, "findings": findings, "conclusion": conclusion, "note": ""}


def opinion(sheet: Json, supported: str | None, conclusion: str = "support") -> Json:
    refs = [one["candidateRef"] for one in sheet["candidates"]]
    compared = [] if supported is None else [form(supported, conclusion)]
    return {"excluded": [ref for ref in refs if ref != supported], "compared": compared}


async def own_reference(site: Website, review_id: str, ref: str) -> str:
    """What the reviewer of a test finds by looking: the same person under the review's own reference."""
    [row] = await site.kit.rows(tables.examinations, examination_id=review_id)
    return str(next(own for own, candidate in row["candidates"] if candidate == ref))


async def picture(site: Website, path: str, account: str) -> bytes:
    async with site.client.get(f"/api/v1{path}", headers=acting(account)) as answer:
        assert (answer.status, answer.content_type) == (200, "image/jpeg"), await answer.text()
        return await answer.read()


async def refusal(site: Website, method: str, path: str, account: str, body: Any = None) -> tuple[int, str | None]:
    async with site.client.request(method, f"/api/v1{path}", headers=acting(account), json=body) as answer:
        problem = await answer.json(content_type="application/problem+json")
    return answer.status, problem.get("rule")


async def test_a_lead_from_candidates_to_corroboration(site: Website) -> None:
    lead_id = await lead_with_candidates(site)
    taken = await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    assert taken["data"]["reviewState"] == "unreviewed"

    sheet = await site.get(f"/leads/{lead_id}/examination", "analyst")
    assert [one["pictures"] for one in sheet["candidates"]] == [2, 2, 2]
    assert [one["takenOn"] for one in sheet["candidates"]] == [[None, "2019-05-30"]] * 3
    assert (sheet["concluded"], sheet["notice"]) == (False, LEAD_CONSTANTS["notice"])
    ref = sheet["candidates"][1]["candidateRef"]
    await picture(site, f"/leads/{lead_id}/examination/still", "analyst")
    await picture(site, f"/leads/{lead_id}/examination/candidates/{ref}/pictures/2", "analyst")
    kept = await site.post(
        f"/leads/{lead_id}/examination", "analyst", {"excluded": [sheet["candidates"][0]["candidateRef"]]}
    )
    assert len(kept["opinion"]["excluded"]) == 1
    overlay = {"candidateRef": ref, "aid": "overlay"}
    assert await refusal(site, "POST", f"/leads/{lead_id}/examination/aids", "analyst", overlay) == (403, "P13")
    await site.post(f"/leads/{lead_id}/examination", "analyst", {"compared": [{"candidateRef": ref}]})
    used = await site.post(f"/leads/{lead_id}/examination/aids", "analyst", overlay)
    assert used["aids"] == [overlay]
    filed = await site.post(f"/leads/{lead_id}/conclusions", "analyst", opinion(sheet, ref))
    assert filed["concluded"]
    assert (await site.get(f"/leads/{lead_id}"))["data"]["reviewState"] == "in_review"

    [waiting] = (await site.get("/reviews", "reviewer"))["items"]
    review_id = waiting["reviewId"]
    review = await site.post(f"/reviews/{review_id}/take", "reviewer")
    own = await own_reference(site, review_id, ref)
    await picture(site, f"/reviews/{review_id}/still", "reviewer")
    await picture(site, f"/reviews/{review_id}/candidates/{own}/pictures/1", "reviewer")
    await site.post(f"/reviews/{review_id}/draft", "reviewer", {"excluded": [], "compared": [{"candidateRef": own}]})
    await site.post(f"/reviews/{review_id}/aids", "reviewer", {"candidateRef": own, "aid": "blink"})
    await site.post(f"/reviews/{review_id}/opinion", "reviewer", opinion(review, own, "strong_support"))
    assert (await site.get("/reviews", "reviewer"))["items"] == []

    released = await site.post(f"/leads/{lead_id}/release", "analyst", {})
    assert released["data"]["candidates"] == [{"candidateRef": ref}]
    [receipt] = (await site.get("/leads/received", "requestor"))["items"]
    assert receipt["lead"]["data"]["leadId"] == lead_id
    received = await site.get(f"/leads/{lead_id}/release", "requestor")
    assert received["candidates"] == [{"candidateRef": ref, "conclusion": "support"}]
    assert received["dissent"] == []
    assert len(received["limits"]) > 3
    await picture(site, f"/leads/{lead_id}/release/candidates/{ref}/pictures/1", "requestor")

    extension = {"hours": 720, "reason": "the laboratory is late"}
    site.kit.clock.advance(60)
    await site.post(f"/leads/{lead_id}/extension", "supervisor", extension)
    item = {"kind": "dna", "itemNumber": "26-11-4", "obtainedAt": "2026-11-23T12:00:30Z"}
    report = {"outcome": "corroborated", "investigator": "badge 4711", "evidence": [item]}
    outcome = await site.post(f"/leads/{lead_id}/corroboration", "requestor", report)
    assert outcome["data"]["corroboration"] == {"state": "corroborated", "evidenceKinds": ["dna"]}

    await site.post(f"/leads/{lead_id}/withdraw", "supervisor", {"reason": "the item was mixed up"})
    await site.post(f"/leads/{lead_id}/withdrawal/acknowledge", "requestor")
    [receiver] = (await site.get(f"/leads/{lead_id}/receivers", "auditor"))["items"]
    assert receiver["account"] == "requestor"
    assert receiver["withdrawalAcknowledgedAt"] is not None
    await assert_published_in_order(site, lead_id)


async def assert_published_in_order(site: Website, lead_id: str) -> None:
    rows = sorted(await site.kit.rows(tables.outbox, topic="rtcc.leads"), key=lambda row: int(row["id"]))
    events = [row["event"] for row in rows if row["event"]["data"]["leadId"] == lead_id]
    assert [event["type"] for event in events] == [
        "lead.candidates", "lead.acknowledged", "lead.in_review", "lead.released", "lead.corroborated",
        "lead.withdrawn",
    ]  # fmt: skip
    assert [event["data"]["sequence"] for event in events] == [1, 2, 3, 4, 5, 6]
    for event in events:
        Draft202012Validator(SCHEMAS[event["type"]]).validate(event)
        [entry] = await site.kit.rows(tables.audit_entries, leaf_hash=event["data"]["auditLeaf"])
        assert (entry["action"], entry["subject"]) == (event["type"], lead_id)


async def test_the_api_says_no_with_the_rule(site: Website) -> None:
    lead_id = await lead_with_candidates(site)
    path = f"/leads/{lead_id}"
    assert await refusal(site, "GET", f"{path}/examination", "analyst") == (409, None)
    await site.post(f"{path}/acknowledge", "analyst")
    sheet = await site.get(f"{path}/examination", "analyst")
    half = {"excluded": [sheet["candidates"][0]["candidateRef"]]}
    assert await refusal(site, "POST", f"{path}/conclusions", "analyst", half) == (403, "P13")
    assert await refusal(site, "POST", f"{path}/conclusions", "reviewer", half) == (403, "P12")
    assert await refusal(site, "POST", f"{path}/conclusions", "floor", half) == (403, "P10")
    assert await refusal(site, "POST", f"{path}/conclusions", "analyst", {"excluded": [], "score": 1}) == (422, None)
    assert await refusal(site, "POST", f"{path}/release", "analyst", {}) == (403, "P11")
    assert await refusal(site, "GET", f"{path}/release", "requestor") == (404, None)
    assert await refusal(site, "POST", f"{path}/corroboration", "requestor", {"outcome": "corroborated"}) == (422, None)
    outcome = {"outcome": "refuted", "investigator": "badge 4711"}
    assert await refusal(site, "POST", f"{path}/corroboration", "requestor", outcome) == (409, None)
    assert await refusal(site, "POST", f"{path}/withdraw", "requestor", {"reason": "x"}) == (403, "P10")
    assert await refusal(site, "POST", f"{path}/withdraw", "analyst", {"reason": ""}) == (422, None)
    assert await refusal(site, "GET", f"{path}/receivers", "analyst") == (403, "P10")
    assert await refusal(site, "GET", f"{path}/examination/candidates/{'x' * 22}/pictures/1", "analyst") == (404, None)
    ref = sheet["candidates"][0]["candidateRef"]
    assert await refusal(site, "GET", f"{path}/examination/candidates/{ref}/pictures/one", "analyst") == (404, None)
    await site.post(f"{path}/conclusions", "analyst", opinion(sheet, None))
    [waiting] = (await site.get("/reviews", "reviewer"))["items"]
    review = f"/reviews/{waiting['reviewId']}"
    assert await refusal(site, "GET", review, "reviewer") == (409, None)
    assert await refusal(site, "POST", f"{review}/take", "analyst") == (403, "P11")
    assert await refusal(site, "POST", f"{review}/take", "supervisor") == (403, "P10")
    assert await refusal(site, "POST", f"/reviews/{'x' * 22}/take", "reviewer") == (404, None)
    await site.post(f"{review}/take", "reviewer")
    assert await refusal(site, "POST", f"{review}/take", "examiner") == (409, None)
    assert await refusal(site, "GET", f"{review}/still", "examiner") == (409, None)
    assert (await site.get("/reviews", "examiner"))["items"] == []
    assert (await site.get("/reviews", "analyst"))["items"] == []


async def test_the_administrator_seeds_a_case_and_reads_how_it_was_answered(site: Website) -> None:
    life = build_life(site.kit)
    await life.enrol("person", pictures=2)
    await life.enrol("other")
    body = {"gallery": "demo", "person": "person", "others": ["other"], "listed": True}
    assert await refusal(site, "POST", "/proficiency/cases", "analyst", body) == (403, "P10")
    async with site.client.post("/api/v1/proficiency/cases", json=body, headers=acting("administrator")) as answer:
        assert answer.status == 201, await answer.text()
    [waiting] = (await site.get("/reviews", "examiner"))["items"]
    review = await site.post(f"/reviews/{waiting['reviewId']}/take", "examiner")
    assert [one["pictures"] for one in review["candidates"]] == [1, 1]
    await site.post(f"/reviews/{waiting['reviewId']}/opinion", "examiner", opinion(review, None))
    [result] = (await site.get("/proficiency/cases", "administrator"))["items"]
    assert (result["examiner"], result["outcome"], result["right"]) == ("examiner", "no_candidate", False)
    assert await refusal(site, "GET", "/proficiency/cases", "auditor") == (403, "P10")
    assert (await site.get("/leads"))["items"] == []
