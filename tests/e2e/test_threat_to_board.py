"""From a threat on the broker to a lead on the board with nothing stood in for: the broker, the daemon with its
sandboxed worker, its model and its database, and a real browser."""

import pytest
from playwright.async_api import Browser, Page, expect

from rtcc_bridge.demo.pictures import portrait, rephotograph
from tests.e2e.calls import publish
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon
from tests.e2e.visitors import new_visitor


async def search(page: Page) -> None:
    """An analyst's part, on the page of an incident under a threat."""
    await page.get_by_role("radio", name="Imminent threat").check()
    await page.get_by_label("Legal basis").fill("imminent threat to life")
    await page.get_by_label("Requestor").fill("the requestor")
    await page.get_by_label("Case number").fill("26-000123")
    still = {"name": "still.jpg", "mimeType": "image/jpeg", "buffer": rephotograph(portrait())}
    await page.get_by_label("The still").set_input_files(still)  # type: ignore[arg-type]  # a file's payload
    await page.get_by_label("I attest").check()
    await page.get_by_role("button", name="Find the faces").click()
    await expect(page.get_by_role("heading", name="Choose a face")).to_be_visible()
    await page.locator('[data-face="1"] rect').click()
    await page.get_by_role("button", name="Search for face 1").click()


@pytest.mark.timeout(180)
async def test_a_threat_on_the_broker_becomes_a_lead_on_the_board(enrolled_place: Place, browser: Browser) -> None:
    place = enrolled_place
    async with running_daemon(place.settings_file, place.address, place.log, real_workers=True):
        floor, analyst = [await new_visitor(browser, place.address, role) for role in ("floor", "analyst")]
        board = await floor.open("/")
        await expect(board.locator("#connection")).to_have_attribute("data-state", "live")
        incident = await publish(place, threat=True)
        await expect(board.locator("#incidents .card")).to_contain_text("Active shooter")
        page = await analyst.open(f"/incidents/{incident}")
        await search(page)
        await expect(page.get_by_role("heading", name="Searched")).to_be_visible()
        await expect(page.locator("#side .lead")).to_contain_text("1 candidate to compare")
        await expect(board.locator("#leads .lead .needs")).to_have_text("Investigative lead only - needs corroboration")
        await expect(board.locator("#leads .lead")).to_contain_text("Approval pending")
        for visitor in (floor, analyst):
            visitor.checked()
            await visitor.page.close()
