"""People at a browser, for the tests of pages: everything that a page logs as an error fails the test."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright, expect

from rtcc_bridge.web.accounts import ACCOUNT_COOKIE
from tests.doubles import ManualClock
from tests.tools import program

SEEN_SECONDS = 15
WATCH_SHIFTS = """() => {
  window.shifts = [];
  const short = (source) => (source.node?.outerHTML ?? source.node?.textContent ?? "").slice(0, 80);
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) {
      if (!one.hadRecentInput) window.shifts.push([one.value, ...one.sources.map(short)]);
    }
  }).observe({ type: "layout-shift", buffered: true });
}"""
"""What moved without anybody's doing, as the browser counts it (Layout Instability), and which elements."""
MOST_SHIFTED = 0.02
"""A fifth of what counts as good on the web: a line that gets a word longer, and no button that goes elsewhere."""


@dataclass
class Visitor:
    """A person at a browser of their own."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)
    tolerated: tuple[str, ...] = ()

    async def open(self, path: str = "/") -> Page:
        await self.page.goto(self.address + path)
        return self.page

    async def stood_still(self) -> None:
        """Nothing on the page has moved since it was opened, unless this person did something."""
        shifts = await self.page.evaluate("window.shifts")
        assert sum(one[0] for one in shifts) < MOST_SHIFTED, "\n".join([self.page.url, *map(str, shifts)])

    def checked(self) -> None:
        assert [text for text in self.complaints if not any(part in text for part in self.tolerated)] == []


@asynccontextmanager
async def running_browser(driver: Playwright | None = None) -> AsyncIterator[Browser]:
    """Debian's Chromium without its windows, which needs half the processor, or else the whole one. Skips the test
    where there is neither. driver: of the running loop, which is started for this browser where there is none."""
    chromium = shutil.which("chromium-headless-shell") or program("chromium", "chromium-headless-shell")
    async with AsyncExitStack() as stack:
        if driver is None:
            driver = await stack.enter_async_context(async_playwright())
        launched = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        await launched.close()


async def new_visitor(
    browser: Browser, address: str, account: str, *, first_time: bool = False, **options: Any
) -> Visitor:
    """first_time: whether this browser has not closed the demo's guide yet, which lies over a corner of the page."""
    if not first_time:
        kept = [{"name": "rtcc-first-steps", "value": "closed"}]
        options["storage_state"] = {"cookies": [], "origins": [{"origin": address, "localStorage": kept}]}
    context = await browser.new_context(viewport={"width": 1280, "height": 720}, **options)
    await act_as(context, address, account)
    page = await context.new_page()
    await page.add_init_script(f"({WATCH_SHIFTS})()")
    page.set_default_timeout(SEEN_SECONDS * 1000)
    expect.set_options(timeout=SEEN_SECONDS * 1000)
    visitor = Visitor(page, address)
    page.on("console", lambda message: visitor.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    page.on("dialog", lambda dialog: visitor.complaints.append(f"dialog: {dialog.message}"))
    return visitor


async def act_as(context: BrowserContext, address: str, account: str) -> None:
    """From now on the browser is this account's in the demo, in all its tabs."""
    await context.add_cookies([{"name": ACCOUNT_COOKIE, "value": account, "url": address}])


def right_now() -> ManualClock:
    return ManualClock(datetime.now(UTC))
