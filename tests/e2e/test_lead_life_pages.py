"""The pages of a lead's life in a real Chromium. The whole of it, by mouse and by keyboard, is in test_story.py.

Everything that a page logs as an error, and every breach of its content security policy, fails the test; so does every
rule of axe-core that a page breaks, in both themes.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, FloatRect, Locator, Route, expect

from rtcc_bridge.matching.types import Verdict
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.e2e import accessibility
from tests.e2e.accessibility import clean
from tests.e2e.bench_kit import (
    PARTS,
    an_imminent_search,
    bring_libraries,
    changes,
    drawn,
    is_live,
    keys,
    painted_site,
    visiting,
)
from tests.e2e.visitors import new_visitor
from tests.life_kit import FIRST, PEER, LifeKit, build_life, under
from tests.probe_kit import face
from tests.website import Website

IS_WHOLE = """document.documentElement.scrollWidth <= window.innerWidth
  && document.documentElement.scrollHeight <= window.innerHeight"""
"""On a large screen nothing has to be scrolled to."""
TAKE = """async (review) => {
  const { post, showProblem } = await import("/static/calls.js");
  const { document: answer } = await post(`/api/v1/reviews/${encodeURIComponent(review)}/take`);
  showProblem(document.getElementById("outages"), answer);
}"""
"""As the button of a queue does, which is shown to nobody who may not."""


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Website]:
    async with painted_site(database, tmp_path) as running:
        yield running


@pytest.fixture
def life(site: Website) -> LifeKit:
    return build_life(site.kit)


@pytest.fixture(scope="module")
def axe() -> str:
    return accessibility.library()


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    bring_libraries()


async def test_the_board_the_wall_and_the_demos_guide_break_no_rule(
    site: Website, life: LifeKit, browser: Browser, axe: str
) -> None:
    await an_imminent_search(site, life)
    visitor = await new_visitor(browser, site.address, "analyst", first_time=True)
    page = await visitor.open("/")
    await is_live(page)
    await expect(page.get_by_role("region", name="First steps")).to_be_visible()
    await clean(page, axe)
    page = await visitor.open("/wall")
    await is_live(page)
    await clean(page, axe)
    visitor.checked()


@pytest.mark.once
async def test_an_examination_survives_a_reload_an_outage_and_an_expired_session_and_ends_with_its_lead(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead_id = await an_imminent_search(site, life, people=2)
    await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    [probe] = await site.kit.rows(tables.probes)
    async with (
        visiting(browser, site, "analyst", "401", "net::ERR") as visitor,
        visiting(browser, site, "floor", "net::ERR") as floor,
        visiting(browser, site, "supervisor", "net::ERR") as supervisor,
    ):
        for watching, path in ((floor, "/"), (supervisor, f"/approvals/{probe['probe_id']}")):
            await is_live(await watching.open(path))
        page = await visitor.open(f"/examine/{lead_id}")
        await is_live(page)
        current = page.locator(".part.current")
        await keys(page, "c", "1")
        await expect(current).to_have_attribute("data-component", "lines")
        await expect(page.locator("#note-of")).to_have_text("Note on: Skin, judged last")
        await keys(page, "n")
        await expect(current).to_have_attribute("data-component", "skin")  # what is written goes there
        await page.keyboard.type("a scar over it")
        await keys(page, "Enter")
        await expect(current).to_have_attribute("data-component", "lines")
        await expect(page.locator("#saved")).to_have_text("Saved")
        await page.reload()
        await expect(page.locator("#strip button").first).to_contain_text(f"{PARTS - 1} left")

        async def signed_out(route: Route) -> None:
            await route.fulfill(status=401, json={"title": "Sign in first"})

        await page.route("**/examination", signed_out)
        await keys(page, "c", "2")
        await expect(page.locator("#saved")).to_contain_text("Sign in again")
        await page.unroute("**/examination")
        await page.reload()  # as after signing in
        await expect(page.locator("#saved")).to_have_text("Saved")
        await expect(page.locator("#strip button").first).to_contain_text(f"{PARTS - 2} left")
        [noted] = [row["opinion"]["compared"][0] for row in await site.kit.rows(tables.opinions)]
        assert {one["component"]: one["note"] for one in noted["findings"]} == {"skin": "a scar over it", "lines": ""}

        await is_live(page)
        everybody = (visitor, floor, supervisor)
        for one in everybody:
            await one.page.context.set_offline(True)
        site.cut_connections()
        await keys(page, "c", "3")
        await expect(page.locator("#saved")).to_contain_text("the daemon does not answer")
        for one in everybody:
            await expect(one.page.locator("#outages")).to_contain_text("what you see may be out of date")
            await one.page.context.set_offline(False)
            await expect(one.page.locator("#outages")).to_be_empty()
        await expect(page.locator("#saved")).to_have_text("Saved")

        for one in everybody:
            await one.stood_still()
            await one.page.set_viewport_size({"width": 3840, "height": 2160})
            assert await one.page.evaluate(IS_WHOLE), one.page.url
        await is_live(page)
        await site.post(f"/leads/{lead_id}/withdraw", "supervisor", {"reason": "the wrong still"})
        await expect(page.locator("#outages")).to_contain_text("There is nothing to examine here any more")
        await expect(page.locator("#exclude")).to_be_disabled()
        assert await page.evaluate("Object.keys(localStorage).filter((one) => one.startsWith('rtcc-draft'))") == []


@pytest.mark.once
async def test_pictures_move_together_and_each_is_looked_at_once(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead_id = await an_imminent_search(site, life, people=2)
    await site.post(f"/leads/{lead_id}/acknowledge", "analyst")
    async with visiting(browser, site, "analyst") as visitor:
        page = await visitor.open(f"/examine/{lead_id}")
        await is_live(page)
        for name in ("still", "candidate"):
            await expect(page.locator(f"#{name} canvas").first).to_be_visible()
        before = await drawn(page, "candidate")
        await page.locator("#still .openseadragon-canvas").hover()
        await page.mouse.wheel(0, -400)
        moved = await changes(page, "candidate", before)
        await keys(page, "z")  # each alone
        alone = await drawn(page, "candidate")
        before = await drawn(page, "still")
        await page.mouse.wheel(0, -400)
        await changes(page, "still", before)
        assert await drawn(page, "candidate") == alone == moved
        await keys(page, "g", "f")
        assert "grayscale(1)" in await page.evaluate("document.querySelector('#candidate canvas').style.filter")
        await keys(page, "0")
        await expect(page.locator("#photo-count")).to_have_text("1 of 2: date not known")
        async with page.expect_response("**/pictures/2"):
            await keys(page, "p")
        await expect(page.locator("#photo-count")).to_have_text("2 of 2: May 30, 2019")
        await page.locator("#photos summary").focus()
        await keys(page, "Enter", "Tab")
        await expect(page.locator("#photo-list button").first).to_be_focused()
        await expect(page.locator("#photo-list button").last).to_have_text("Photo 2: May 30, 2019")
        await keys(page, "Enter")
        await expect(page.locator("#photo-count")).to_have_text("1 of 2: date not known")
        await keys(page, "p")
        await keys(page, "p")  # the first photo again, which is not asked for again
        async with page.expect_response("**/pictures/1"):
            await keys(page, "j")
        await keys(page, "k")
        await expect(page.locator("#photo-count")).to_have_text("1 of 2: date not known")
    looks = [row["entry"]["details"] for row in await site.kit.rows(tables.audit_entries, action="examination.picture")]
    assert len(looks) == len({str(sorted(one.items())) for one in looks}) == 4, "the still, A twice, B once"


@pytest.mark.once
@pytest.mark.parametrize(
    ("account", "seen"),
    [
        ("floor", ["Floor board", "My activity"]),
        ("analyst", ["Floor board", "Review", "My activity"]),
        ("supervisor", ["Floor board", "Approvals", "Released leads", "Oversight", "My activity"]),
        ("requestor", ["Floor board", "Released leads", "My activity"]),
        ("administrator", ["Floor board", "Oversight", "Galleries", "People", "My activity"]),
    ],
)
async def test_the_navigation_shows_what_a_role_may_do(site: Website, account: str, seen: list[str]) -> None:
    async with site.client.get("/", headers={"X-Demo-Account": account}) as answer:
        text = await answer.text()
    nav = text[text.index("<nav") : text.index("</nav>")]
    assert [name.split("<")[0] for name in nav.split('">')[2:]] == seen


@pytest.mark.once
async def test_a_lead_says_whether_anybody_has_taken_it_and_offers_nothing_any_more_when_it_has_ended(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead = await life.lead()
    async with visiting(browser, site, "supervisor") as visitor:
        page = await visitor.open(f"/leads/{lead}")
        await is_live(page)
        await expect(page.locator("[data-waits]")).to_have_text("No analyst has taken the lead yet.")
        await life.leads.acknowledge(lead, FIRST)
        await expect(page.locator("[data-waits]")).to_have_text("Examiners are at work.")
        for name in ("Withdraw the lead", "Extend"):
            await expect(page.get_by_role("button", name=name)).to_be_visible()
        await site.post(f"/leads/{lead}/withdraw", "supervisor", {"reason": "another camera"})
        await expect(page.locator("#standing")).to_contain_text("nothing is released any more")
        await expect(page.locator("#lead form")).to_have_count(0)


@pytest.mark.once
async def test_a_lead_says_that_it_ends_by_itself_and_can_be_released_only_where_that_is_so(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    imminent = await an_imminent_search(site, life)
    [probe] = await site.kit.rows(tables.probes, lane="imminent")
    unclear = await life.taken()
    await life.conclude(unclear, inconclusive=(0,))
    await life.review(unclear, PEER, inconclusive=(0,))
    site.kit.workers.faces = (face(1, Verdict.REFUSED),)
    poor = await site.attach("INC-1")
    [lead] = await site.kit.rows(tables.leads, probe_id=poor["probeId"])
    async with visiting(browser, site, "supervisor") as visitor:
        page = await visitor.open(f"/leads/{lead['lead_id']}")
        await is_live(page)
        await expect(page.locator("#standing")).to_contain_text("could not be searched. That is a result")
        await expect(page.locator("#standing")).to_contain_text("Ends by itself")
        await expect(page.locator("#extend, #standing [data-waits]")).to_have_count(0)

        page = await visitor.open(f"/leads/{unclear}")
        await is_live(page)
        await expect(page.locator("#standing")).to_contain_text("could not tell, or could not agree")
        await expect(page.locator("#standing")).not_to_contain_text("Ends by itself")
        await expect(page.locator("#extend")).to_have_count(0)
        await expect(page.locator("#withdraw")).to_be_visible()

        page = await visitor.open(f"/leads/{imminent}")
        await is_live(page)
        await expect(page.locator("#standing .pending")).to_contain_text("withdrawn in")
        await expect(page.locator("#standing")).not_to_contain_text("Ends by itself")
        approval = page.get_by_role("link", name="To the request for approval")
        await expect(approval).to_have_attribute("href", f"/approvals/{probe['probe_id']}")
        await site.post(f"/probes/{probe['probe_id']}/approve", "supervisor")
        await expect(page.locator("#standing")).to_contain_text("Ends by itself")
        await expect(approval).to_have_count(0)


@pytest.mark.once
async def test_fields_of_an_item_of_evidence_lie_beside_each_other(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    lead = await life.released()
    async with visiting(browser, site, "requestor") as visitor:
        page = await visitor.open(f"/released/{lead}")
        await is_live(page)
        await page.get_by_role("button", name="Add an item of evidence").click()
        item = page.locator("fieldset.item:not([hidden])")
        fields = await item.locator("select, input, button").all()
        boxes = [await box_of(field) for field in fields]
        whole = await box_of(item)
        assert len(boxes) == 4
        for place, one in enumerate(boxes):
            assert whole["x"] <= one["x"]
            assert one["x"] + one["width"] <= whole["x"] + whole["width"] + 1
            assert not any(overlap(one, other) for other in boxes[place + 1 :])


async def box_of(field: Locator) -> FloatRect:
    box = await field.bounding_box()
    assert box is not None
    return box


def overlap(one: FloatRect, other: FloatRect) -> bool:
    return (
        one["x"] < other["x"] + other["width"]
        and other["x"] < one["x"] + one["width"]
        and one["y"] < other["y"] + other["height"]
        and other["y"] < one["y"] + one["height"]
    )


@pytest.mark.once
async def test_what_may_not_be_released_filed_or_reviewed_is_refused_by_its_rule_with_what_to_do(
    site: Website, life: LifeKit, browser: Browser
) -> None:
    agreed, taken = await life.agreed((0, 1, 2)), await life.taken()
    # What a page still keeps of an examination that its person has filed elsewhere is refused.
    async with visiting(browser, site, "analyst", "403 (Forbidden)", "409 (Conflict)") as visitor:
        page = await visitor.open(f"/leads/{agreed}")
        await is_live(page)
        for box in await page.locator("#release input[type=checkbox]").all():
            await box.check()
        await page.locator("#release-button").click()
        await expect(page.locator("#answer .badge.rule")).to_have_text("Rule P17")
        await expect(page.locator("#answer")).to_contain_text("released.Nothing was released: untick the others.")
        assert await life.state(agreed) == "in_review"

        page = await visitor.open(f"/examine/{taken}")
        await is_live(page)
        await keys(page, "x", "s")
        await expect(page.locator("#filing-missing")).to_contain_text("Neither excluded nor compared: B, C.")
        await expect(page.locator("#filing-missing .badge.rule")).to_have_text("Rule P13")
        await expect(page.locator("#filing-missing")).to_contain_text("Nothing was filed, and what you noted is kept")
        await expect(page.get_by_role("button", name="File it")).to_be_disabled()

        await page.get_by_role("button", name="Go on comparing").click()
        await keys(page, "x", "c", "1", *["3"] * (PARTS - 1), "7")
        await expect(page.locator("#saved")).to_have_text("Saved")
        await under(life, conclusions={"scale": ["support", "inconclusive", "exclusion"]})  # meanwhile
        await keys(page, "s")
        await page.get_by_role("button", name="File it").click()
        await expect(page.locator("#filing-answer .badge.rule")).to_have_text("Rule P13")
        await expect(page.locator("#filing-answer")).to_contain_text(
            "has no conclusion of limited support: conclude by support"
        )
        await page.get_by_role("button", name="Go on comparing").click()
        await keys(page, "6", "s")
        await page.get_by_role("button", name="File it").click()
        await expect(page.get_by_role("heading", name="You have concluded")).to_be_visible()

        [review] = await site.kit.rows(tables.examinations, lead_id=taken, round=2)
        await page.evaluate(TAKE, review["examination_id"])
        await expect(page.locator("#outages .badge.rule")).to_have_text("Rule P11")
        await expect(page.locator("#outages")).to_contain_text("somebody else has to review it")
