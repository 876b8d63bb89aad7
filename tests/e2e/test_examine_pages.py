"""An examiner's night in a real Chromium: aids beside the form, a lead that ends, a colleague, a session that is over.

Everything that a page logs as an error, and every breach of its content security policy, fails the test.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Role
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.e2e.bench_kit import (
    PARTS,
    an_imminent_search,
    bring_libraries,
    is_live,
    keys,
    painted_site,
    visiting,
)
from tests.life_kit import FIRST, LifeKit, build_life
from tests.website import Website

PASSWORD = "correct horse battery"
IDLE_SECONDS = 31 * 60
SEEN_THROUGH = """() => {
  const over = document.querySelector(".laid-over");
  if (over.hidden) return null;
  const { data } = over.getContext("2d").getImageData(0, 0, over.width, over.height);
  return { alone: over.classList.contains("alone"), drawn: data.some((value) => value !== 0) };
}"""

CHANGES = """() => new Promise((resolve) => {
  let seen = 0;
  const watching = new MutationObserver((all) => { seen += all.length; });
  watching.observe(document.querySelector(".laid-over"), { attributes: true });
  setTimeout(() => resolve(seen), 2000);
})"""
"""How often what is laid over the still comes or goes within two and a half times of its blinking."""


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


async def laid_over(page: Page) -> Any:
    """What lies over the still: None, or whether it hides it and whether there is anything on it."""
    return await page.evaluate(SEEN_THROUGH)


async def shown(page: Page) -> None:
    """Both pictures are there."""
    for name in ("still", "candidate"):
        await expect(page.locator(f"#{name} canvas").first).to_be_visible()


@pytest.mark.once
async def test_overlay_and_blink_are_beside_the_form_alone_and_recorded_before_they_are_shown(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead_id = await an_imminent_search(site, life, people=2)
    await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    async with visiting(browser, site, "analyst", "503") as visitor:
        page = await visitor.open(f"/examine/{lead_id}")
        await is_live(page)
        await shown(page)
        overlay, blink = (page.locator(f'[data-aid="{aid}"]') for aid in ("overlay", "blink"))
        await expect(overlay).to_be_disabled()
        await keys(page, "o")  # nobody was kept
        assert await laid_over(page) is None
        await keys(page, "c")
        await expect(overlay).to_be_enabled()

        async def away(route: Route) -> None:
            await route.fulfill(status=503, json={"title": "Not available", "detail": "It cannot be recorded."})

        await page.route("**/aids", away)
        await keys(page, "o")
        await expect(page.locator("#answer")).to_contain_text("It cannot be recorded.")
        assert await laid_over(page) is None, "what is not recorded is not shown"
        await page.unroute("**/aids")
        await keys(page, "o")
        await expect(overlay).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#answer")).to_be_empty()
        await expect(page.locator("#still-words")).to_have_text("candidate A laid over it")
        assert await laid_over(page) == {"alone": False, "drawn": True}

        await page.emulate_media(reduced_motion="no-preference")
        await keys(page, "b")
        await expect(blink).to_have_attribute("aria-pressed", "true")
        await expect(overlay).to_have_attribute("aria-pressed", "false")
        for is_there in (True, False, True):
            await expect(page.locator(".laid-over")).to_be_visible(visible=is_there)
        await page.emulate_media(reduced_motion="reduce")
        await expect(blink).to_have_attribute("aria-pressed", "false")
        await keys(page, "b")
        await expect(page.locator("#still-words")).to_have_text("candidate A in its place")
        assert await laid_over(page) == {"alone": True, "drawn": True}
        assert await page.evaluate(CHANGES) == 0, "nothing moves by itself"
        await keys(page, "j")
        await expect(page.locator("#still-words")).to_have_text("an unknown person")
        await expect(blink).to_be_disabled()
        assert await laid_over(page) is None
        await keys(page, "x")  # the second one; A is in sight again
        await keys(page, "c", "o", "1", "2", *["3"] * (PARTS - 2), "8")
        await expect(page.locator("#saved")).to_have_text("Saved")
        await keys(page, "s")
        await expect(page.locator("#filing-list")).to_contain_text("Inconclusive; overlay and blink used")
        await page.get_by_role("button", name="File it").click()
        await expect(page.locator(".own-conclusions")).to_contain_text("overlay and blink used")
    entries = await site.kit.rows(tables.audit_entries, action="examination.aid")
    assert [row["entry"]["details"]["aid"] for row in entries] == ["overlay", "blink"]
    [kept] = [row["aids"] for row in await site.kit.rows(tables.opinions)]
    assert [one["aid"] for one in kept] == ["overlay", "blink"]


@pytest.mark.once
async def test_a_lead_that_is_withdrawn_ends_the_review_that_somebody_is_in(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead_id = await an_imminent_search(site, life, people=2)
    await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    async with visiting(browser, site, "reviewer") as visitor:
        page = await visitor.open("/review")
        await page.get_by_role("button", name="Take it").click()
        await is_live(page)
        await shown(page)
        await keys(page, "c", "1")
        await expect(page.locator("#saved")).to_have_text("Saved")
        await keys(page, "o")
        await expect(page.locator("#still-words")).to_contain_text("laid over it")
        await site.post(f"/leads/{lead_id}/withdraw", "supervisor", {"reason": "the wrong still"})
        await expect(page.locator("#outages")).to_contain_text("There is nothing to examine here any more")
        await expect(page.get_by_role("button", name="Read through")).to_be_disabled()
        await expect(page.locator('[data-aid="overlay"]')).to_be_disabled()
        assert await laid_over(page) is None
        await page.reload()
        await expect(page.get_by_role("heading", name="There is nothing to examine any more")).to_be_visible()
        await expect(page.locator("main")).not_to_contain_text("wrong still")
        await page.get_by_role("link", name="To the reviews").click()
        await expect(page.locator("#queue")).to_contain_text("Nothing waits for you.")


@pytest.mark.once
async def test_a_call_that_is_closed_ends_no_examination_and_one_that_was_unfounded_does(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead_id = await an_imminent_search(site, life, people=2)
    await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    async with visiting(browser, site, "analyst") as visitor:
        page = await visitor.open(f"/examine/{lead_id}")
        await is_live(page)
        await site.report("INC-1", incidentStatusCommonRegistryText="closed")
        await site.settle()
        await keys(page, "x", "x")  # each of the two
        await expect(page.locator("#saved")).to_have_text("Saved")
        await expect(page.locator("#outages")).to_be_empty()
        await keys(page, "s")
        await expect(page.get_by_role("dialog")).to_be_visible()  # about to file
        await site.report("INC-1", incidentStatusCommonRegistryText="unfounded")
        await expect(page.locator("#outages")).to_contain_text("There is nothing to examine here any more")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await keys(page, "x", "s")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await expect(page.locator("#strip button").first).to_contain_text("excluded")
    [lead] = await site.kit.rows(tables.leads)
    assert lead["review_state"] == "withdrawn"


@pytest.mark.once
async def test_of_two_analysts_at_one_lead_the_second_is_told_so_and_reviews_it_blind(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead_id = await an_imminent_search(site, life, people=2)
    async with (
        visiting(browser, site, "analyst") as first,
        visiting(browser, site, "reviewer", "409", "403", "net::ERR") as second,
    ):
        one = await first.open("/")
        await second.page.route("**/api/v1/feed*", lambda route: route.abort())  # so that the board is behind
        other = await second.open("/")
        await expect(other.get_by_role("button", name="Acknowledge")).to_be_enabled()
        await one.get_by_role("button", name="Acknowledge").click()
        await expect(one.get_by_role("link", name="Examine")).to_be_visible()
        await other.get_by_role("button", name="Acknowledge").click()
        await expect(other.locator("main, #outages").get_by_text("acknowledged", exact=False).first).to_be_visible()
        await other.goto(f"{site.address}/examine/{lead_id}")
        await expect(other.locator(".problem")).to_contain_text("Rule P12")
        await expect(other.locator(".problem")).to_contain_text("you may be asked to review it blind")
        await other.goto(f"{site.address}/review")
        await expect(other.get_by_role("button", name="Take it")).to_be_visible()
    [lead] = await site.kit.rows(tables.leads)
    assert lead["acknowledged_by"] == FIRST.name


@pytest.mark.once
async def test_a_conclusion_is_filed_once_and_the_way_back_leads_to_no_form(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead_id = await an_imminent_search(site, life, people=2)
    await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    async with visiting(browser, site, "analyst") as visitor:
        page = await visitor.open("/")
        await page.get_by_role("link", name="Examine").click()
        await is_live(page)
        await keys(page, "c", "1", "n")
        await page.keyboard.type("a scar")
        await keys(page, "Enter")
        await page.locator(".crumbs a").click()  # off to the incident in the middle of it
        await expect(page.get_by_role("heading", name="Homicide")).to_be_visible()
        await page.go_back()
        await expect(page.locator("#strip button").first).to_contain_text(f"{PARTS - 1} left")
        filed: list[str] = []
        page.on("request", lambda one: filed.append(one.url) if one.url.endswith("/conclusions") else None)
        await is_live(page)
        await keys(page, "c", "2", *["3"] * (PARTS - 2), "9", "j", "x")
        await keys(page, "s")
        await page.get_by_role("button", name="File it").dblclick()
        await expect(page.get_by_role("heading", name="You have concluded")).to_be_visible()
        assert len(filed) == 1
        await page.get_by_role("link", name="Open the lead").click()
        await expect(page.get_by_role("heading", name="The lead", exact=True)).to_be_visible()
        await page.go_back()
        await expect(page.get_by_role("heading", name="You have concluded")).to_be_visible()
        await page.go_back()  # the incident, or the board, where it came from
        await page.go_forward()
        await expect(page.get_by_role("heading", name="You have concluded")).to_be_visible()
        assert await page.locator("#form").count() == 0
    [opinion] = [row["opinion"] for row in await site.kit.rows(tables.opinions)]
    [form] = opinion["compared"]
    assert (form["conclusion"], form["findings"][0]["note"]) == ("exclusion", "a scar")


@pytest.mark.once
async def test_a_session_that_ends_in_the_middle_costs_no_work(
    database: Database, browser: Browser, tmp_path: Path
) -> None:
    async with painted_site(database, tmp_path, identity={"role_switch": False}) as site:
        life, accounts = build_life(site.kit), site.services.people.accounts
        assert accounts is not None
        certified = {kind.value: Certificate(site.kit.clock.now() - timedelta(days=1)) for kind in CertificateKind}
        await accounts.add(DEMO_ACCOUNTS["administrator"], "anna", [Role.ANALYST], PASSWORD, certificates=certified)
        lead_id = await life.lead(people=2)
        await site.settle()
        async with visiting(browser, site, "nobody", "401", "net::ERR") as visitor:
            page = await visitor.open("/")
            await signs_in(page)
            await page.get_by_role("button", name="Acknowledge").click()
            await page.get_by_role("link", name="Examine").click()
            await is_live(page)
            await keys(page, "c", "1")
            await expect(page.locator("#saved")).to_have_text("Saved")
            await page.route("**/examination", lambda route: route.abort())  # what comes now is in the browser alone
            await keys(page, "2", "n")
            await page.keyboard.type("a mole \u0645 \U0001f6a8")
            await expect(page.locator("#saved")).to_contain_text("kept in this browser")
            site.kit.clock.advance(IDLE_SECONDS)
            await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()  # the faces are gone from sight
            await page.unroute("**/examination")
            await signs_in(page)
            assert page.url == f"{site.address}/examine/{lead_id}"
            await expect(page.locator("#saved")).to_have_text("Saved")
            await expect(page.locator("#strip button").first).to_contain_text(f"{PARTS - 2} left")
            await is_live(page)
            await concludes_from_here(page)
        [opinion] = [row["opinion"] for row in await site.kit.rows(tables.opinions)]
        [form] = opinion["compared"]
        noted = {one["component"]: (one["finding"], one["note"]) for one in form["findings"]}
        assert noted["skin"] == ("similar", "")
        assert noted["lines"] == ("different", "a mole \u0645 \U0001f6a8")


async def signs_in(page: Page) -> None:
    await page.get_by_label("Account").fill("anna")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("footer")).to_contain_text("Signed in as anna")


async def concludes_from_here(page: Page) -> None:
    """The rest of the first candidate's form, the other one at first sight, and filed."""
    await keys(page, "c", *["3"] * (PARTS - 2), "8", "j", "x")
    await expect(page.locator("#saved")).to_have_text("Saved")
    await keys(page, "s")
    await page.get_by_role("button", name="File it").click()
    await expect(page.get_by_role("heading", name="You have concluded")).to_be_visible()
