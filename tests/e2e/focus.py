"""What the Tab key does on a page: whether it gets to everything that can be used, and that is in sight then."""

from typing import Any, Final

from playwright.async_api import Locator, Page

MOST_STOPS: Final = 200
"""More than any page has: whoever needs as many is caught somewhere."""
MOST_ROUNDS: Final = 3
STOP: Final[Any] = """() => {
  const stop = document.activeElement;
  if (!stop || stop === document.body) return null;
  const box = stop.getBoundingClientRect();
  const there = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  const isInSight = there && (stop.contains(there) || there.contains(stop) || there.closest("label")?.control === stop);
  const place = window.tabStops.indexOf(stop);
  if (place < 0) window.tabStops.push(stop);
  const isLast = place === window.tabStops.length - 1;
  return { isNew: place < 0, isLast, isInSight, words: stop.outerHTML.slice(0, 110) };
}"""
LEFT_OUT: Final[Any] = """() => {
  const stops = new Set(window.tabStops);
  const groups = new Set(window.tabStops.filter((one) => one.type === "radio").map((one) => one.name));
  const isMissed = (one) => !stops.has(one) && !(one.type === "radio" && groups.has(one.name));
  return [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.matches(":disabled, [type=hidden]"))
    .filter(isMissed).map((one) => one.outerHTML.slice(0, 110));
}"""
"""Of a group of radio buttons one is stopped at; arrows go to the others."""
HAS_FOCUS: Final[Any] = "(one) => one === document.activeElement"
GROUP_HAS_FOCUS: Final[Any] = """(one) => one === document.activeElement
  || (one.type === "radio" && one.name === document.activeElement?.name)"""


async def reaches_everything(page: Page) -> None:
    """Goes once round the page by the Tab key: it gets to everything that can be used, nothing lies over what has the
    focus, and there is a way out of everything (WCAG 2.1.1, 2.1.2, 2.4.11).

    A part that is loaded anew meanwhile, as parts of live pages are, holds other buttons than those that were got to:
    then it goes round again.
    """
    for _ in range(MOST_ROUNDS):
        await _goes_round(page)
        if not (left_out := await page.evaluate(LEFT_OUT)):
            return
    raise AssertionError(f"{page.url}: the Tab key does not get to {left_out}")


async def _goes_round(page: Page) -> None:
    await page.evaluate("window.tabStops = []")
    for _ in range(MOST_STOPS):
        await page.keyboard.press("Tab")
        stop = await page.evaluate(STOP)
        if stop is None:
            continue  # past the end of the page the focus is for once on none of it
        assert stop["isInSight"], f"{page.url}: something lies over {stop['words']}"
        if not stop["isNew"] and not stop["isLast"]:  # a field of a date is several stops
            return
    raise AssertionError(f"{page.url}: the Tab key does not come round")


async def tabs_to(target: Locator) -> None:
    """Presses Tab until the target has the focus, or, of radio buttons, one of its group."""
    for _ in range(MOST_STOPS):
        if await target.evaluate(GROUP_HAS_FOCUS):
            return
        await target.page.keyboard.press("Tab")
    raise AssertionError(f"{target.page.url}: the Tab key does not get to {target}")


async def presses_until_focused(target: Locator, key: str) -> None:
    """A key that goes from one to the next, or straight to the target."""
    for _ in range(MOST_STOPS):
        await target.page.keyboard.press(key)
        if await target.evaluate(HAS_FOCUS):
            return
    raise AssertionError(f"{target.page.url}: the key {key} does not get to {target}")


async def has_focus(target: Locator) -> bool:
    return bool(await target.evaluate(HAS_FOCUS))
