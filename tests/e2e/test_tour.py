"""The tour of the pages goes everywhere, and shows what is there today."""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.pages import PAGES
from rtcc_bridge.web.sign_in import SIGN_IN_PAGES
from tests.e2e.bench_kit import bring_libraries
from tests.e2e.looks import bare_controls
from tests.e2e.tour.papers import PAPERS
from tests.e2e.tour.pictures import (
    FOLDER,
    MOST_STRANGE,
    MOST_UNLIKE,
    NEAR,
    THEMES,
    Theme,
    Unlikeness,
    changes,
    look_round,
    outline_file,
    outline_of,
    picture_file,
    tour_site,
)
from tests.e2e.tour.stops import REPORT, STOPS
from tests.e2e.visitors import running_browser

TEXT = FOLDER.with_suffix(".md")
REPORTS = FOLDER.parent / "reports.md"
"""Shows the papers."""
NO_PAGES = {"/board/changes", "/wall/feed", "/wall/floor", "/sign-in/provider", "/sign-in/callback"}
"""Addresses beside the pages that answer with a part of one, with events, or with the way to elsewhere."""
RENEW = "python -m tests.e2e.tour"
MOST_BYTES = 120_000
Colour = tuple[int, int, int]
BUTTON: Mapping[Theme, Colour] = {"dark": (0x26, 0x67, 0xB8), "light": (0x14, 0x55, 0x9F)}
PANEL: Mapping[Theme, Colour] = {"dark": (0x14, 0x1D, 0x29), "light": (0xFF, 0xFF, 0xFF)}
GROUND: Mapping[Theme, Colour] = {"dark": (0x0B, 0x11, 0x19), "light": (0xEE, 0xF2, 0xF6)}
"""As `theme.css` has them."""
BELOW_THE_HEAD, ABOVE_THE_FOOT = 90, 640
"""Rows between which a page of the window's height has nothing but its own."""


@pytest.mark.browser
@pytest.mark.once
@pytest.mark.timeout(300)
async def test_every_page_is_still_what_the_tour_shows(database: Database, tmp_path: Path) -> None:
    bring_libraries()
    async with running_browser() as browser, tour_site(database, tmp_path) as (site, night):
        changed = [words async for seen in look_round(browser, site, night, tmp_path) for words in changes(seen)]
    assert not changed, "\n\n".join([*changed, f"Look whether that was meant, then renew the tour: {RENEW}"])


def test_the_tour_goes_to_every_page() -> None:
    shown = {path for method, path, _ in [*PAGES, *SIGN_IN_PAGES] if method == "GET"} - NO_PAGES
    assert {stop.route for stop in STOPS} == shown | {REPORT}


def test_the_tour_shows_each_stop_in_both_themes_and_nothing_else() -> None:
    wanted = [picture_file(stop.name, theme) for stop in STOPS for theme in THEMES]
    papers = [picture_file(paper.name, "paper") for paper in PAPERS]
    for text, pictures in ((TEXT, wanted), (REPORTS, papers)):
        shown = re.findall(r"!\[[^\]]+\]\(tour/([^)]+)\)", text.read_text(encoding="utf-8"))
        assert shown == [file.name for file in pictures]
    outlines = [outline_file(one.name) for one in (*STOPS, *PAPERS)]
    assert sorted(FOLDER.iterdir()) == sorted([*wanted, *papers, *outlines])
    assert max(file.stat().st_size for file in (*wanted, *papers)) < MOST_BYTES


def test_what_is_another_one_each_time_is_no_change_and_a_theme_that_is_not_applied_is() -> None:
    line = '- link "Examine":\n  - /url: /examine/{}\n- code: {}'
    assert len({outline_of(line.format(own, 4 * own[:16])) for own in ("pYC5yRfb3Hc5xPb9vXfKFw", "0" * 22)}) == 1
    assert outline_of(line.format("", "a")) != outline_of(line.format("", "b"))
    dark, light = (picture_file("board", theme).read_bytes() for theme in THEMES)
    assert Unlikeness.of(dark, dark) == Unlikeness(0.0, 0)
    assert Unlikeness.of(dark, light).is_another_picture
    assert Unlikeness.of(dark, picture_file("approvals", "dark").read_bytes()).is_another_picture


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("page", "looks"), [("approval", BUTTON), ("sign-in", BUTTON), ("lead", PANEL)])
def test_what_lost_its_looks_is_a_change(page: str, looks: Mapping[Theme, Colour], theme: Theme) -> None:
    """Its words stay, so that the outline is the same."""
    before = picture_file(page, theme).read_bytes()
    found = Unlikeness.of(before, repainted(before, looks[theme], GROUND[theme]))
    assert found.strange > MOST_STRANGE
    assert found.levels < MOST_UNLIKE, "which the average of all does not notice"


@pytest.mark.browser
@pytest.mark.once
async def test_a_control_that_lost_its_looks_is_told_however_small_it_is() -> None:
    """Of each kind one with the program's looks, and one without."""
    style = "a, body { color: navy; font-family: serif }"
    style += ".own { font: inherit; border: 1px solid teal; accent-color: teal }"
    kinds = [f"<{one} class>x</{one}>" for one in ("button", "select", "textarea")] + ['<a href="/" class>x</a>']
    kinds += [f'<input type="{kind}" class>' for kind in ("text", "date", "checkbox", "radio", "file")]
    async with running_browser() as browser:
        page = await browser.new_page()
        for kind in kinds:
            own, bare = kind.replace("class", 'class="own"'), kind.replace("class", 'style="all: revert"')
            await page.set_content(f"<style>{style}</style><p>{own} {bare} <button hidden>x</button></p>")
            [found] = await bare_controls(page)
            assert "revert" in found, kind


def repainted(picture: bytes, colour: Colour, ground: Colour) -> bytes:
    """With this colour turned into another one, in the page's own part."""
    colours = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), np.int16)
    is_painted = np.abs(colours - colour).max(axis=2) <= NEAR
    is_painted[:BELOW_THE_HEAD] = is_painted[ABOVE_THE_FOOT:] = False
    return encoded(np.where(is_painted[:, :, None], np.array(ground, np.int16), colours))


def encoded(colours: npt.NDArray[np.int16]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(content, "PNG")
    return content.getvalue()
