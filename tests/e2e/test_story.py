"""From a threat to a corroborated lead, and back: five people in five browsers, and nobody reloads a page to see more.

It is gone through twice: by mouse, and by keyboard alone. Whatever a page logs as an error, and every breach of its
content security policy, fails the test.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, Request, Route, expect
from yarl import URL

from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.e2e.accessibility import clean, library
from tests.e2e.bench_kit import bring_libraries, is_live, painted_site, supported
from tests.e2e.focus import reaches_everything
from tests.e2e.hands import Hand, Keyboard, Mouse
from tests.e2e.visitors import Visitor, new_visitor
from tests.life_kit import build_life
from tests.probe_kit import STILL, face
from tests.website import Website

ACTS = {
    "floor": [],
    "analyst": ["probes", "face", "acknowledge", "conclusions", "release"],
    "reviewer": ["take", "opinion"],
    "supervisor": ["approve", "withdraw"],
    "requestor": ["corroboration", "acknowledge"],
}
"""Each once, although the mouse clicks each button twice."""
KEPT_BESIDES = ("examination", "draft")
"""An examiner's notes, which are kept at each change."""
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1_000_000, "uploadThroughput": 200_000}
"""Milliseconds, and bytes a second."""
OBTAINED = datetime(2026, 11, 1, 12, 0)  # noqa: DTZ001 - as a field of a page has it, in the browser's own zone
DRAFTS = "Object.keys(localStorage).filter((one) => one.startsWith('rtcc-draft'))"
FILLED_IN = ("/examine/", "/review/", "/leads/", "/released/")
"""The pages that look otherwise when somebody is at work on them; the others are judged by axe-core elsewhere."""
Look = Callable[[Page], Awaitable[None]]
"""At a page before anything is done on it."""


@pytest.mark.timeout(300)
async def test_five_people_bring_a_threat_to_a_corroborated_lead_by_mouse(
    database: Database, browser: Browser, tmp_path: Path
) -> None:
    """The analyst's network is slow, and every button that changes something is clicked twice."""

    async def glances(page: Page) -> None:
        """A mouse needs nothing of a page but what it clicks on."""

    await the_story(database, browser, tmp_path, Mouse(), glances, is_slow=True)


@pytest.mark.once
@pytest.mark.timeout(300)
async def test_five_people_bring_a_threat_to_a_corroborated_lead_by_keyboard(
    database: Database, browser: Browser, tmp_path: Path
) -> None:
    """On each page the Tab key gets to everything, and no rule of axe-core is broken in either theme."""
    axe = library()

    async def looks(page: Page) -> None:
        if URL(page.url).path.startswith(FILLED_IN):
            await clean(page, axe)
        await reaches_everything(page)

    await the_story(database, browser, tmp_path, Keyboard(), looks)


async def the_story(
    database: Database, browser: Browser, folder: Path, hand: Hand, look: Look, *, is_slow: bool = False
) -> None:
    bring_libraries()
    async with painted_site(database, folder) as site:
        people = {role: await new_visitor(browser, site.address, role) for role in ACTS}
        acts = {role: acts_of(visitor) for role, visitor in people.items()}
        if is_slow:
            await slow_down(people["analyst"].page)
        await a_threat_becomes_a_lead(site, people, hand, look)
        await the_lead_is_corroborated(site, people, hand, look)
        await the_lead_is_taken_back(people, hand, look)
        for visitor in people.values():
            visitor.checked()
        assert acts == ACTS
        [outcome] = await site.kit.rows(tables.corroborations)
        assert (outcome["outcome"], outcome["evidence"][0]["kind"]) == ("corroborated", "dna")
        assert outcome["evidence"][0]["obtainedAt"].startswith(OBTAINED.strftime("%Y-%m-%d"))
        assert len(await site.kit.rows(tables.opinions)) == 2
        [receiver] = await site.kit.rows(tables.lead_receivers, account="requestor")
        assert receiver["withdrawal_acknowledged_at"] is not None


async def a_threat_becomes_a_lead(site: Website, people: dict[str, Visitor], hand: Hand, look: Look) -> None:
    """On the board, searched, approved."""
    life = build_life(site.kit)
    for visitor in people.values():
        await is_live(await visitor.open())
    board, analyst, supervisor = (people[role].page for role in ("floor", "analyst", "supervisor"))
    await goes_to(hand, people["reviewer"].page, "Review")
    await goes_to(hand, supervisor, "Approvals")
    await goes_to(hand, people["requestor"].page, "Released leads")
    await expect(board.get_by_text("No open incident.")).to_be_visible()
    notes = ["Caller is on the line"]
    await site.report("INC-1", incidentTypeCommonRegistryText="SHOOT", location={"text": "Dock 9"}, notes=notes)
    await site.alert("INC-1", headline="Armed person at the docks")
    await expect(board.locator("#incidents .card")).to_contain_text("Armed person at the docks")
    await look(board)

    site.kit.workers.faces = (face(1, left=200.0), face(2, left=400.0))
    await hand.opens(analyst.get_by_role("link", name="Shooting"), key="j")
    await attaches_a_still(hand, analyst, look)
    await hand.chooses_face(analyst, 2)
    await hand.does(analyst.get_by_role("button", name="Search for face 2"))
    await expect(analyst.get_by_role("heading", name="Searching")).to_be_visible()
    await site.search_all([await life.enrol(f"person {number}", pictures=2) for number in range(2)])
    await expect(analyst.locator("#side .lead")).to_contain_text("2 candidates to compare")
    await expect(lead_on(board)).to_contain_text("withdrawn in")
    await expect(lead_on(board)).to_contain_text("Unreviewed")
    await expect(lead_on(board).locator(".needs")).to_have_text("Investigative lead only - needs corroboration")

    await look(supervisor)
    await hand.opens(supervisor.get_by_role("link", name="Imminent threat"), key="j")
    await expect(supervisor.locator("#request")).to_contain_text("Caller is on the line")
    await is_live(supervisor)
    await look(supervisor)
    await hand.does(supervisor.get_by_role("button", name="Approve the search"), key="a")
    await expect(supervisor.locator("#decided")).to_contain_text("Approved")
    await expect(supervisor.locator("#following")).to_be_focused()
    await expect(lead_on(board)).not_to_contain_text("withdrawn in")


async def the_lead_is_corroborated(site: Website, people: dict[str, Visitor], hand: Hand, look: Look) -> None:
    """Examined by two, released, and looked into by who asked for it."""
    board, analyst, reviewer, investigator = (
        people[role].page for role in ("floor", "analyst", "reviewer", "requestor")
    )
    await hand.does(analyst.get_by_role("button", name="Acknowledge"))
    await expect(lead_on(board)).to_contain_text("In review")
    await expect(board.get_by_role("button", name="Acknowledge")).to_have_count(0)
    await hand.opens(analyst.get_by_role("link", name="Examine"))
    chosen = (await supported(site, 1))[1]
    await expect(reviewer.get_by_role("button", name="Take it")).to_be_visible()
    await look(reviewer)
    await hand.does(reviewer.get_by_role("button", name="Take it"), key="j")  # at the same time: the lane is imminent
    await concludes(hand, analyst, 1, look)
    await concludes(hand, reviewer, (await supported(site, 2)).index(chosen), look)

    await hand.opens(analyst.get_by_role("link", name="Open the lead"))
    await is_live(analyst)
    await expect(analyst.locator("#release")).to_contain_text("Candidate B")
    await look(analyst)
    await hand.does(analyst.locator("#release-button"), key="r")
    await expect(analyst.locator("#standing")).to_contain_text("Released. The requestor reads it")
    await expect(lead_on(board)).to_contain_text("Released to the requestor")

    await look(investigator)
    await hand.opens(investigator.get_by_role("link", name="Shooting"), key="j")
    await reports_it_corroborated(hand, investigator, look)
    await expect(analyst.locator("#standing")).to_contain_text("Corroborated")


async def the_lead_is_taken_back(people: dict[str, Visitor], hand: Hand, look: Look) -> None:
    """And whoever has had it says that they know."""
    supervisor, investigator = people["supervisor"].page, people["requestor"].page
    await goes_to(hand, supervisor, "Floor board")
    await hand.opens(supervisor.get_by_role("link", name="Open the lead"))
    await is_live(supervisor)
    await look(supervisor)
    await hand.writes(supervisor.locator("#withdraw").get_by_label("Reason"), "the item was mixed up")
    await hand.does(supervisor.get_by_role("button", name="Withdraw the lead"))
    await expect(supervisor.locator("#standing")).to_contain_text("The lead has ended")
    await expect(investigator.get_by_role("heading", name="Do not use this lead")).to_be_visible()
    await is_live(investigator)
    await look(investigator)
    await hand.does(investigator.get_by_role("button", name="I know that it is not to be used"))
    await expect(investigator.locator("#released")).to_contain_text("You confirmed that you know")


async def goes_to(hand: Hand, page: Page, name: str) -> None:
    await hand.opens(page.get_by_role("navigation", name="Pages").get_by_role("link", name=name))
    await is_live(page)


async def attaches_a_still(hand: Hand, page: Page, look: Look) -> None:
    """Fills in the form and sends it; that the still is on its way is seen as long as it is."""
    await is_live(page)
    await look(page)
    await hand.ticks(page.get_by_role("radio", name="Imminent threat"))
    for label, text in (("Legal basis", "exigency"), ("Requestor", "requestor"), ("Case number", "26-000123")):
        await hand.writes(page.get_by_label(label), text)
    await hand.gives_a_file(page.get_by_label("The still, or a clip"), STILL)
    await hand.ticks(page.get_by_label("I attest"))
    seen = asyncio.Event()

    async def on_its_way(route: Route) -> None:
        await seen.wait()
        await route.continue_()

    await page.route("**/probes", on_its_way)
    await hand.does(page.get_by_role("button", name="Find the faces"))
    await expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
    await expect(page.get_by_role("button", name="Find the faces")).to_be_disabled()
    seen.set()
    await expect(page.get_by_role("heading", name="Choose a face")).to_be_visible()
    await is_live(page)
    await look(page)


async def concludes(hand: Hand, page: Page, place: int, look: Look) -> None:
    """Of the two candidates the one at `place` is supported, the other one excluded at first sight."""
    await is_live(page)
    await expect(page.locator("#candidate canvas").first).to_be_visible()
    await look(page)
    for number in range(2):
        await (hand.supports if number == place else hand.excludes)(page, number)
    await expect(page.locator("#saved")).to_have_text("Saved")
    await hand.reads_through(page)
    await expect(page.get_by_role("dialog")).to_contain_text("Exclusion, at first sight")
    await hand.does(page.get_by_role("button", name="File it"))
    await expect(page.get_by_role("heading", name="You have concluded")).to_be_visible()
    assert await page.evaluate(DRAFTS) == []
    await is_live(page)
    await look(page)


async def reports_it_corroborated(hand: Hand, page: Page, look: Look) -> None:
    """On the way without an item of evidence, which is refused."""
    await is_live(page)
    await expect(page.locator(".limits-panel")).to_contain_text("That is not an identification.")
    await expect(page.locator(".photos img")).to_have_count(2)
    await hand.ticks(page.get_by_role("radio", name="Corroborated"), key="o")
    await hand.writes(page.get_by_label("Investigator who vouches for it"), "badge 4711")
    await hand.opens(page.get_by_role("button", name="Remove"))
    await hand.opens(page.get_by_role("button", name="Report the outcome"))
    await expect(page.locator("#answer .badge.rule")).to_have_text("Rule P18")
    await expect(page.locator("#answer")).to_contain_text("add at least one item of it")
    await hand.opens(page.get_by_role("button", name="Add an item of evidence"))
    item = page.get_by_role("group", name="Item of evidence")
    await hand.selects(item.get_by_label("Kind"), "DNA")
    await hand.writes(item.get_by_label("Item number"), "26-11-4")
    await hand.dates(item.get_by_label("Obtained"), OBTAINED)
    await look(page)
    await hand.does(page.get_by_role("button", name="Report the outcome"))
    await expect(page.locator("#outcome")).to_contain_text("Reported: Corroborated.")


def lead_on(board: Page) -> Locator:
    return board.locator("#leads .lead")


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
