"""Texts that try to become something else, in every field that comes from Kafka, an upload or a form, on every page.

Each field has a mark of its own before the same text, so that it is known on which pages it was seen. Whatever a page
logs as an error fails the test: the policy of its content reports each attempt to run what it did not bring.
"""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import FormData
from PIL import Image
from playwright.async_api import Browser, Page
from yarl import URL

from rtcc_bridge.leads.comparison import Component
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.e2e.bench_kit import an_imminent_search, bring_libraries, is_live, painted_site, visiting
from tests.e2e.visitors import Visitor
from tests.life_kit import FIRST, PEER, LifeKit, build_life
from tests.nasty_texts import NASTY_TEXTS
from tests.website import FIELDS, Json, Website, acting

EVERYTHING = " ".join(NASTY_TEXTS)
LINKS = "[...document.querySelectorAll('a[href^=\"/\"]')].map((one) => one.getAttribute('href'))"
STRUCK = "window.struck !== undefined"
MADE_OF_TEXT = "main :is(script, iframe, [onerror], [onload], [onmouseover]), main img[src='x'], a[href^='javascript']"
READ = """document.body.innerText + [...document.querySelectorAll('input[type=text], textarea, [title], [data-label]')]
  .map((one) => `${one.value ?? ''} ${one.title ?? ''}`).join(' ')"""
ROLES = ("analyst", "reviewer", "supervisor", "requestor", "administrator", "auditor")
SHOWN = {
    "place", "note", "headline", "event", "severity", "urgency", "type", "case", "basis", "warrant", "requestor",
    "refusal", "part", "whole",
}  # fmt: skip
"""The fields whose words a person reads on some page."""
NEVER_SHOWN = {"file", "exif"}
"""What a file says of itself is dropped when it is read."""


def hostile(mark: str, longest: int = 1024) -> str:
    return f"mark-{mark}: {EVERYTHING}"[:longest]


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Website]:
    async with painted_site(database, tmp_path) as running:
        yield running


@pytest.fixture
def life(site: Website) -> LifeKit:
    return build_life(site.kit)


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    bring_libraries()


def still_that_says() -> bytes:
    """A picture whose own metadata is hostile."""
    content, exif = io.BytesIO(), Image.Exif()
    for tag in (0x010E, 0x010F, 0x0131, 0x013B, 0x8298):  # description, make, software, artist, copyright
        exif[tag] = hostile("exif").encode("ascii", "replace").decode()
    Image.new("RGB", (64, 64)).save(content, "JPEG", exif=exif)
    return content.getvalue()


async def attached(site: Website, **fields: str) -> Json:
    form = FormData(default_to_multipart=True)
    for name, value in {**FIELDS, **fields}.items():
        form.add_field(name, value)
    form.add_field("image", still_that_says(), filename=hostile("file", 200), content_type="image/jpeg")
    address = URL("/api/v1/incidents/INC-1/probes", encoded=True)
    async with site.client.post(address, data=form, headers=acting("analyst")) as answer:
        assert answer.status == 201, await answer.text()
        return dict(await answer.json())


async def released_and_taken_back(site: Website, life: LifeKit) -> None:
    """A lead whose every step has hostile words, to its end."""
    lead_id = await life.agreed()
    await life.life.release.release(lead_id, FIRST, ())
    item = {"kind": "dna", "itemNumber": hostile("item", 64), "obtainedAt": "2026-11-01T12:00:00Z"}
    stated: Json = {"outcome": "corroborated", "investigator": hostile("investigator", 256), "evidence": [item]}
    site.kit.clock.advance(60)  # more time than there is from now on
    await site.post(f"/leads/{lead_id}/extension", "supervisor", {"hours": 720, "reason": hostile("extension")})
    await site.post(f"/leads/{lead_id}/corroboration", "requestor", stated)
    await site.post(f"/leads/{lead_id}/withdraw", "supervisor", {"reason": hostile("withdrawal")})


async def were_kept_as_they_came(site: Website) -> None:
    """The words that no page of these people shows were taken, and not refused on the way."""
    [outcome] = await site.kit.rows(tables.corroborations)
    [item] = outcome["evidence"]
    assert (outcome["investigator"], item["itemNumber"]) == (hostile("investigator", 256), hostile("item", 64))
    for action, mark in (("lead.extend", "extension"), ("lead.withdrawn", "withdrawal")):
        [entry] = await site.kit.audited(action)
        assert entry["entry"]["details"]["reason"] == hostile(mark).strip(), action
    people = {row["subject_ref"] for row in await site.kit.rows(tables.subjects)}
    assert hostile("subject", 256) in people


async def a_world_of_hostile_words(site: Website, life: LifeKit) -> str:
    """Returns the id of a lead that the analyst is examining."""
    await life.enrol(hostile("subject", 256))
    lead_id = await an_imminent_search(site, life)
    place = {"text": hostile("place")}
    await site.report(
        "INC-1",
        location=place,
        notes=[hostile("note"), {"text": "emoji \U0001f6a8 and \u0645\u0631\u062d\u0628\u0627"}],
    )
    severity, urgency = hostile("severity", 128), hostile("urgency", 128)
    await site.alert("INC-1", headline=hostile("headline"), severity=severity, urgency=urgency)
    other = hostile("incident", 200)
    await site.report(other, incidentTypeCommonRegistryText=hostile("type", 128), location=place)
    await site.alert(other, headline="", event=hostile("event", 128))
    stated = {
        "legalBasis": hostile("basis"), "caseNumber": hostile("case", 128), "requestor": hostile("requestor", 256),
        "warrantOrExigency": hostile("warrant"),
    }  # fmt: skip
    for is_refused in (False, True):
        probe = await attached(site, **stated)
        await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
        if is_refused:
            await site.post(f"/probes/{probe['probeId']}/refuse", "supervisor", {"reason": hostile("refusal")})
    await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    sheet = await site.get(f"/leads/{lead_id}/examination", "analyst")
    finding = {"component": Component.SKIN.value, "finding": "similar", "note": hostile("part", 1000)}
    form = {
        "candidateRef": sheet["candidates"][0]["candidateRef"],
        "findings": [finding],
        "note": hostile("whole", 1000),
    }
    await site.post(f"/leads/{lead_id}/examination", "analyst", {"compared": [form]})
    await released_and_taken_back(site, life)
    [waiting] = [row for row in await site.kit.rows(tables.examinations, lead_id=lead_id) if row["round"] == 2]
    await site.post(f"/reviews/{waiting['examination_id']}/take", PEER.name)
    await were_kept_as_they_came(site)
    await site.settle()
    return lead_id


async def every_page(visitor: Visitor, known: set[str]) -> AsyncIterator[Page]:
    """All that this person can get to by links, without those that somebody has been to before."""
    waiting, here = ["/"], set[str]()
    while waiting:
        path = waiting.pop()
        if path in here or (path in known and path != "/") or path.startswith(("/sign-", "/static/", "/api/")):
            continue
        here.add(path)
        page = await visitor.open(path)
        yield page
        waiting += await page.evaluate(LINKS)
    known |= here


@pytest.mark.once
@pytest.mark.timeout(300)
async def test_what_comes_from_outside_stays_text_on_every_page(site: Website, life: LifeKit, browser: Browser) -> None:
    lead_id = await a_world_of_hostile_words(site, life)
    known, read = set[str](), ""
    for role in ROLES:
        async with visiting(browser, site, role, "403 (Forbidden)", "404 (Not Found)", "409 (Conflict)") as visitor:
            async for page in every_page(visitor, known):
                read += await page.evaluate(READ)
                assert not await page.evaluate(STRUCK), page.url
                assert await page.locator(MADE_OF_TEXT).count() == 0, page.url
            if role == "analyst":
                read += await read_of_the_bench(visitor, lead_id)
    assert {mark for mark in SHOWN | NEVER_SHOWN if f"mark-{mark}" in read} == SHOWN
    assert len(known) > 20, known


async def read_of_the_bench(visitor: Visitor, lead_id: str) -> str:
    """Its notes come into fields by a script."""
    page = await visitor.open(f"/examine/{lead_id}")
    await is_live(page)
    of_the_candidate = await page.locator("#note").input_value()
    await page.locator('[name="skin"]').first.focus()
    of_the_part = await page.locator("#note").input_value()
    assert of_the_part == hostile("part", 1000).replace("\n", "").replace("\r", ""), "a field of one line"
    assert not await page.evaluate(STRUCK)
    return f"{of_the_candidate} {of_the_part}"


@pytest.mark.once
async def test_a_text_from_right_to_left_moves_nothing_beside_it(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    """Neither one of a language that is written so, nor one that says so to deceive."""
    lead_id = await an_imminent_search(site, life)
    await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    [probe] = await site.kit.rows(tables.probes)
    async with visiting(browser, site, "analyst") as visitor:
        for text in (
            "\u0634\u0627\u0631\u0639 \u0627\u0644\u0645\u064a\u0646\u0627\u0621 \U0001f6a8 12",
            "\u202eteerts robraH",
        ):
            await site.report("INC-1", location={"text": text})
            for path in (f"/probes/{quote(probe['probe_id'])}", "/incidents/INC-1", f"/examine/{lead_id}"):
                page = await visitor.open(path)
                assert await page.evaluate(IN_THEIR_ORDER) == [], (path, text)


IN_THEIR_ORDER: Any = """() => [...document.querySelectorAll('.crumbs, .facts')].filter((line) => {
  const parts = [...line.childNodes].filter((one) => one.textContent.trim()).map((one) => {
    const range = document.createRange();
    range.selectNodeContents(one);
    return range.getBoundingClientRect();
  });
  return parts.some((one, at) => at > 0 && one.top < parts[at - 1].bottom && one.left < parts[at - 1].right - 1);
}).map((line) => line.textContent)"""
"""The lines in which something begins before the end of what it comes after."""
