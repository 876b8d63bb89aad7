"""The pages in a real Chromium: what a person sees and does, by mouse and by keyboard.

Everything that a page logs as an error, and every breach of its content security policy, fails the test.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Browser, FilePayload, Page, Route, expect

from rtcc_bridge.app.heartbeat import Heartbeat
from rtcc_bridge.app.roles import Role
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.edits import Brightness, Rotate
from rtcc_bridge.matching.types import Verdict
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.policy.accounts import Role as Duty
from rtcc_bridge.policy.opening import OpenedPolicy
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.health import ReadinessBoard
from tests.e2e import accessibility
from tests.e2e.bench_kit import is_live, keys
from tests.e2e.visitors import Visitor, act_as, new_visitor, right_now
from tests.life_kit import build_life, under
from tests.nasty_texts import NASTY_TEXTS
from tests.policy_kit import put_in_force
from tests.ports import free_port
from tests.probe_kit import PictureWorkers, face, policy
from tests.retention_kit import DAY, RetentionKit
from tests.website import Website, acting, clip_form, running_site, until

WIDTH, HEIGHT = 640, 480


def jpeg() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (70, 90, 110)).save(content, "JPEG")
    return content.getvalue()


Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, right_now(), Metrics(), tmp_path, workers=PictureWorkers()) as running:
        yield running


@pytest.fixture
async def visit(browser: Browser, site: Website) -> AsyncIterator[Visit]:
    """Opens a browser context for an account; what its pages complain about is judged at the end."""
    visitors: list[Visitor] = []

    async def arrive(account: str = "floor", **options: Any) -> Visitor:
        visitor = await new_visitor(browser, site.address, account, **options)
        visitors.append(visitor)
        return visitor

    yield arrive
    for visitor in visitors:
        visitor.checked()


def still() -> FilePayload:
    return {"name": "still.jpg", "mimeType": "image/jpeg", "buffer": jpeg()}


async def fill_form(page: Page, purpose: str = "Violent offense") -> None:
    await page.get_by_role("radio", name=purpose).check()
    await page.get_by_label("Legal basis").fill("criminal investigation")
    await page.get_by_label("Requestor").fill("the requestor")
    await page.get_by_label("Case number").fill("26-000123")
    await page.get_by_label("The still").set_input_files(still())
    await page.get_by_label("I attest").check()


@pytest.mark.once
async def test_one_of_two_hundred_faces_is_chosen_by_keyboard(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    site.kit.workers.faces = (
        face(1, Verdict.REFUSED),
        face(2, Verdict.WARNED, left=2.8),
        *(face(number, left=2.8 * number) for number in range(3, 201)),
    )
    probe = await site.attach("INC-1")
    page = await (await visit("analyst")).open(f"/probes/{probe['probeId']}")
    await expect(page.locator("[data-face]")).to_have_count(200)
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await expect(page.get_by_role("radio", name="Face 1", exact=False).first).to_be_disabled()
    await page.keyboard.press("1")  # too poor: nothing is chosen
    assert await page.locator("#choose input:checked").count() == 0
    await page.keyboard.press("2")
    await expect(page.locator('[data-face="2"]')).to_have_class("face warned chosen")
    await page.keyboard.press("9")
    await expect(page.get_by_role("radio", name="Face 9", exact=False).first).to_be_checked()
    await page.get_by_role("radio", name="Face 9", exact=False).first.focus()
    for _ in range(8):
        await page.keyboard.press("ArrowUp")  # past the first that can be chosen comes the last
    await expect(page.get_by_role("button", name="Search for face 200")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Waiting for a supervisor")).to_be_visible()
    assert [row["chosen_face"] for row in await site.kit.rows(tables.probes)] == [200]
    assert await page.locator("[data-face]").count() == 1  # the others are masked, and not numbered any more


@pytest.mark.once
async def test_the_only_face_is_confirmed_with_one_key_and_its_approval_covers_a_further_still(
    site: Website, visit: Visit
) -> None:
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    page = await (await visit("analyst")).open(f"/probes/{probe['probeId']}")
    await expect(page.get_by_role("button", name="Search for face 1")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Waiting for a supervisor")).to_be_visible()
    async with page.expect_response("**/state"):
        looks = len(await site.kit.audited("probe.view"))
    async with page.expect_response("**/state"):
        pass  # whoever waits asks for the state alone: each look at a search is an entry of the log
    assert len(await site.kit.audited("probe.view")) == looks
    await site.post(f"/probes/{probe['probeId']}/approve", "supervisor")
    await expect(page.get_by_role("heading", name="Searching")).to_be_visible()
    await site.search_all([await site.kit.enrol("one")])
    await expect(page.get_by_role("heading", name="Searched")).to_be_visible()

    page = await (await visit("analyst")).open("/incidents/INC-1")
    await page.get_by_label("Requestor").fill("somebody else")
    looks = len(await site.kit.audited("probe.view"))
    no = page.get_by_role("radio", name="It is a search of its own")
    await expect(no).to_be_checked()
    await no.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio", name="face 1: Searched")).to_be_checked()
    await expect(page.get_by_label("Requestor")).to_have_value(probe["requestor"])
    await expect(page.get_by_label("Requestor")).not_to_be_editable()
    await expect(page.get_by_role("radio", name="Violent offense Find")).to_be_checked()
    assert len(await site.kit.audited("probe.view")) == looks + 1
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_label("Requestor")).to_have_value("somebody else")
    await expect(page.get_by_label("Case number")).to_be_editable()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("Case number")).to_have_value(probe["caseNumber"])
    await accessibility.clean(page, accessibility.library())
    site.kit.workers.crop_pixels = site.kit.workers.crop_pixels + np.uint8(1)
    await page.get_by_label("The still").set_input_files(still())
    await page.get_by_label("I attest").check()
    await page.get_by_role("button", name="Find the faces").click()
    await expect(page.get_by_text("it covers this one too")).to_be_visible()
    await page.get_by_role("button", name="Search for face 1").press("Enter")
    await expect(page.get_by_role("heading", name="Searching")).to_be_visible()
    await expect(page.locator("#side .covered")).to_contain_text("nobody was asked anew")
    await accessibility.clean(page, accessibility.library())
    rows = await site.kit.rows(tables.probes, same_person_as=probe["probeId"])
    assert [(row["approved_by"], row["case_number"]) for row in rows] == [("supervisor", probe["caseNumber"])]

    await page.locator(".crumbs").get_by_role("link").click()
    await page.get_by_role("radio", name="2 stills so far").check()
    await expect(page.get_by_label("Requestor")).not_to_be_editable()
    loaded = asyncio.Event()

    async def load_late(route: Route) -> None:
        await loaded.wait()
        await route.continue_()

    await page.route("**/incident.js*", load_late)
    await page.goto(f"{site.address}/incidents/INC-1", wait_until="commit")
    await page.get_by_role("radio", name="2 stills so far").check()
    loaded.set()
    await expect(page.get_by_label("Requestor")).not_to_be_editable()
    site.kit.clock.advance(DAY.total_seconds())
    await site.report("INC-1", incidentCommonPriorityNumber=2)
    await expect(page.locator("#answer")).to_contain_text("The approval covers no further still")
    await expect(page.locator("#same-person")).to_be_hidden()
    await expect(page.get_by_label("Requestor")).to_be_editable()


@pytest.mark.once
async def test_a_still_is_edited_by_keyboard_with_the_original_one_key_away(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    page = await (await visit("analyst")).open(f"/probes/{probe['probeId']}")
    await expect(page.get_by_role("button", name="Search for face 1")).to_be_focused()
    still = page.locator("#still")
    for key in "]bbb":
        await page.keyboard.press(key)
    await expect(page.locator("#steps")).to_have_text("Tried, not recorded yet: turn 90°; brightness 30 %.")
    await expect(still).to_have_class("tried")
    await expect(page.get_by_role("button", name="Search for face 1")).to_be_disabled()
    await expect(page.get_by_text("what you see is not what would be searched")).to_be_visible()
    tried = [Rotate(90.0), Brightness(30)]
    await until(lambda: list(site.kit.workers.edits[-1]) == tried)
    await page.keyboard.press("o")
    await until(lambda: site.kit.workers.edits[-1] == ())
    await expect(page.get_by_role("button", name="Original")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("o")
    await page.keyboard.press("z")
    assert (await site.get(f"/probes/{probe['probeId']}", "analyst"))["edits"] == [], "nothing is recorded by trying"
    await page.keyboard.press("Enter")
    await expect(page.locator("#picture")).to_contain_text(
        "Edited, from the original that stays as it came: turned 90°"
    )
    await expect(still).not_to_have_class("tried")
    await expect(page.locator("#steps")).to_contain_text("Drag over the still, or type pixels")
    await expect(page.get_by_role("button", name="Search for face 1")).to_be_enabled()
    await page.get_by_label("Crop: left").fill("100")
    await page.keyboard.press("Enter")
    await expect(page.locator("#steps")).to_contain_text("crop to 540 by 480")
    await page.get_by_role("button", name="Apply").click()
    await expect(page.locator("#picture")).to_contain_text("cropped to 540 x 480 pixels from 100, 0")
    recorded = (await site.get(f"/probes/{probe['probeId']}", "analyst"))["edits"]
    assert [step["do"] for step in recorded] == ["rotate", "crop"]
    await expect(page.get_by_role("radio", name="Face 1")).to_be_checked()
    await page.get_by_role("button", name="Search for face 1").press("Enter")
    await expect(page.get_by_role("heading", name="Waiting for a supervisor")).to_be_visible()
    await expect(page.locator("#editing")).to_be_empty()


async def test_p14_an_imminent_threat_is_searched_at_once_and_counts_down(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    await site.alert("INC-1", headline="Armed person at the station")
    board = await (await visit("floor")).open("/")
    page = await (await visit("analyst")).open("/incidents/INC-1")
    await fill_form(page, "Imminent threat")
    await page.get_by_role("button", name="Find the faces").click()
    await page.get_by_role("button", name="Search for face 1").click()
    await expect(page.get_by_role("heading", name="Searching")).to_be_visible()
    await site.search_all([await site.kit.enrol("one")])
    await expect(board.locator("#leads .pending")).to_contain_text("withdrawn in")
    supervisor = await (await visit("supervisor")).open("/")
    await supervisor.locator("#waiting").get_by_role("link").click()
    await supervisor.get_by_label("Reason, to refuse").fill("no basis")
    await supervisor.get_by_role("button", name="Refuse").click()
    await expect(supervisor.get_by_role("heading", name="Refused by the supervisor")).to_be_visible()
    await expect(board.locator("#leads .lead")).to_contain_text("Do not use: the supervisor refused the search.")


@pytest.mark.once
async def test_p14_what_comes_after_the_hour_is_refused_with_what_to_do(site: Website, visit: Visit) -> None:
    """Also where no sweep has come to it yet; when one has, the page says what became of it and why."""
    await site.report("INC-1")
    await site.alert("INC-1", minutes=120)
    probe = await site.attach("INC-1", purpose="imminent_threat")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    await site.search_all([await site.kit.enrol("one")])
    supervisor, analyst = await visit("supervisor"), await visit("analyst")
    supervisor.tolerated = analyst.tolerated = ("403",)
    page, board = await supervisor.open(f"/approvals/{probe['probeId']}"), await analyst.open("/")
    for one in (page, board):
        await is_live(one)
    await expect(page.locator(".deadline")).to_contain_text("Withdrawn in")
    head, badges = [await page.locator(one).bounding_box() for one in (".request-head", ".request-head .kicker")]
    assert head is not None
    assert badges is not None
    assert badges["width"] == head["width"]  # the time does not take their line
    site.kit.clock.advance(61 * 60)
    await keys(page, "a", "Enter")
    await expect(page.locator("#answer .badge.rule")).to_have_text("Rule P14")
    await expect(page.locator("#answer")).to_contain_text("the analyst attaches the still again")
    await board.get_by_role("button", name="Acknowledge").click()
    await expect(board.locator("#outages")).to_contain_text("Rule P14. ")
    await expect(board.locator("#outages")).to_contain_text("attach the still again and have the search approved")
    assert await site.kit.reconciler.lapse_overdue() == 1
    await expect(page.locator("#decided")).to_contain_text("Did not come in time")
    await expect(page.locator("#decided + p")).to_contain_text("Rule P14")
    await expect(page.locator("#answer")).to_contain_text("the analyst attaches the still again")  # is not lost by that
    page = await analyst.open(f"/probes/{probe['probeId']}")
    await expect(page.locator("#side .detail .badge.rule")).to_have_text("Rule P14")
    await expect(page.locator("#side")).to_contain_text("attach the still again and have the search approved")


@pytest.mark.once
async def test_p14_an_incident_is_declared_imminent_and_lapses_of_ones_own_end_the_deferral(
    site: Website, visit: Visit
) -> None:
    await site.report("INC-1", incidentTypeCommonRegistryText="HOSTAGE")
    axe = accessibility.library()
    page = await (await visit("supervisor")).open("/incidents/INC-1")
    await is_live(page)
    await accessibility.clean(page, axe)
    await page.get_by_label("Reason").press_sequentially("shots are heard")
    await page.get_by_label("Reason").press("Enter")
    await expect(page.get_by_role("heading", name="Declared imminent")).to_contain_text("ends in 3 h 59 min")
    await expect(page.locator("#facts .badge.alarm")).to_have_text("Declared imminent")
    analyst = await visit("analyst")
    page = await analyst.open("/incidents/INC-1")
    await expect(page.get_by_role("heading", name="Declared imminent")).to_be_visible()
    await accessibility.clean(page, axe)
    for lapses in (False, False, True):
        probe = await site.attach("INC-1")
        page = await analyst.open(f"/probes/{probe['probeId']}")
        await page.get_by_role("button", name="Search for face 1").click()
        approval = page.get_by_role("region", name="Supervisor's approval: Pending")
        await expect(approval).to_contain_text("an administrator lifts that" if lapses else "so the search went ahead")
    await expect(approval.locator(".badge.rule")).to_have_text("Rule P14")
    await accessibility.clean(page, axe)


@pytest.mark.once
async def test_p02_two_people_attest_on_the_page_that_what_was_coded_as_a_disturbance_is_a_killing(
    site: Website, visit: Visit
) -> None:
    for code in ("CIVDIS", "HOMICIDE"):
        await site.report("INC-1", incidentTypeCommonRegistryText=code)
    page = await (await visit("supervisor")).open("/incidents/INC-1")
    await is_live(page)
    await page.get_by_label("What you attest").press_sequentially("the crowd had gone when he was found")
    await page.get_by_label("What you attest").press("Enter")
    await expect(page.locator("#exceptions")).to_contain_text("Another one confirms it")
    analyst = await (await visit("analyst")).open("/incidents/INC-1")
    await expect(analyst.locator(".attach .refusal")).to_contain_text("of a killing two people can attest to it")
    page = await (await visit("administrator")).open("/incidents/INC-1")
    await is_live(page)
    await page.get_by_role("button", name="Confirm that it is a killing").click()
    await expect(page.locator("#exceptions")).to_be_hidden()
    await analyst.reload()
    await expect(analyst.get_by_role("button", name="Find the faces")).to_be_visible()


async def test_threats_stand_on_top_are_announced_at_once_and_leave_when_they_end(site: Website, visit: Visit) -> None:
    for number in range(3):
        await site.report(f"INC-{number}")
    board = await (await visit("floor")).open("/")
    first = board.locator("#incidents .card").first
    await expect(board.locator("#incidents .card")).to_have_count(3)
    await site.alert("INC-0", headline="Armed person at the station", minutes=0.05)
    await expect(first).to_contain_text("Armed person at the station")
    await expect(first).to_have_attribute("data-key", "INC-0")
    await expect(board.locator("#say-at-once")).to_contain_text("Imminent threat: Armed person at the station")
    site.kit.clock.advance(10)  # its end, also for the daemon
    await expect(board.locator("#incidents")).not_to_contain_text("Armed person at the station")
    await expect(board.locator(".incident.imminent")).to_have_count(0)


async def keys_of(page: Page) -> list[str]:
    return list(await page.eval_on_selector_all("#incidents > .card", "all => all.map((one) => one.dataset.key)"))


async def test_incidents_stand_by_threat_then_priority_then_the_newest_however_they_came(
    site: Website, visit: Visit
) -> None:
    opened = site.kit.clock.now()
    board = await (await visit("floor")).open("/")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
    for name, priority, minutes in (("A", 3, 0), ("B", 1, 9), ("C", None, 0), ("D", 1, 2), ("E", 5, 1)):
        at = rfc3339(opened - timedelta(minutes=minutes))
        await site.report(name, incidentCommonPriorityNumber=priority, openedAt=at)
    await site.alert("E", headline="Armed person")
    await site.alert("A", headline="Storm", urgency="Expected")
    await expect(board.locator("#incidents > .card")).to_have_count(5)
    await expect(board.locator('[data-key="A"]')).to_contain_text("Storm")
    assert await keys_of(board) == ["E", "A", "D", "B", "C"]
    await site.report("C", incidentCommonPriorityNumber=0)
    await expect(board.locator("#incidents > .card").nth(2)).to_have_attribute("data-key", "C")
    live = await keys_of(board)
    await board.reload()
    assert await keys_of(board) == live
    await site.report("D", incidentStatusCommonRegistryText="closed")
    await expect(board.locator('[data-key="D"]')).to_have_count(0)
    await expect(board.locator("#incidents-count")).to_have_text("4")


@pytest.mark.once
async def test_the_board_is_narrowed_and_no_imminent_threat_can_be_filtered_away(site: Website, visit: Visit) -> None:
    await site.report("calm", incidentCommonPriorityNumber=7)
    await site.report("urgent", incidentCommonPriorityNumber=1)
    await site.report("drill", incidentCommonPriorityNumber=1, exercise=True)
    await site.report("threat", incidentCommonPriorityNumber=9, incidentTypeCommonRegistryText="SHOOT")
    await site.alert("threat")
    await site.lead("calm")
    board = await (await visit("floor")).open("/")
    await board.keyboard.press("f")
    await expect(board.get_by_label("Type")).to_be_focused()
    await board.get_by_label("Type").select_option("Homicide")
    await board.get_by_label("Priority").select_option("2 or more urgent")
    await board.get_by_label("Exercises").select_option("left out")
    await board.get_by_role("combobox", name="Leads").select_option("Released")
    await board.get_by_role("button", name="Narrow").click()
    await expect(board.locator("#filters")).to_contain_text("Imminent threats are always shown.")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
    assert await keys_of(board) == ["threat", "urgent"]
    await expect(board.locator("#leads-rest")).to_contain_text("No lead of this kind")
    await site.report("calm", location={"text": "still of no interest"})
    await site.report("another", incidentCommonPriorityNumber=2)
    await expect(board.locator('[data-key="another"]')).to_be_visible()
    assert await keys_of(board) == ["threat", "urgent", "another"]
    await board.get_by_role("link", name="Show all").first.click()
    await expect(board.locator("#incidents > .card")).to_have_count(5)
    await board.get_by_role("link", name="Wall board").click()
    await expect(board.locator("body.wall #connection")).to_have_attribute("data-state", "live")


COUNT_TONES = """() => {
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...when) { window.tones += 1; return start.apply(this, when); };
}"""


@pytest.mark.once
async def test_an_imminent_threat_sounds_when_a_person_allowed_it_and_is_counted_in_the_title(
    site: Website, visit: Visit
) -> None:
    await site.report("INC-1")
    await site.report("INC-2")
    visitor = await visit("floor")
    await visitor.page.add_init_script(f"({COUNT_TONES})()")
    board = await visitor.open("/")
    sound = board.locator("#chime")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
    await site.alert("INC-1", headline="Before the sound was allowed")
    await expect(board).to_have_title("(1) Floor board")
    await expect(sound).to_have_attribute("aria-pressed", "false")
    assert await board.evaluate("window.tones") == 0
    await board.keyboard.press("m")
    await expect(sound).to_have_text("Sound on")
    await board.wait_for_function("window.tones === 2")  # so that a person hears what was allowed
    await board.reload()
    await expect(sound).to_have_attribute("aria-pressed", "true")  # kept for this browser
    await board.locator("h2").first.click()  # a browser sounds only after that
    await expect(sound).to_have_text("Sound on")
    await site.alert("INC-2", headline="After it")
    await expect(board).to_have_title("(2) Floor board")
    await board.wait_for_function("window.tones === 2")
    await sound.click()
    await site.report("INC-3")
    await site.alert("INC-3")
    await expect(board).to_have_title("(3) Floor board")
    assert await board.evaluate("window.tones") == 2


MARK = """() => {
  window.changed = { added: 0 };
  for (const card of document.querySelectorAll("#incidents > .card")) card.marked = true;
  new MutationObserver((all) => { for (const one of all) window.changed.added += one.addedNodes.length; })
    .observe(document.getElementById("incidents"), { childList: true });
}"""


@pytest.mark.once
async def test_five_hundred_incidents_and_many_updates_lose_none_and_touch_only_what_changed(
    site: Website, visit: Visit
) -> None:
    opened = site.kit.clock.now()
    names = [f"INC-{number:03}" for number in range(501)]
    ages = {name: rfc3339(opened - timedelta(minutes=place)) for place, name in enumerate(names)}
    await site.report_all({name: {"openedAt": at, "incidentCommonPriorityNumber": 5} for name, at in ages.items()})
    board = await (await visit("floor")).open("/")
    cards = board.locator("#incidents > .card")
    await expect(cards).to_have_count(500)
    await expect(board.locator("#incidents-rest")).to_contain_text("More are open than are listed here")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
    loads: list[str] = []
    board.on("request", lambda request: loads.append(request.url.removeprefix(site.address)))
    await board.evaluate(MARK)
    newest: dict[str, str] = {}
    shows = """(wanted) => Object.entries(wanted).every(([key, place]) =>
      document.querySelector(`#incidents [data-key="${key}"] .place`).textContent === place)"""
    for turn in range(15):
        changed = names[turn:400:40]
        newest |= {name: f"{name}, change {turn}" for name in changed}
        await site.report_all({name: {"location": {"text": newest[name]}, "openedAt": ages[name]} for name in changed})
        if turn % 5 == 4:  # more than a hundred at once would be fetched as a whole board
            await board.wait_for_function(shows, arg=newest)
    await expect(cards).to_have_count(500)
    unmarked = "all => all.filter((one) => !one.marked).map((one) => one.dataset.key)"
    assert set(await board.eval_on_selector_all("#incidents > .card", unmarked)) == set(newest)
    assert await board.evaluate("window.changed.added") <= 15 * 10
    assert "/" not in loads  # the whole of it was never loaded again
    live = await keys_of(board)
    await board.reload()
    assert await keys_of(board) == live

    await site.report("INC-500", incidentCommonPriorityNumber=1)  # one more than are listed: the last one makes room
    await expect(cards.first).to_have_attribute("data-key", "INC-500")
    await expect(cards).to_have_count(500)
    await expect(board.locator('[data-key="INC-499"]')).to_have_count(0)
    await site.report_all({name: {"incidentStatusCommonRegistryText": "closed"} for name in names[:60]})
    await expect(board.locator('[data-key="INC-499"]')).to_have_count(1)  # there is room again
    await expect(cards).to_have_count(441)


@pytest.mark.once
async def test_leads_are_announced_politely(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    board = await (await visit("floor")).open("/")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
    await site.lead("INC-1", people=0)
    await expect(board.locator("#say-politely")).to_contain_text(
        "No candidate. Investigative lead only - needs corroboration."
    )
    await expect(board.locator("#say-at-once")).to_be_empty()


@pytest.mark.once
async def test_an_update_leaves_the_readers_place_alone(site: Website, visit: Visit) -> None:
    for number in range(3):
        await site.report(f"INC-{number}", location={"text": f"Street {number}"})
    board = await (await visit("floor")).open("/")
    link = board.locator('#incidents [data-key="INC-1"] a')
    await link.focus()
    await site.report("INC-0", location={"text": "Another street"})
    await expect(board.locator("#incidents")).to_contain_text("Another street")
    await expect(link).to_be_focused()


async def test_the_board_survives_a_lost_connection_without_a_gap(site: Website, visit: Visit) -> None:
    visitor = await visit("floor")
    visitor.tolerated = ("net::ERR",)
    board = await visitor.open("/")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
    await board.context.set_offline(True)
    site.cut_connections()
    await expect(board.locator("#connection")).to_have_attribute("data-state", "reconnecting")
    await site.report("INC-1", location={"text": "reported meanwhile"})
    await board.context.set_offline(False)
    await expect(board.locator("#incidents .card")).to_contain_text("reported meanwhile")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")


async def test_the_board_survives_a_restart_of_the_daemon(database: Database, browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    clock = right_now()

    @asynccontextmanager
    async def daemon() -> AsyncIterator[Website]:
        async with running_site(database, clock, Metrics(), tmp_path, port=port) as running:
            yield running

    async with daemon() as before:
        await before.report("INC-1")
        visitor = await new_visitor(browser, before.address, "floor")
        visitor.tolerated = ("net::ERR",)
        board = await visitor.open("/")
        await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "reconnecting")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "unreachable")
    await expect(board.locator("#outages")).to_contain_text("what you see may be out of date")
    await expect(board.locator("#outages")).to_contain_text(" UTC)")
    await expect(board.locator("#incidents .card")).to_have_count(1)  # what was known stays on the wall
    async with daemon() as after:
        await after.report("INC-2", location={"text": "after the restart"})
        await expect(board.locator("#incidents")).to_contain_text("after the restart")
        await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
        await expect(board.locator("#outages")).to_be_empty()
    visitor.checked()


WALL_LEADS = 5
SIZE_OF = "(name) => parseFloat(getComputedStyle(document.querySelector(name)).fontSize)"


@pytest.mark.once
async def test_a_wall_shows_the_board_by_its_token_large_and_with_nothing_to_press(
    database: Database, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtcc_bridge.web.board_pages.WALL_LEADS", WALL_LEADS)
    identity = {"role_switch": False}
    async with running_site(database, right_now(), Metrics(), tmp_path, identity=identity) as site:
        await site.report_all({f"INC-{number:02}": {"notes": ["what dispatch wrote"]} for number in range(60)})
        await site.alert("INC-30", headline="Armed person at the station")
        await site.report("INC-31", incidentCommonPriorityNumber=0, location={"text": "A very long place name " * 12})
        life = build_life(site.kit)
        for number in range(WALL_LEADS + 1):
            await life.lead(people=0, incident_id=f"INC-{number:02}")
        await site.settle()
        tokens, administrator = site.services.people.tokens, DEMO_ACCOUNTS["administrator"]
        until = site.kit.clock.now() + timedelta(days=1)
        token = await tokens.create(administrator, "the wall", [Deed.WATCH_FLOOR], until)
        visitor = await new_visitor(browser, site.address, "floor")
        visitor.tolerated = ("401", "net::ERR")
        wall = await visitor.open("/wall")
        await wall.get_by_label("Token").fill(token.text)
        await wall.keyboard.press("Enter")
        first = wall.locator("#incidents > .card").first
        await expect(first).to_contain_text("Armed person at the station")
        await expect(first.locator(".countdown")).to_contain_text("ends in")
        await expect(wall.locator("#connection")).to_have_attribute("data-state", "live")
        assert wall.url == f"{site.address}/wall"
        assert await wall.locator("a, button, input, select, [tabindex='0']").count() == 0
        await expect(wall.locator("body")).not_to_contain_text("what dispatch wrote")

        sizes = {}
        for width, height in ((1920, 1080), (3840, 2160)):
            await wall.set_viewport_size({"width": width, "height": height})
            await expect(wall.locator("#incidents-left-out")).to_contain_text("more")
            assert await wall.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
            visible = await wall.locator("#incidents > .card:not(.left-out)").count()
            await expect(wall.locator("#incidents-left-out")).to_have_text(f"and {60 - visible} more")
            leads = await wall.locator("#leads > .card:not(.left-out)").count()
            assert leads >= 3
            await expect(wall.locator("#leads-left-out")).to_have_text(f"and at least {WALL_LEADS + 1 - leads} more")
            two = wall.locator('[data-key="INC-31"]'), wall.locator("#incidents > .card").nth(2)
            boxes = [await one.bounding_box() for one in two]
            assert len({box["height"] for box in boxes if box}) == 1, "a long place takes no second line"
            sizes[height] = (visible, await wall.evaluate(SIZE_OF, "#incidents h3") / height)
        assert sizes[1080][0] == sizes[2160][0] >= 6
        assert min(share for _, share in sizes.values()) > 0.03  # of the height of the screen

        await wall.context.set_offline(True)
        site.cut_connections()
        await expect(wall.locator("#connection")).to_have_attribute("data-state", "reconnecting")
        await site.alert("INC-40", headline="Raised meanwhile")
        await wall.context.set_offline(False)
        await expect(wall.locator("#incidents")).to_contain_text("Raised meanwhile")
        await expect(wall).to_have_title("(2) Wall board")

        other = await visitor.open("/")
        await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()  # it is good for nothing else
        wall = await visitor.open("/wall")
        await expect(wall.locator("#connection")).to_have_attribute("data-state", "live")
        await tokens.revoke(administrator, token.record.token_id)
        await expect(wall.get_by_label("Token")).to_be_visible()
        visitor.checked()


@pytest.mark.once
async def test_the_board_stays_up_and_says_so_when_the_broker_is_down(site: Website, visit: Visit) -> None:
    async def away() -> str:
        return "connection refused"

    site.readiness["consumer"] = away
    visitor = await visit("floor")
    visitor.tolerated = ("503",)
    board = await visitor.open("/")
    await expect(board.locator("#outages")).to_contain_text("No new incident and no new alert arrives")
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")

    async def back() -> None:
        return None

    site.readiness["consumer"] = back
    await expect(board.locator("#outages")).to_be_empty()


@pytest.mark.once
async def test_a_board_whose_process_only_serves_it_says_what_no_other_process_does(
    database: Database, browser: Browser, tmp_path: Path
) -> None:
    async with running_site(database, right_now(), Metrics(), tmp_path, roles=[Role.WEB]) as site:
        visitor = await new_visitor(browser, site.address, "floor")
        board = await visitor.open("/")
        await expect(board.locator("#outages")).to_contain_text("Nobody reads incidents and alerts now")
        await expect(board.locator("#outages")).to_contain_text("Nobody searches now")
        await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
        board_of_others = ReadinessBoard(Metrics(), {})
        work = Heartbeat(database, [Role.CONSUMER, Role.MATCHER, Role.RELAY], board_of_others, SystemClock())
        await work.beat()
        await expect(board.locator("#outages")).to_be_empty()
        visitor.checked()


@pytest.mark.once
@pytest.mark.parametrize(
    ("fields", "rule", "words"),
    [
        ({"incidentTypeCommonRegistryText": "CIVDIS"}, "P02", "protests and civil disturbances"),
        ({"incidentTypeCommonRegistryText": "LOITERING"}, "P02", "permits no search for incidents of type LOITERING"),
        ({"incidentStatusCommonRegistryText": "unfounded"}, "P08", "ended the authority to search"),
        ({"exercise": True}, "P07", "no training gallery"),
    ],
)
async def test_what_cannot_be_searched_is_said_with_its_rule_before_anybody_tries(
    site: Website, visit: Visit, fields: dict[str, Any], rule: str, words: str
) -> None:
    await site.report("INC-1", **fields)
    page = await (await visit("analyst")).open("/incidents/INC-1")
    await expect(page.locator(".attach .refusal")).to_contain_text(f"Rule {rule}")
    await expect(page.locator(".attach .refusal")).to_contain_text(words)
    assert await page.locator("#attach").count() == 0


@pytest.mark.once
async def test_a_refusal_of_the_daemon_is_shown_with_its_rule_and_the_form_is_kept(site: Website, visit: Visit) -> None:
    """Each of them with what to do about it, one after another in the same form."""
    await site.report("INC-1")
    visitor = await visit("analyst")
    visitor.tolerated = ("403",)
    page = await visitor.open("/incidents/INC-1")
    await fill_form(page)
    await page.get_by_label("Legal basis").fill("   ")
    await page.get_by_role("button", name="Find the faces").click()
    await expect(page.locator("#answer")).to_contain_text("Rule P01")
    await expect(page.locator("#answer")).to_contain_text("A search needs a legal basis")
    await expect(page.get_by_label("Requestor")).to_have_value("the requestor")
    await expect(page.get_by_role("button", name="Find the faces")).to_be_enabled()

    await page.get_by_label("Legal basis").fill("criminal investigation")
    await page.get_by_label("I attest").uncheck()
    await page.locator("#attach").evaluate("form => { form.noValidate = true; }")  # a browser that asks for nothing
    await is_refused(page, "P05", "Attest that the still is no sketch, composite, generated or face-swapped picture")
    await page.get_by_label("I attest").check()
    site.kit.workers.error = InvalidInputError("the picture moves", "animated")
    await is_refused(page, "P03", "choose one frame yourself and attach that frame")
    site.kit.workers.error = None
    await under(build_life(site.kit), jurisdiction={"warrant_or_exigency_for": ["violent_offense"]})
    await is_refused(page, "P09", "needs a warrant here, or the exigency that stands in for one: state it")
    await put_in_force(site.kit, OpenedPolicy(policy(), "", site.kit.clock.now()))
    await is_refused(page, "P21", "have the administrator put the next in")
    assert await site.kit.rows(tables.probes) == []


async def is_refused(page: Page, rule: str, words: str) -> None:
    await page.get_by_role("button", name="Find the faces").click()
    await expect(page.locator("#answer .badge.rule")).to_have_text(f"Rule {rule}")
    await expect(page.locator("#answer")).to_contain_text(words)


@pytest.mark.once
async def test_whoever_fills_in_the_form_hears_that_the_incident_has_ended_and_loses_nothing_when_it_goes_on(
    site: Website, visit: Visit
) -> None:
    await site.report("INC-1")
    page = await (await visit("analyst")).open("/incidents/INC-1")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await fill_form(page)
    await page.get_by_label("Requestor").focus()
    await site.report("INC-1", incidentStatusCommonRegistryText="unfounded")
    await expect(page.locator(".attach .refusal")).to_contain_text("Rule P08")
    await expect(page.locator("#say-at-once")).to_contain_text("ended the authority to search")
    await expect(page.get_by_role("button", name="Find the faces")).to_be_hidden()
    await site.report("INC-1")
    await expect(page.locator(".attach .refusal")).to_have_count(0)
    await expect(page.get_by_label("Requestor")).to_have_value("the requestor")
    await page.get_by_role("button", name="Find the faces").click()
    await expect(page.get_by_role("heading", name="Choose a face")).to_be_visible()


@pytest.mark.once
async def test_a_refusal_is_shown_also_while_a_large_still_is_on_its_way(
    site: Website, visit: Visit, tmp_path: Path
) -> None:
    """The daemon refuses before it has read the still; the browser must hear that, and not of a broken connection."""
    await site.report("INC-1")
    visitor = await visit("analyst")
    visitor.tolerated = ("403",)
    page = await visitor.open("/incidents/INC-1")
    await fill_form(page)
    large = tmp_path / "still.jpg"
    large.write_bytes(jpeg() + bytes(20_000_000))
    await page.get_by_label("The still").set_input_files(large)
    await page.get_by_label("Requestor").fill(" ")
    await page.get_by_role("button", name="Find the faces").click()
    await expect(page.locator("#answer")).to_contain_text("A search needs a requestor")


@pytest.mark.once
async def test_a_page_whose_account_changed_says_so_once(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    visitor = await visit("analyst")
    visitor.tolerated = ("403",)
    page = await visitor.open(f"/probes/{probe['probeId']}")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await somebody_else_signs_in(page, site, "floor")
    await site.report("INC-1", location={"text": "elsewhere"})
    await expect(page.locator(".problem")).to_contain_text("Rule P10")


async def somebody_else_signs_in(page: Page, site: Website, account: str) -> None:
    """In another tab of the same browser."""
    await act_as(page.context, site.address, account)


@pytest.mark.once
async def test_p04_a_colleague_neither_sees_nor_chooses_in_what_is_not_masked_yet(site: Website, visit: Visit) -> None:
    """Nor does who has signed in where the analyst's page still stands."""
    await site.report("INC-1")
    site.kit.workers.faces = (face(1), face(2, left=200.0))
    probe = await site.attach("INC-1")
    analyst, colleague = await visit("analyst"), await visit("reviewer")
    analyst.tolerated = colleague.tolerated = ("403",)
    other = await colleague.open(f"/probes/{probe['probeId']}")
    await not_masked_yet(other)
    async with site.client.post("/api/v1/incidents/INC-1/clips", data=clip_form(), headers=acting("analyst")) as sent:
        clip = await sent.json()
    other = await colleague.open(f"/clips/{clip['clipId']}")
    await expect(other.locator(".problem .badge.rule")).to_have_text("Rule P04")
    await expect(other.locator(".problem")).to_contain_text("comes to the incident as a still")

    page = await analyst.open(f"/probes/{probe['probeId']}")
    await is_live(page)
    await page.get_by_role("radio", name="Face 2").check()
    await somebody_else_signs_in(page, site, "reviewer")
    await page.get_by_role("button", name="Search for face 2").click()
    await expect(page.locator("#answer .badge.rule")).to_have_text("Rule P04")
    await expect(page.locator("#answer")).to_contain_text("have them choose it")
    await not_masked_yet(page)
    assert [row["chosen_face"] for row in await site.kit.rows(tables.probes)] == [None]


async def not_masked_yet(page: Page) -> None:
    await expect(page.locator("#picture .badge.rule")).to_have_text("Rule P04")
    await expect(page.locator("#picture")).to_contain_text("only the analyst who chooses sees the still")
    for what in ("#still", "#choose"):
        await expect(page.locator(what)).to_have_count(0)


@pytest.mark.once
async def test_p24_whoever_waits_at_a_still_that_was_purged_is_told_so(site: Website, visit: Visit) -> None:
    """The analyst, at a still of which nobody ever chose a face, and who comes back to it at any time."""
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    page = await (await visit("analyst")).open(f"/probes/{probe['probeId']}")
    await is_live(page)
    await expect(page.locator("#still")).to_be_visible()
    keeper = RetentionKit(build_life(site.kit))
    keeper.pass_time(max(policy().retention.days.values()) * DAY)
    assert await keeper.purge() == 1
    supervisor = await (await visit("supervisor")).open(f"/approvals/{probe['probeId']}")
    for part in (page.locator("#picture"), supervisor.locator("#decision")):
        await expect(part.locator(".badge.rule")).to_have_text("Rule P24")
        await expect(part).to_contain_text("attach the still anew")
    for one in (page, supervisor):
        await expect(one.locator("main img")).to_have_count(0)
        await expect(one.get_by_text("Legal basis")).to_have_count(0)
    await expect(page.locator("#choose")).to_have_count(0)


@pytest.mark.once
async def test_p25_p28_whoever_waits_for_a_search_is_told_what_keeps_it_waiting(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    await site.post(f"/probes/{probe['probeId']}/approve", "supervisor")

    async def misses_something() -> str:
        return "why, for operations"

    async def is_there() -> None:
        return None

    site.readiness |= dict.fromkeys(("gallery city", "evaluation"), misses_something)
    page = await (await visit("analyst")).open(f"/probes/{probe['probeId']}")
    await expect(page.get_by_role("heading", name="Searching")).to_be_visible()
    for words in (
        "whether somebody was removed from the gallery (P25)",
        "without one no live gallery is searched (P28)",
    ):
        await expect(page.locator("#outages")).to_contain_text(words)
    site.readiness |= dict.fromkeys(("gallery city", "evaluation"), is_there)
    await site.search_all([await site.kit.enrol("one")])
    await expect(page.get_by_role("heading", name="Searched")).to_be_visible()
    await expect(page.locator("#outages")).to_be_empty()


@pytest.mark.once
async def test_p08_a_search_that_ended_while_it_waited_says_why_and_asks_nobody_to_decide(
    site: Website, visit: Visit
) -> None:
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    page = await (await visit("analyst")).open(f"/probes/{probe['probeId']}")
    request = await (await visit("supervisor")).open(f"/approvals/{probe['probeId']}")
    for one in (page, request):
        await is_live(one)
    await expect(page.get_by_role("heading", name="Supervisor's approval: Pending")).to_be_visible()
    await site.report("INC-1", incidentStatusCommonRegistryText="unfounded")
    await expect(page.locator("#side .detail")).to_have_text("Reason: the incident is unfounded")
    await expect(page.get_by_role("heading", name="Supervisor's approval")).to_have_count(0)
    await expect(request.locator("#decided")).to_contain_text("There is nothing to decide any more")
    await expect(request.locator("#decided + p")).to_have_text("Reason: the incident is unfounded")


@pytest.mark.once
async def test_a_second_click_sends_nothing_twice(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    page = await (await visit("analyst")).open("/incidents/INC-1")
    sent: list[str] = []

    async def count(route: Route) -> None:
        sent.append(route.request.url)
        await route.continue_()

    await page.route("**/probes", count)
    await fill_form(page)
    await page.get_by_role("button", name="Find the faces").dblclick()
    await expect(page.get_by_role("heading", name="Choose a face")).to_be_visible()
    assert len(sent) == 1


@pytest.mark.once
async def test_a_still_can_be_pasted(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    page = await (await visit("analyst")).open("/incidents/INC-1")
    await page.evaluate(
        """() => {
          const pasted = new DataTransfer();
          pasted.items.add(new File([new Uint8Array([255, 216, 255])], "pasted.jpg", { type: "image/jpeg" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: pasted }));
        }"""
    )
    assert await page.evaluate("document.getElementById('image').files[0].name") == "pasted.jpg"


@pytest.mark.once
async def test_the_role_switch_changes_who_acts_and_stays_on_the_page(site: Website, visit: Visit) -> None:
    await site.report("INC-1")
    page = await (await visit("floor")).open("/incidents/INC-1")
    await expect(page.locator(".attach")).to_contain_text("Only an analyst attaches stills.")
    await page.get_by_role("button", name="Analyst").click()
    await expect(page.locator("#attach")).to_be_visible()
    assert page.url.endswith("/incidents/INC-1")
    await expect(page.get_by_role("button", name="Analyst")).to_have_attribute("aria-pressed", "true")


@pytest.mark.once
async def test_the_demos_guide_goes_along_by_keyboard_moves_nothing_and_stays_closed(
    site: Website, visit: Visit
) -> None:
    await site.report("INC-1")
    page = await (await visit("floor", first_time=True)).open("/")
    guide = page.get_by_role("region", name="First steps")
    await expect(guide.get_by_role("heading", name="1 of 5: The board")).to_be_visible()
    place = await page.locator("#incidents > .card").bounding_box()
    await page.keyboard.press("h")
    await expect(guide).to_be_hidden()
    assert await page.locator("#incidents > .card").bounding_box() == place
    await page.keyboard.press("h")
    await expect(guide.get_by_role("heading", name="First steps")).to_be_focused()
    await page.keyboard.press("Tab")
    for title in ("2 of 5: A still", "3 of 5: A face"):
        await page.keyboard.press("Enter")
        await expect(guide.get_by_role("heading", name=title)).to_be_visible()
    await expect(guide.get_by_role("link")).to_have_count(0)  # the floor may not go where this step is done
    await page.get_by_role("button", name="Supervisor").click()
    await guide.get_by_role("link", name="Approvals").click()
    await expect(guide.get_by_role("heading", name="3 of 5: A face")).to_be_visible()  # it goes along
    assert page.url.endswith("/approvals")
    for _ in range(2):
        await guide.get_by_role("button", name="Next").click()
    await expect(guide.get_by_role("heading", name="5 of 5: The investigator")).to_be_visible()
    await expect(guide.get_by_role("button", name="Next")).to_be_hidden()
    await page.keyboard.press("Escape")
    await expect(guide).to_be_hidden()
    await expect(page.get_by_role("button", name="First steps")).to_be_focused()
    await page.goto(f"{site.address}/")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await expect(guide).to_be_hidden()
    await page.get_by_role("button", name="First steps").click()
    await expect(guide.get_by_role("heading", name="1 of 5: The board")).to_be_visible()


@pytest.mark.once
async def test_text_from_outside_stays_text(site: Website, visit: Visit) -> None:
    """Every field that comes from Kafka or from a form, on every page, as rendered and as swapped in."""
    board = await (await visit("supervisor")).open("/")
    analyst = (await visit("analyst")).page
    await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
    for number, nasty in enumerate(NASTY_TEXTS):
        name = f"INC-{number} {nasty}"[:200].strip()
        site.kit.clock.advance(1)  # so that it is the newest, which stands first
        await site.report(name, location={"text": nasty}, notes=[nasty, {"text": nasty}])
        await site.alert(name, headline=nasty, event=nasty, severity=nasty[:100], urgency=nasty[:100])
        card = board.locator("#incidents .card").nth(0)
        await expect(card.locator(".place")).to_have_text(shown(nasty))
        await expect(card.locator(".headline")).to_have_text(shown(nasty))
        stated: dict[str, Any] = {"legalBasis": f"{nasty}!", "requestor": f"{nasty}!", "caseNumber": f"{nasty}!"}
        probe = await site.attach(name, **stated)
        await analyst.goto(f"{site.address}/incidents/{quote(name, safe='')}/notes")
        await expect(analyst.locator(".notes li").first).to_have_text(shown(nasty))
        await analyst.goto(f"{site.address}/probes/{probe['probeId']}")
        await expect(analyst.locator("main dl").last).to_contain_text(shown(f"{nasty}!"))
        for page in (board, analyst):
            assert await page.evaluate("window.struck === undefined")
            assert await page.locator("main script, main iframe, main [onerror], main [onload]").count() == 0


def shown(text: str) -> str:
    """As the browser compares it: white space collapsed."""
    return " ".join(text.split())


@pytest.mark.once
@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_the_board_and_the_analysts_pages_are_whole_at_every_size(
    site: Website, visit: Visit, scheme: str
) -> None:
    """No text runs out of the page sideways, every field has a name, every page its landmarks."""
    await site.report("INC-1", location={"text": "A very long place name " * 12})
    await site.alert("INC-1", headline="x" * 300)
    lead = await site.lead("INC-1")
    visitor = await visit("analyst", color_scheme=scheme)
    for path in ("/", "/incidents/INC-1", f"/probes/{lead['data']['probeId']}"):
        for width, height in ((1280, 720), (1920, 1080), (3840, 2160), (390, 800)):
            await visitor.page.set_viewport_size({"width": width, "height": height})
            page = await visitor.open(path)
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (path, width)
        for landmark in ("header.top", "main", "footer", "nav"):
            await expect(page.locator(landmark)).to_have_count(1)
        unnamed = "[...document.querySelectorAll('input:not([type=hidden])')].filter((one) => !one.labels.length)"
        assert await page.evaluate(f"{unnamed}.length") == 0
        await expect(page.locator(".corroborate")).to_contain_text("Investigative lead only - needs corroboration")


@pytest.mark.once
async def test_a_page_that_does_not_exist_says_so_in_words(site: Website, visit: Visit) -> None:
    visitor = await visit("floor")
    visitor.tolerated = ("404", "403")
    page = await visitor.open("/incidents/unknown")
    await expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    page = await visitor.open(f"/probes/{probe['probeId']}")
    await expect(page.locator(".problem")).to_contain_text("Rule P10")


@pytest.mark.once
async def test_a_person_signs_in_by_keyboard_to_the_page_that_was_wanted_and_out_again(
    database: Database, browser: Browser, tmp_path: Path
) -> None:
    identity = {"role_switch": False}
    async with running_site(database, right_now(), Metrics(), tmp_path, identity=identity) as site:
        accounts = site.services.people.accounts
        assert accounts is not None
        await accounts.add(DEMO_ACCOUNTS["administrator"], "boris", [Duty.SUPERVISOR], "correct horse battery")
        await site.report("INC-1")
        visitor = await new_visitor(browser, site.address, "supervisor")  # a cookie that counts for nothing here
        page = await visitor.open("/incidents/INC-1")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.get_by_label("Account").focus()
        for text in ("boris", "correct horse battery"):
            await page.keyboard.type(text)
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("footer")).to_contain_text("Signed in as boris")
        assert page.url == f"{site.address}/incidents/INC-1"
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        await expect(page.locator("footer")).not_to_contain_text("boris")
        visitor.checked()
