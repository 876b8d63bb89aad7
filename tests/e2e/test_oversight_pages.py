"""People, galleries, oversight and one's own activity in a real Chromium: axe on every page, and what is done there.

Everything that a page logs as an error, and every breach of its content security policy, fails the test.
"""

import io
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, FilePayload, Page, ViewportSize, expect

from rtcc_bridge.gallery.enroll import Enroller
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.gallery.sent_enrolment import SentPictureEnroller
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.signed_in import SignedIn, Voucher
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.e2e import accessibility
from tests.e2e.visitors import Visitor, act_as, new_visitor, right_now
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, WordPortraits, word_templates
from tests.life_kit import FIRST, PEER, build_life
from tests.probe_kit import POLICY_FILE, PictureWorkers, gallery_parts
from tests.report_kit import sign_log
from tests.sign_in_kit import HOME, IDENTITY
from tests.website import Website, acting, running_site

FAR_AWAY = ZoneInfo("Pacific/Marquesas")
"""Nine hours and a half behind UTC, all year."""

TALL = ViewportSize(width=1280, height=3000)
"""So that the demonstration's banner, which stays in sight, covers nothing of a page."""
LARGE = ViewportSize(width=3840, height=2160)


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, right_now(), Metrics(), tmp_path, workers=PictureWorkers()) as running:
        yield running


@asynccontextmanager
async def visiting(browser: Browser, site: Website, account: str, **options: Any) -> AsyncIterator[Visitor]:
    """options: of the browser's context."""
    visitor = await new_visitor(browser, site.address, account, **options)
    yield visitor
    visitor.checked()


async def opened(visitor: Visitor, path: str) -> Page:
    page = await visitor.open(path)
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    return page


async def enrolled(
    site: Website, folder: Path, *people: str, gallery: str = "city", kind: GalleryKind = GalleryKind.DEMO
) -> None:
    """Each with one picture."""
    for name in people:
        (folder / name).mkdir(parents=True)
        (folder / name / "1").write_text(f"{name}-1")
    enroller = Enroller(gallery_parts(site.kit), WordPortraits(), PACK, max_picture_bytes=1000, workers=1)
    await enroller.enroll(FolderSource(folder, **SOURCE_WORDS), gallery, kind, account=ADMINISTRATOR)


async def signed_in(site: Website, person: str) -> None:
    account = Account(person, frozenset({Role.ANALYST}), login=f"{person}@example.org")
    await site.services.people.sessions.begin(SignedIn(voucher=Voucher.LOCAL, account=account))


@pytest.mark.once
@pytest.mark.timeout(300)
async def test_no_page_breaks_a_rule_of_wcag_in_either_theme(site: Website, browser: Browser, tmp_path: Path) -> None:
    axe = accessibility.library()
    await enrolled(site, tmp_path / "people", "ann", "bob")
    await site.report("INC-1", location={"text": "Harbor Street 12"}, notes=["Caller is on the line"])
    life = build_life(site.kit)
    searched = await site.attach("INC-1", requestor="requestor")
    await site.post(f"/probes/{searched['probeId']}/face", "analyst", {"number": 1})
    await site.post(f"/probes/{searched['probeId']}/approve", "supervisor")
    await site.search_all([await life.enrol("somebody")])
    lead = str((await site.kit.rows(tables.leads))[0]["lead_id"])
    await life.leads.acknowledge(lead, FIRST)
    await life.conclude(lead, (0,))
    await life.review(lead, PEER, (0,))
    await life.life.release.release(lead, FIRST, ())
    await site.attach("INC-1")
    waiting = await site.attach("INC-1")
    await site.post(f"/probes/{waiting['probeId']}/face", "analyst", {"number": 1})
    async with site.client.get("/oversight", headers=acting("analyst")) as answer:
        assert answer.status == 403
    await site.post("/galleries/city/expunge", "administrator", {"person": "bob", "reason": "court order 7"})
    await signed_in(site, "e-1")
    await sign_log(site.kit)
    [entry] = await site.kit.rows(tables.audit_entries, action="lead.candidates")
    pages = {
        "administrator": ["/oversight", "/oversight/misuse", "/gallery", "/gallery/city", "/people", "/activity"],
        "auditor": ["/oversight/audit", f"/oversight/audit/{entry['entry_id']}", "/oversight/policy", "/oversight"],
        "supervisor": ["/incidents/INC-1/notes", "/approvals", f"/approvals/{waiting['probeId']}", "/oversight"],
        "reviewer": ["/review", "/activity"],
        "analyst": ["/activity"],
        "requestor": ["/released", f"/released/{lead}"],
    }
    broken: dict[str, list[str]] = {}
    for account, paths in pages.items():
        async with visiting(browser, site, account) as visitor:
            for path in paths:
                await visitor.page.set_viewport_size(TALL)
                page = await opened(visitor, path)
                await visitor.stood_still()
                broken |= await broken_on(page, axe, f"{account}: {path}")
                await page.set_viewport_size(LARGE)
                if not await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"):
                    broken[f"{account}: {path}, large"] = ["it runs out of the page sideways"]
            if account == "supervisor":
                await page.set_viewport_size(TALL)
                await page.keyboard.press("?")
                await expect(page.get_by_role("dialog")).to_be_visible()
                broken |= await broken_on(page, axe, "the list of keys")
            await visitor.page.context.close()
    async with visiting(browser, site, "analyst") as visitor:
        visitor.tolerated = ("403 (Forbidden)", "404 (Not Found)")  # the second one of an icon beside a file
        page = await visitor.open("/oversight")
        await expect(page.locator(".problem")).to_be_visible()
        broken |= await broken_on(page, axe, "a refusal")
        page = await visitor.open("/sign-in")
        broken |= await broken_on(page, axe, "sign in, of the demo")
        broken |= await broken_on_papers(site, visitor.page, lead, axe, tmp_path)
    broken |= await broken_on_sign_in(browser, site, axe, tmp_path / "other")
    assert broken == {}


async def broken_on(page: Page, axe: str, name: str) -> dict[str, list[str]]:
    found = await accessibility.broken_rules(page, axe)
    return {name: found} if found else {}


LOCAL_MINUTE = """at => {
  const local = new Date(at);
  local.setMinutes(local.getMinutes() - local.getTimezoneOffset());
  return local.toISOString().slice(0, 16);
}"""
"""A moment as the field for a date and a time takes it."""
HANDED_TO = {"office": "Public defender", "name": "matter 26-118"}


async def makes_packet(page: Page, lead: str) -> None:
    """By keyboard."""
    region = page.get_by_role("region", name="Discovery packet")
    await region.get_by_label("Lead", exact=True).fill(lead)
    await region.get_by_label("Office that gets it").fill(HANDED_TO["office"])
    await region.get_by_label("Who there, or their matter").fill(HANDED_TO["name"])
    await region.get_by_label("Reason").fill("motion of the defense")
    await region.get_by_label("Reason").press("Enter")


async def test_a_packet_is_made_on_the_page_and_it_is_noted_there_that_whom_it_was_handed_to_was_told(
    site: Website, browser: Browser
) -> None:
    life = build_life(site.kit)
    lead, examined = await life.released(), await life.taken()
    [row] = await site.kit.rows(tables.leads, lead_id=lead)
    async with visiting(browser, site, "administrator") as visitor:
        visitor.tolerated = ("403 (Forbidden)",)
        await visitor.page.set_viewport_size(TALL)
        page = await opened(visitor, f"/incidents/{row['incident_id']}")
        await page.locator(f'#leads [data-key="{lead}"]').get_by_role("link", name="Discovery packet").click()
        await expect(page.get_by_label("Lead", exact=True)).to_have_value(lead)
        await makes_packet(page, examined)
        await expect(page.locator("#packet-answer .badge.rule")).to_have_text("Rule P12")
        async with page.expect_download() as began:
            await makes_packet(page, lead)
        made = await began.value
        assert made.suggested_filename == f"discovery-lead-{lead}.zip"
        with zipfile.ZipFile(await made.path()) as packed:
            assert packed.testzip() is None
            assert f"discovery-lead-{lead}/README.txt" in packed.namelist()
        await expect(page.locator("#packet-words")).to_contain_text("is in your downloads")
        await expect(page.locator("#packet-answer")).to_be_empty()

        await site.post(f"/leads/{lead}/withdraw", "supervisor", {"reason": "another camera"})
        page = await opened(visitor, "/oversight")
        unconfirmed = page.get_by_role("region", name="Withdrawals that somebody has not confirmed")
        await expect(unconfirmed).to_contain_text("matter 26-118")
        assert await broken_on(page, accessibility.library(), "somebody has not confirmed") == {}
        told = await page.evaluate(LOCAL_MINUTE, site.kit.clock.now().isoformat())
        await unconfirmed.get_by_label("Told at").fill(told)
        await unconfirmed.get_by_label("How").fill("by letter")
        await unconfirmed.get_by_role("button", name="They know").click()
        await expect(unconfirmed).not_to_contain_text("matter 26-118")
        await expect(unconfirmed).to_contain_text("requestor")
    [row] = await site.kit.rows(tables.outside_receivers)
    assert (row["told_how"], row["acknowledged_by"]) == ("by letter", "administrator")


async def broken_on_papers(site: Website, page: Page, lead: str, axe: str, folder: Path) -> dict[str, list[str]]:
    """The report as it is shown, and the packet as somebody unpacked it, which printed has no margins of its own."""
    found: dict[str, list[str]] = {}
    month = f"{site.kit.clock.now():%Y-%m}"
    await act_as(page.context, site.address, "administrator")
    await page.goto(f"{site.address}/api/v1/reports/transparency?from={month}&until={month}")
    found |= await broken_on(page, axe, "the transparency report")
    address = f"/api/v1/leads/{lead}/discovery-packet"
    order = {"reason": "motion of the defense", "handedTo": HANDED_TO}
    async with site.client.post(address, json=order, headers=acting("administrator")) as answer:
        assert answer.status == 200, await answer.text()
        packed = await answer.read()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder / "packet")
    [file] = (folder / "packet").glob("*/lead-1/packet.html")
    await page.goto(file.as_uri())
    found |= await broken_on(page, axe, "the discovery packet")
    await expect(page.locator("body")).to_have_css("padding-left", "13.3333px")
    await page.emulate_media(media="print")
    for name, value in (("padding-left", "0px"), ("margin-top", "0px"), ("max-width", "none")):
        await expect(page.locator("body")).to_have_css(name, value)
    await expect(page.locator("h2").first).to_have_css("break-after", "avoid")
    await expect(page.locator("tr").first).to_have_css("break-inside", "avoid")
    return found


async def broken_on_sign_in(browser: Browser, site: Website, axe: str, folder: Path) -> dict[str, list[str]]:
    """With everything on it that it can have: the department's account, a local one, a wall's token, and a refusal."""
    identity = {**IDENTITY, "role_switch": False, "issuer": "https://id.example.org"}
    settings = {"public_url": HOME}
    async with (
        running_site(
            site.kit.database, right_now(), Metrics(), folder, identity=identity, web_settings=settings, roles=()
        ) as other,
        visiting(browser, other, "nobody") as visitor,
    ):
        visitor.tolerated = ("401 (Unauthorized)",)
        page = await visitor.open("/wall")
        await page.get_by_label("Token").fill("none that was ever made")
        await page.get_by_role("button", name="Show the board here").click()
        await expect(page.get_by_role("alert").filter(has_text="token")).to_be_visible()
        await expect(page.get_by_role("link", name="Sign in with the department's account")).to_be_visible()
        await expect(page.get_by_label("Password")).to_be_visible()
        return await broken_on(page, axe, "sign in, with all that it can have")


@pytest.mark.once
async def test_a_person_is_removed_and_the_second_receipt_comes_by_itself(
    site: Website, browser: Browser, tmp_path: Path
) -> None:
    await enrolled(site, tmp_path / "people", "ann", "bob")
    async with visiting(browser, site, "administrator") as visitor:
        page = await opened(visitor, "/gallery/city")
        await page.get_by_label("Reference in the record system").fill("ann")
        await page.get_by_label("The same reference again").fill("bob")
        await page.get_by_label("Reason, without a name").fill("court order 7")
        await page.get_by_role("button", name="Remove for good").click()
        await expect(page.locator("#answer")).to_contain_text("The two references are not the same")
        assert len(await site.kit.rows(tables.gallery_removals)) == 0
        await page.get_by_label("The same reference again").fill("ann")
        await page.get_by_role("button", name="Remove for good").click()
        await expect(page.locator("#receipt [data-field=imagesRemoved]")).to_have_text("1")
        await expect(page.locator("#receipt")).to_contain_text("Waits until the bytes are gone")
        [entry] = await site.kit.rows(tables.audit_entries, action="gallery.expunged")
        await expect(page.locator("#receipt")).to_contain_text(entry["leaf_hash"])
        await expect(page.locator("#removals")).to_contain_text("court order 7")
        parts = gallery_parts(site.kit)
        await SegmentScrubber(parts.database, parts.vault, parts.audit, parts.clock).scrub("city")
        await expect(page.locator("#receipt")).not_to_contain_text("Waits")
        await expect(page.locator("#removals .badge")).to_have_count(0)
        await fills_in(page, "ann")
        another = FilePayload(name="again.jpg", mimeType="image/jpeg", buffer=b"ann-2")
        await page.get_by_label("Pictures", exact=True).set_input_files([another])
        await page.get_by_label("I attest that the person").check()
        await page.get_by_role("button", name="Enrol").click()
        again = page.locator("#sent li", has_text="again.jpg")
        await expect(again.locator(".badge", has_text="Not enrolled")).to_be_visible()
        await expect(again).to_contain_text("This subject was expunged and stays out (P25)")

        await enrolled(site, tmp_path / "booked", "eve", gallery="booked", kind=GalleryKind.LIVE)
        page = await opened(visitor, "/gallery/booked")
        await expect(page.locator(".badge.rule")).to_have_text("Rule P06")
        await expect(page.get_by_text("the record system books the picture, or operations enrol it")).to_be_visible()
        refusal = page.get_by_role("region", name="Enrol pictures of a person")
        await expect(refusal.locator("code")).to_have_text("rtcc-bridge gallery enroll")
        await expect(page.locator("#enrol")).to_have_count(0)


async def fills_in(page: Page, person: str) -> None:
    """What is stated beside a picture, by keyboard."""
    await page.get_by_label("Reference of the person").focus()
    for words in (person, "Booking desk", "Statute 12"):
        await page.keyboard.type(words)
        await page.keyboard.press("Tab")
    await page.get_by_label("Kept until").fill("2031-12-31")


@pytest.mark.once
async def test_p26_a_report_that_could_be_subtracted_from_another_is_refused_on_a_page(
    site: Website, browser: Browser
) -> None:
    async with visiting(browser, site, "administrator") as visitor:
        visitor.tolerated = ("403 (Forbidden)", "404 (Not Found)")  # the second one of an icon beside a file
        page = await opened(visitor, "/oversight")
        await makes_report(page, "2026-08", "2026-08")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Facial recognition searches")
        page = await opened(visitor, "/oversight")
        await makes_report(page, "2026-07", "2026-08")
        await expect(page.locator(".problem .badge.rule")).to_have_text("Rule P26")
        await expect(page.locator(".problem")).to_contain_text("make it over the same months or over others")
        await page.get_by_role("link", name="Oversight").click()
        await page.get_by_label("Although an earlier report shares months").check()
        await makes_report(page, "2026-07", "2026-08")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Facial recognition searches")
        await expect(page.locator("body")).to_contain_text("Earlier reports share months with this one: 2026-08.")


async def makes_report(page: Page, first: str, last: str) -> None:
    await page.get_by_label("From").fill(first)
    await page.get_by_label("Until").fill(last)
    await page.get_by_role("button", name="Make it").click()


@pytest.mark.once
async def test_pictures_are_enrolled_by_keyboard_and_what_becomes_of_each_is_seen_as_it_happens(
    site: Website, browser: Browser, tmp_path: Path
) -> None:
    await enrolled(site, tmp_path / "people", "ann")
    async with visiting(browser, site, "administrator") as visitor:
        page = await opened(visitor, "/gallery/city")
        await fills_in(page, "R-7")
        files = {"front.jpg": b"eve-1", "group.jpg": b"eve ann"}
        await page.get_by_label("Pictures", exact=True).set_input_files(
            [FilePayload(name=name, mimeType="image/jpeg", buffer=data) for name, data in files.items()]
        )
        await page.get_by_label("I attest that the person").focus()
        await page.keyboard.press("Space")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")  # as somebody who was not sure that it was taken
        front, group = (page.locator("#sent li", has_text=name) for name in files)
        await expect(front).to_contain_text("Waits")
        await expect(group).to_contain_text("2 faces were found: cut out the one that is meant")
        await expect(page.locator("#progress-words")).to_have_text("2 pictures were sent.")
        await SentPictureEnroller(gallery_parts(site.kit), PACK, word_templates).enroll_some()
        await expect(front).to_contain_text("Searched from version 2 on.")
        await expect(page.locator("#holds .figures div", has_text="Images, each a template")).to_contain_text("2")
        await expect(page.locator("#say-politely")).to_contain_text("front.jpg: Enrolled. Searched from version 2 on.")
        assert len(await site.kit.rows(tables.sent_pictures)) == 2
        assert await accessibility.broken_rules(page, accessibility.library()) == []


@pytest.mark.once
async def test_somebody_is_signed_out_and_a_policy_compared_by_keyboard(site: Website, browser: Browser) -> None:
    await signed_in(site, "e-1")
    async with visiting(browser, site, "administrator", timezone_id=FAR_AWAY.key) as visitor:
        page = await opened(visitor, "/people")
        await page.get_by_label("Reason, to sign e-1 out").focus()
        await page.keyboard.type("left a machine open")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Signed out: asked to examine nothing until the next sign-in")).to_be_visible()
        assert await site.kit.rows(tables.sessions) == []

        page = await opened(visitor, "/oversight/policy")
        other = POLICY_FILE.read_bytes().replace(b"valid_hours: 24", b"valid_hours: 12")
        await page.get_by_label("Policy file").set_input_files(
            {"name": "next.yaml", "mimeType": "text/yaml", "buffer": other}
        )
        await page.get_by_role("button", name="Compare").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#comparison li")).to_have_count(1)
        await expect(page.locator("#comparison")).to_contain_text("approval.valid_hours: from 24 to 12")

        page = await opened(visitor, "/oversight/audit?kind=people")
        [entry] = await site.kit.audited("people.end_sessions")
        here = entry["at"].astimezone(FAR_AWAY)
        row = page.get_by_role("row").filter(has_text="Sign somebody out")
        await expect(row.locator("time")).to_have_text(f"{entry['at']:%Y-%m-%d %H:%M:%S} UTC")
        await expect(row.locator(".here")).to_contain_text(f"{here:%H:%M:%S} here")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("No checkpoint covers it yet.")).to_be_visible()

        visitor.tolerated = ("403 (Forbidden)",)
        for path in ("/sign-in", "/approvals"):  # which this person may not open
            page = await visitor.open(path)
            clock = await page.locator("#clock").text_content() or ""
            local, utc = (60 * int(hour) + int(minute) for hour, minute in re.findall(r"(\d\d):(\d\d)", clock))
            assert (utc - local) % (24 * 60) == 9.5 * 60, clock


@pytest.mark.once
async def test_p29_an_idle_session_takes_the_page_off_the_screen_and_its_person_back_to_it(
    database: Database, browser: Browser, tmp_path: Path
) -> None:
    """Nobody loads the page: the feed that it follows ends with the session."""
    without_switch, workers = {"role_switch": False}, PictureWorkers()
    async with running_site(
        database, right_now(), Metrics(), tmp_path, identity=without_switch, workers=workers
    ) as site:
        accounts = site.services.people.accounts
        assert accounts is not None
        await accounts.add(ADMINISTRATOR, "e-5", [Role.SUPERVISOR], "correct horse battery")
        await site.report("INC-1", notes=["Caller is on the line"])
        visitor = await new_visitor(browser, site.address, "nobody")
        visitor.tolerated = ("401",)
        page = await visitor.open("/incidents/INC-1/notes")

        async def signs_in() -> None:
            await page.get_by_label("Account").fill("e-5")
            await page.get_by_label("Password").fill("correct horse battery")
            await page.get_by_role("button", name="Sign in").click()
            await expect(page.locator(".notes")).to_contain_text("Caller is on the line")
            await expect(page.locator("#connection")).to_have_attribute("data-state", "live")

        await signs_in()
        site.kit.clock.advance(31 * 60)
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(page.locator(".notes")).to_have_count(0)
        await signs_in()
        visitor.checked()
