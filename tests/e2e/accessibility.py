"""axe-core over a page, in the dark and in the light."""

from pathlib import Path

from playwright.async_api import Page

from tests.e2e.looks import bare_controls
from tests.npm_tools import installed

_AXE = Path(__file__).resolve().parents[1] / "axe"
_FILE = "node_modules/axe-core/axe.min.js"
_WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_MARKDOWN = """() => [...document.body.querySelectorAll("p, li, td, th, dd, span, label")].map((one) =>
  [...one.childNodes].filter((part) => part.nodeType === Node.TEXT_NODE).map((part) => part.data).join(" ")
).filter((text) => text.includes("`"))"""
"""Texts with a sign that means something at a command line alone."""
_BROKEN = """async (runOnly) => (await axe.run(document, { runOnly, resultTypes: ["violations"] })).violations.map(
  (one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`)"""


def library() -> str:
    """The source of axe-core. Skips the test where there is no npm."""
    return (installed(_AXE, ()) / _FILE).read_text(encoding="utf-8")


async def broken_rules(page: Page, axe: str) -> list[str]:
    """What of WCAG 2.2 AA the page breaks, in the dark and in the light, whether it runs out sideways, which of its
    controls have the browser's looks, and where it shows signs of Markdown.

    A theme changes colours alone, so in the light only the rule that judges these is asked again.
    """
    await page.evaluate(f"window.axe || (() => {{ {axe} }})()")
    broken = await page.evaluate(_BROKEN, {"type": "tag", "values": _WCAG})
    await page.emulate_media(color_scheme="light")
    broken += await page.evaluate(_BROKEN, {"type": "rule", "values": ["color-contrast"]})
    await page.emulate_media(color_scheme="dark")
    if not await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"):
        broken.append("it runs out of the page sideways")
    broken += [f"no looks of its own: {one}" for one in await bare_controls(page)]
    broken += [f"signs of Markdown: {one}" for one in await page.evaluate(_MARKDOWN)]
    return [str(one) for one in broken]


async def clean(page: Page, axe: str) -> None:
    """No rule of WCAG 2.2 AA is broken, in the dark and in the light, nothing runs out of the page sideways, no
    control looks as the browser makes it, and no text shows signs of Markdown."""
    broken = await broken_rules(page, axe)
    assert broken == [], f"{page.url}: {broken}"
