"""From a threat to a corroborated lead by mouse: five people in five browsers, none of whom reloads a page to see more.

The same by keyboard, and by one person in every role, is in test_lead_life_pages.py.
"""

import asyncio
import base64
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, Request, Route, expect

from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.e2e.bench_kit import bring_libraries, is_live, painted_site, supported
from tests.e2e.test_clip_page import DROP
from tests.e2e.visitors import Visitor, new_visitor, running_browser
from tests.life_kit import build_life
from tests.probe_kit import STILL, face
from tests.website import Website

ACTS = {
    "floor": [],
    "analyst": ["probes", "face", "acknowledge", "conclusions", "release"],
    "reviewer": ["take", "opinion"],
    "supervisor": ["approve"],
    "requestor": ["corroboration"],
}
"""Each once, although each button is clicked twice."""
KEPT_BESIDES = ("examination", "draft")
"""An examiner's notes, which are kept at each change."""
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1_000_000, "uploadThroughput": 200_000}
"""Milliseconds, and bytes a second."""


async def attaches_a_still(page: Page) -> None:
    """Drops it on the page and clicks twice what sends it; that it is on its way is seen as long as it is."""
    await page.get_by_role("link", name="Shooting").click()
    await is_live(page)
    await page.evaluate(DROP, [base64.b64encode(STILL).decode(), "still.jpg"])
    await page.get_by_role("radio", name="Imminent threat").click()
    for label, text in (("Legal basis", "exigency"), ("Requestor", "requestor"), ("Case number", "26-000123")):
        field = page.get_by_label(label)
        await field.click()
        await field.fill(text)
    await page.get_by_label("I attest").click()
    seen = asyncio.Event()

    async def on_its_way(route: Route) -> None:
        await seen.wait()
        await route.continue_()

    await page.route("**/probes", on_its_way)
    await page.get_by_role("button", name="Find the faces").dblclick()
    await expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
    await expect(page.get_by_role("button", name="Find the faces")).to_be_disabled()
    seen.set()
    await expect(page.get_by_role("heading", name="Choose a face")).to_be_visible()
    await is_live(page)
    await page.locator('[data-face="2"] rect').click()
    await page.get_by_role("button", name="Search for face 2").dblclick()
    await expect(page.get_by_role("heading", name="Searching")).to_be_visible()


async def compares_by_mouse(page: Page) -> None:
    """The whole form of the candidate in sight, and support: each answer is clicked."""
    await page.get_by_role("button", name="Keep and compare").click()
    parts = page.locator("#parts .part")
    for number in range(await parts.count()):
        wanted = "similar" if number < 2 else "not_visible"
        await parts.nth(number).locator(f'label:has(input[value="{wanted}"])').click()
    await expect(page.locator("#parts-left")).to_have_text("every part looked at")
    await page.locator('#scale label:has(input[value="support"])').click()


async def concludes_by_mouse(page: Page, place: int, count: int) -> None:
    """Excludes everybody at first sight but the candidate at `place`, and files it with a double click."""
    await is_live(page)
    await expect(page.locator("#candidate canvas").first).to_be_visible()
    for number in range(count):
        await page.locator("#strip button").nth(number).click()
        if number == place:
            await compares_by_mouse(page)
        else:
            await page.get_by_role("button", name="Exclude at first sight").click()
    await expect(page.locator("#saved")).to_have_text("Saved")
    await page.get_by_role("button", name="Read through and file").click()
    await page.get_by_role("button", name="File it").dblclick()
    await expect(page.get_by_role("heading", name="You have concluded")).to_be_visible()


async def reports_it_corroborated(page: Page) -> None:
    await is_live(page)
    await page.get_by_role("radio", name="Corroborated").click()
    await page.get_by_label("Investigator who vouches for it").fill("badge 4711")
    item = page.get_by_role("group", name="Item of evidence")
    await item.get_by_label("Kind").select_option("DNA")
    await item.get_by_label("Item number").fill("26-11-4")
    await item.get_by_label("Obtained").fill("2026-11-01T12:00")
    await page.get_by_role("button", name="Report the outcome").dblclick()
    await expect(page.locator("#outcome")).to_contain_text("Reported: Corroborated.")


def lead_on(board: Page) -> Locator:
    return board.locator("#leads .lead")


@pytest.mark.browser
@pytest.mark.once
@pytest.mark.timeout(300)
async def test_five_people_bring_a_threat_to_a_corroborated_lead_by_mouse(database: Database, tmp_path: Path) -> None:
    """The analyst's network is slow, and every button that changes something is clicked twice."""
    bring_libraries()
    async with painted_site(database, tmp_path) as site, running_browser() as browser:
        people = {role: await new_visitor(browser, site.address, role) for role in ACTS}
        acts = {role: acts_of(visitor) for role, visitor in people.items()}
        await slow_down(people["analyst"].page)
        await the_story(site, people)
        for visitor in people.values():
            visitor.checked()
    assert acts == ACTS
    [outcome] = await site.kit.rows(tables.corroborations)
    assert (outcome["outcome"], outcome["evidence"][0]["kind"]) == ("corroborated", "dna")
    assert len(await site.kit.rows(tables.opinions)) == 2


async def the_story(site: Website, people: dict[str, Visitor]) -> None:
    life = build_life(site.kit)
    board = await people["floor"].open("/")
    reviewer = await people["reviewer"].open("/review")
    supervisor = await people["supervisor"].open("/approvals")
    investigator = await people["requestor"].open("/released")
    for page in (board, reviewer, supervisor, investigator):
        await is_live(page)
    await site.report("INC-1", incidentTypeCommonRegistryText="SHOOT", location={"text": "Dock 9"})
    await site.alert("INC-1", headline="Armed person at the docks")
    await expect(board.locator("#incidents .card")).to_contain_text("Armed person at the docks")

    site.kit.workers.faces = (face(1, left=200.0), face(2, left=400.0))
    analyst = await people["analyst"].open("/")
    await attaches_a_still(analyst)
    await site.search_all([await life.enrol(f"person {number}", pictures=2) for number in range(2)])
    await expect(lead_on(board)).to_contain_text("withdrawn in")

    await supervisor.get_by_role("link", name="Imminent threat").click()
    await supervisor.get_by_role("button", name="Approve the search").dblclick()
    await expect(supervisor.locator("#decided")).to_contain_text("Approved")
    await expect(lead_on(board)).not_to_contain_text("withdrawn in")

    await analyst.get_by_role("button", name="Acknowledge").dblclick()
    await analyst.get_by_role("link", name="Examine").click()
    chosen = (await supported(site, 1))[1]
    await reviewer.get_by_role("button", name="Take it").dblclick()  # at the same time: the lane is imminent
    await concludes_by_mouse(analyst, 1, 2)
    await concludes_by_mouse(reviewer, (await supported(site, 2)).index(chosen), 2)

    await analyst.get_by_role("link", name="Open the lead").click()
    await analyst.get_by_role("button", name="Release").dblclick()
    await expect(analyst.locator("#standing")).to_contain_text("Released. The requestor reads it")
    await expect(lead_on(board)).to_contain_text("Released to the requestor")

    await investigator.get_by_role("link", name="Shooting").click()
    await reports_it_corroborated(investigator)
    await expect(analyst.locator("#standing")).to_contain_text("Corroborated")


def acts_of(visitor: Visitor) -> list[str]:
    """What the person's browser asks to be changed, as it goes on: the last word of each address."""
    acts: list[str] = []

    def note(request: Request) -> None:
        word = request.url.rpartition("/")[2]
        if request.method == "POST" and word not in KEPT_BESIDES:
            acts.append(word)

    visitor.page.on("request", note)
    return acts


async def slow_down(page: Page) -> None:
    """A network like that of a car at the edge of town: there is time for a second click."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.emulateNetworkConditions", SLOW)
