"""Where the tour goes: each page, who is shown at it, and what is done there before the picture is taken."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from playwright.async_api import Page, expect

from tests.e2e.bench_kit import drawn, is_live, keys
from tests.e2e.tour.stage import CARJACKING, REPORTED, SHOOTING, Scenery

Preparation = Callable[[Page], Awaitable[None]]


async def _follows_the_feed(page: Page) -> None:
    await is_live(page)


async def _stands_still(_page: Page) -> None:
    """A page that does not change by itself."""


async def _the_face_is_near(page: Page) -> None:
    await expect(page.locator("#shown")).to_have_attribute("data-frame", "1")
    await keys(page, "l", "l")
    await expect(page.locator("#shown")).to_have_attribute("data-frame", "21")


async def _two_pictures(page: Page) -> None:
    await is_live(page)
    for name in ("still", "candidate"):
        await expect(page.locator(f"#{name} canvas").first).to_be_visible()
        await drawn(page, name)


async def _form_is_begun(page: Page) -> None:
    await _two_pictures(page)
    await keys(page, "c", "1", "1", "2", "3")
    await expect(page.locator("#saved")).to_have_text("Saved")


async def _guide_is_open(page: Page) -> None:
    await is_live(page)
    await keys(page, "h")
    await expect(page.locator("#first-steps")).to_be_visible()


async def _keys_are_listed(page: Page) -> None:
    await _two_pictures(page)
    await keys(page, "?")
    await expect(page.locator("#keys")).to_be_visible()
    await expect(page.get_by_role("heading", name="Keys of this page")).to_be_in_viewport()


async def _form_is_filled_in(page: Page) -> None:
    await is_live(page)
    for label, words in (
        ("Reference of the person", "R-2011"),
        ("Provenance", "Booking desk, digitised cards"),
        ("Lawful basis", "Statute 12"),
        ("Kept until", "2031-12-31"),
        ("Taken on", "2019-05-30"),
    ):
        await page.get_by_label(label).fill(words)


@dataclass(frozen=True, slots=True)
class Stop:
    """A page of the tour, or what can be opened on it.

    route: its pattern in the table of addresses. address: of the page on this night's floor. tolerated: what the
    browser may log as an error there.
    """

    name: str
    route: str
    account: str
    address: Callable[[Scenery], str] | None = None
    prepare: Preparation = _follows_the_feed
    tolerated: tuple[str, ...] = ()

    def path(self, scenery: Scenery) -> str:
        return self.route if self.address is None else self.address(scenery)


REPORT: Final = "/api/v1/reports/transparency"

STOPS: Final = (
    Stop("first-steps", "/", "floor", prepare=_guide_is_open),
    Stop("board", "/", "floor"),
    Stop("wall", "/wall", "floor"),
    Stop("incident", "/incidents/{incidentId}", "analyst", lambda _: f"/incidents/{CARJACKING}"),
    Stop("notes", "/incidents/{incidentId}/notes", "analyst", lambda _: f"/incidents/{SHOOTING}/notes"),
    Stop("clip", "/clips/{clipId}", "analyst", lambda night: f"/clips/{night.clip}", _the_face_is_near),
    Stop("face", "/probes/{probeId}", "analyst", lambda night: f"/probes/{night.probe}"),
    Stop("approvals", "/approvals", "supervisor"),
    Stop("approval", "/approvals/{probeId}", "supervisor", lambda night: f"/approvals/{night.waiting}"),
    Stop("examine", "/examine/{leadId}", "analyst", lambda night: f"/examine/{night.examined}", _form_is_begun),
    Stop("keys", "/examine/{leadId}", "analyst", lambda night: f"/examine/{night.examined}", _keys_are_listed),
    Stop("reviews", "/review", "examiner"),
    Stop("review", "/review/{reviewId}", "reviewer", lambda night: f"/review/{night.reviewed}", _two_pictures),
    Stop("lead", "/leads/{leadId}", "analyst", lambda night: f"/leads/{night.agreed}"),
    Stop("released", "/released", "requestor"),
    Stop("received", "/released/{leadId}", "requestor", lambda night: f"/released/{night.released}"),
    Stop("oversight", "/oversight", "administrator"),
    Stop(
        "transparency",
        REPORT,
        "administrator",
        lambda _: f"{REPORT}?from={REPORTED}&until={REPORTED}",
        _stands_still,
        ("404",),  # of the icon, which the browser looks for beside a page that is one file
    ),
    Stop("misuse", "/oversight/misuse", "administrator"),
    Stop("audit", "/oversight/audit", "auditor", lambda _: "/oversight/audit?kind=lead"),
    Stop("audit-entry", "/oversight/audit/{entryId}", "auditor", lambda night: f"/oversight/audit/{night.entry}"),
    Stop("policy", "/oversight/policy", "auditor"),
    Stop("galleries", "/gallery", "administrator"),
    Stop("gallery", "/gallery/{gallery}", "administrator", lambda _: "/gallery/city"),
    Stop("enrolment", "/gallery/{gallery}", "administrator", lambda _: "/gallery/city", _form_is_filled_in),
    Stop("people", "/people", "administrator"),
    Stop("activity", "/activity", "analyst"),
    Stop("sign-in", "/sign-in", "floor", prepare=_stands_still),
    Stop("problem", "/oversight", "analyst", prepare=_stands_still, tolerated=("403",)),
)
"""In the order of the walk. The last one is what somebody sees who may not open a page."""
