"""Pictures of the pages in both themes, an outline of each, and whether a page still looks like what is kept of it.

An outline is what a screen reader is told (headings, landmarks, links, fields, text), so it is the same with every
browser and font, and says in words what has changed. A picture is compared as a grid of coarse cells: letters that
another font draws a pixel wider do not count; a column that went elsewhere, a theme that is not applied, or a button
that lost its looks, do.
"""

import io
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.async_api import Browser
from pydantic import SecretStr
from sqlalchemy import create_engine

from rtcc_bridge.audit.arrival import Way, came_by
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import metadata
from tests.e2e.tour.painting import TourPictures
from tests.e2e.tour.papers import ACCOUNT, PAPERS, SIZE, Paper
from tests.e2e.tour.stage import NIGHT, Scenery, long_before, set_up
from tests.e2e.tour.stops import STOPS
from tests.e2e.visitors import Visitor, new_visitor
from tests.website import Website, running_site

FOLDER: Final = Path(__file__).resolve().parents[3] / "docs/tour"
Theme = Literal["dark", "light", "paper"]
THEMES: Final[tuple[Theme, ...]] = ("dark", "light")
"""Of pages; documents are as white as paper."""
CELLS: Final = (64, 36)
"""Of the grid, across and down: of 20 by 20 pixels each."""
MOST_UNLIKE: Final = 8.0
"""Levels of 255 by which the cells of two pictures may differ on average. Measured: at most 3 between two runs, 7 with
quite another font, 8 and more when everything stands a quarter of the width further right, 17 without a style."""
BUTTONS: Final = np.array(((0x26, 0x67, 0xB8), (0x14, 0x55, 0x9F)))
"""The colour of what is pressed first, in the dark and in the light, as `theme.css` has it."""
NEAR: Final = 12
"""Levels by which a kept picture, which has few colours, may miss one."""
MOST_OF_BUTTONS: Final = 3
"""Cells by which the buttons of two pictures may differ. Other words on a button are one or two; a button is five and
more, and so little of a page that the average of all does not notice. Painted people have none of its colour."""
COLOURS: Final = 255
PICTURES_ARE_THERE: Final = """() => [...document.images].every((one) => {
  const isInSight = one.checkVisibility() && one.getBoundingClientRect().top < window.innerHeight;
  return !isInSight || (one.complete && one.naturalWidth > 0);
})"""
_OWN_IDS: Final = re.compile(r"(?:(?<=receipt-)|(?<![\w-]))(?=[\w-]*[A-Z0-9_-])[\w-]{22}(?![\w-])", re.ASCII)
_FRACTIONS: Final = re.compile(r"(?<=:\d\d)\.\d{1,6}(?=Z)")
_DIGESTS: Final = re.compile(r"(?<![\w/+])(?!/api/)[A-Za-z0-9+/]{42,}={0,2}|\b[0-9a-f]{12,64}\b")
"""Also signatures in base64, which the address of a call is not."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a stop or a paper looked like. pictures: PNG by theme."""

    name: str
    outline: str
    pictures: dict[Theme, bytes]


@asynccontextmanager
async def tour_site(database: Database, folder: Path) -> AsyncIterator[tuple[Website, Scenery]]:
    """The site in the night of the tour. database: an empty one. folder: an empty one."""
    clock = long_before()
    came_by(Way.DAEMON)  # whatever the process that makes the pictures did before
    async with running_site(database, clock, Metrics(), folder, workers=TourPictures()) as site:
        yield site, await set_up(site, folder)


@asynccontextmanager
async def own_database() -> AsyncIterator[tuple[Database, Path]]:
    """A database with the present schema, in an empty folder that is removed afterwards."""
    with TemporaryDirectory() as name:
        file = Path(name) / "tour.sqlite3"
        engine = create_engine(f"sqlite:///{file}")
        metadata.create_all(engine)
        engine.dispose()
        database = Database(DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{file}")))
        try:
            yield database, Path(name)
        finally:
            await database.close()


async def look_round(browser: Browser, site: Website, scenery: Scenery, folder: Path) -> AsyncIterator[Seen]:
    """Goes to every stop, each account in a browser context of its own. What a page logs as an error raises.

    It begins at the end of the tour: what those who oversee see is then not what the tour itself has looked at. After
    all pages it has the papers made. folder: an empty one for them.
    """
    visitors: dict[str, Visitor] = {}
    for stop in reversed(STOPS):
        if stop.account not in visitors:
            visitors[stop.account] = await _arrive(browser, site, stop.account)
        visitor = visitors[stop.account]
        page = await visitor.open(stop.path(scenery))
        await stop.prepare(page)
        await page.wait_for_function(PICTURES_ARE_THERE)
        outline = outline_of(await page.locator("body").aria_snapshot())
        pictures: dict[Theme, bytes] = {}
        for theme in THEMES:
            await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            pictures[theme] = await page.screenshot(animations="disabled", caret="hide")
        visitor.tolerated = stop.tolerated
        visitor.checked()
        visitor.complaints.clear()
        yield Seen(stop.name, outline, pictures)
    reader = await _arrive(browser, site, ACCOUNT)
    await reader.page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
    for paper in PAPERS:
        yield await _read(reader, paper, await paper.make(site, scenery, folder))


async def _read(reader: Visitor, paper: Paper, file: Path) -> Seen:
    page = reader.page
    await page.goto(file.as_uri())
    await page.wait_for_function(PICTURES_ARE_THERE)
    told = [await part.aria_snapshot() for part in await page.locator(paper.told).all()]
    picture = await page.screenshot(animations="disabled", caret="hide")
    reader.checked()
    return Seen(paper.name, outline_of("\n".join(told)), {"paper": picture})


async def _arrive(browser: Browser, site: Website, account: str) -> Visitor:
    visitor = await new_visitor(
        browser, site.address, account, timezone_id="America/New_York", locale="en-US", reduced_motion="reduce"
    )
    await visitor.page.clock.set_fixed_time(NIGHT)
    return visitor


def outline_of(snapshot: str) -> str:
    """The snapshot without what is another one each time: our own random ids, hashes, fractions of a second."""
    return _OWN_IDS.sub("…", _DIGESTS.sub("…", _FRACTIONS.sub("", snapshot))) + "\n"


def as_kept(png: bytes) -> bytes:
    """As WebP without loss, of few colours: a page has few, letters stay sharp, and it is a fourth as large. Other ways
    to choose them lose those of small things: a green dot turned grey."""
    content = io.BytesIO()
    picture = (
        Image.open(io.BytesIO(png))
        .convert("RGB")
        .quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    )
    picture.convert("RGB").save(content, "WEBP", lossless=True, quality=100, method=4)
    return content.getvalue()


@dataclass(frozen=True, slots=True)
class Unlikeness:
    """levels: of 255, by which the cells of two pictures differ on average. buttons: how many cells more or fewer are
    filled with the colour of a button."""

    levels: float
    buttons: int

    @classmethod
    def of(cls, one: bytes, other: bytes) -> "Unlikeness":
        before, after = (Image.open(io.BytesIO(each)).convert("RGB") for each in (one, other))
        levels = np.abs(_cells(before) - _cells(after)).mean()
        return cls(float(levels), abs(_filled(before) - _filled(after)))

    @property
    def is_another_picture(self) -> bool:
        return self.levels > MOST_UNLIKE or self.buttons > MOST_OF_BUTTONS


def _cells(picture: Image.Image) -> npt.NDArray[np.float32]:
    return np.asarray(picture.resize(CELLS, Image.Resampling.BOX), np.float32)


def _filled(picture: Image.Image) -> int:
    """How many cells are a button's by more than half."""
    away = np.abs(np.asarray(picture, np.int16)[:, :, None, :] - BUTTONS).max(axis=3).min(axis=2)
    of_buttons = Image.fromarray((away <= NEAR).astype(np.uint8) * 255)
    return int((_cells(of_buttons) > 127).sum())


def outline_file(name: str, folder: Path = FOLDER) -> Path:
    return folder / f"{name}.outline.txt"


def picture_file(name: str, theme: Theme, folder: Path = FOLDER) -> Path:
    return folder / f"{name}-{theme}.webp"


def changes(seen: Seen, folder: Path = FOLDER) -> Iterator[str]:
    """In words, by what a stop differs from what is kept of it; nothing where it does not."""
    name, file = seen.name, outline_file(seen.name, folder)
    if not file.is_file():
        yield f"{name}: not in the tour yet"
        return
    if (kept := file.read_text(encoding="utf-8")) != seen.outline:
        lines = unified_diff(kept.splitlines(), seen.outline.splitlines(), "in the tour", "now", lineterm="", n=1)
        yield f"{name}: another outline\n" + "\n".join(lines)
    for theme, picture in seen.pictures.items():
        kept_picture = picture_file(name, theme, folder)
        if not kept_picture.is_file():
            yield f"{name}: no picture in the {theme} theme"
        elif (unlike := Unlikeness.of(kept_picture.read_bytes(), picture)).is_another_picture:
            yield (
                f"{name}: another picture in the {theme} theme, by {unlike.levels:.1f} levels and "
                f"{unlike.buttons} cells of buttons"
            )


def keep(seen: Seen, folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    outline_file(seen.name, folder).write_text(seen.outline, encoding="utf-8")
    for theme, picture in seen.pictures.items():
        picture_file(seen.name, theme, folder).write_bytes(as_kept(picture))
