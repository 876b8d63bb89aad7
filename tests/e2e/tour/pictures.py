"""Pictures of the pages in both themes, an outline of each, and whether a page still looks like what is kept of it.

An outline is what a screen reader is told (headings, landmarks, links, fields, text), so it is the same with every
browser and font, and says in words what has changed. A picture is compared as a grid of coarse cells, in two ways: by
how light they are on average, and by the colours of their grounds, each of which has to be near the same place in both
pictures. Letters that another font draws a pixel wider do not count; a column that went elsewhere, a theme that is not
applied, a panel that is not there, or a button that lost its looks, do.
"""

import io
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.async_api import Browser, FloatRect, Page
from pydantic import SecretStr
from sqlalchemy import create_engine

from rtcc_bridge.audit.arrival import Way, came_by
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import metadata
from tests.e2e.looks import bare_controls
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
CELL: Final = 20
"""Pixels, across and down."""
MOST_HEIGHT: Final = 2160
"""Pixels of a page that are kept: three times what is seen at once."""
MOST_UNLIKE: Final = 8.0
"""Levels of 255 by which the cells of two pictures may differ on average. Measured: at most 3 between two runs, 7 with
quite another font, 8 and more when everything stands a quarter of the width further right, 17 without a style."""
NEAR: Final = 12
"""Levels by which a kept picture, which has few colours, may miss one."""
AROUND: Final = 2
"""Cells to each side in which a ground is looked for: where other letters move what is below or beside them."""
MOST_STRANGE: Final = 3
"""Cells whose ground is nowhere near in the other picture. Measured: none between two runs; 8 and more when the button
of a page lost its looks, hundreds when its panels did; 4 to 7 on most pages (22 on the wall) with another font."""
AS_PICTURED: Final = """
  const style = new CSSStyleSheet();
  style.replaceSync(`body { font-family: "DejaVu Sans" } .demo { position: static }
    #incidents > .card { content-visibility: visible }`);
  document.adoptedStyleSheets = [style];
"""
"""The same font on each machine that has it; the foot of a long page at its end, since it would lie across its middle,
where the window ends; and every card drawn, also one that is out of sight until the picture is taken."""
COLOURS: Final = 255
PICTURES_ARE_THERE: Final = """() => [...document.images].every((one) => {
  return !one.checkVisibility() || (one.complete && one.naturalWidth > 0);
})"""
PEOPLE: Final = """() => [...document.querySelectorAll("main :is(img, canvas)")].map((one) => {
  const { left, top, right, bottom } = one.getBoundingClientRect();
  return [left, top + window.scrollY, right, bottom + window.scrollY];
})"""
Boxes: TypeAlias = Sequence[Sequence[float]]
_OWN_IDS: Final = re.compile(r"(?:(?<=receipt-)|(?<![\w-]))(?=[\w-]*[A-Z0-9_-])[\w-]{22}(?![\w-])", re.ASCII)
_FRACTIONS: Final = re.compile(r"(?<=:\d\d)\.\d{1,6}(?=Z)")
_DIGESTS: Final = re.compile(r"(?<![\w/+])(?!/api/)[A-Za-z0-9+/]{42,}={0,2}|\b[0-9a-f]{12,64}\b")
"""Also signatures in base64, which the address of a call is not."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a stop or a paper looked like. pictures: PNG by theme. bare: the controls that look as the browser makes
    them. people: left, top, right and bottom of what shows a
    person, in pixels: who it is, is drawn by lot."""

    name: str
    outline: str
    pictures: dict[Theme, bytes]
    bare: Sequence[str] = ()
    people: Boxes = ()


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
            pictures[theme] = await _whole(page)
        people, bare = await page.evaluate(PEOPLE), await bare_controls(page)
        visitor.tolerated = stop.tolerated
        visitor.checked()
        visitor.complaints.clear()
        yield Seen(stop.name, outline, pictures, bare, people)
    reader = await _arrive(browser, site, ACCOUNT)
    await reader.page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
    for paper in PAPERS:
        yield await _read(reader, paper, await paper.make(site, scenery, folder))


async def _whole(page: Page) -> bytes:
    """All of the page, and not what is seen at once alone."""
    size = await page.evaluate("[window.innerWidth, document.documentElement.scrollHeight]")
    clip = FloatRect(x=0, y=0, width=size[0], height=min(size[1], MOST_HEIGHT))
    return await page.screenshot(full_page=True, clip=clip, animations="disabled", caret="hide")


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
    await visitor.page.add_init_script(AS_PICTURED)
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
    """levels: of 255, by which the cells of two pictures differ on average. strange: how many cells of one of them have
    a ground that the other has nowhere near."""

    levels: float
    strange: int

    @classmethod
    def of(cls, one: bytes, other: bytes, people: Boxes = ()) -> "Unlikeness":
        """people: as `Seen` has them; what is in these boxes is nothing strange."""
        before, after = (_by_cells(Image.open(io.BytesIO(each)).convert("RGB")) for each in (one, other))
        rows = min(len(before), len(after))
        means = (cells[:rows].mean(axis=2, dtype=np.float32) for cells in (before, after))
        levels = np.abs(np.subtract(*means)).mean()
        grounds = [np.median(cells[:, :, ::3], axis=2) for cells in (before, after)]
        strange = max(_strange(grounds[0], grounds[1], people), _strange(grounds[1], grounds[0], people))
        return cls(float(levels), strange)

    @property
    def is_another_picture(self) -> bool:
        return self.levels > MOST_UNLIKE or self.strange > MOST_STRANGE


Cells: TypeAlias = npt.NDArray[np.floating[Any]]
"""(rows, columns, 3): a colour of each cell."""


def _by_cells(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """(rows, columns, pixels, 3), without what is no whole cell at the right and below."""
    columns, rows = picture.width // CELL, picture.height // CELL
    pixels = np.asarray(picture, np.uint8)[: rows * CELL, : columns * CELL]
    return pixels.reshape(rows, CELL, columns, CELL, 3).swapaxes(1, 2).reshape(rows, columns, CELL * CELL, 3)


def _strange(grounds: Cells, others: Cells, people: Boxes) -> int:
    """How many of the grounds are nowhere near among the others."""
    rows, columns, _ = grounds.shape
    around = np.full((max(rows, len(others)) + 2 * AROUND, columns + 2 * AROUND, 3), np.inf)
    around[AROUND : AROUND + len(others), AROUND:-AROUND] = others
    found = np.zeros((rows, columns), bool)
    for down, right in np.ndindex(2 * AROUND + 1, 2 * AROUND + 1):
        there = around[down : down + rows, right : right + columns]
        found |= np.abs(grounds - there).max(axis=2) <= NEAR
    for left, top, right_end, bottom in people:
        first, last = (int(edge // CELL) for edge in (left, right_end))
        found[max(0, int(top // CELL)) : int(bottom // CELL) + 1, max(0, first) : last + 1] = True
    return int((~found).sum())


def outline_file(name: str, folder: Path = FOLDER) -> Path:
    return folder / f"{name}.outline.txt"


def picture_file(name: str, theme: Theme, folder: Path = FOLDER) -> Path:
    return folder / f"{name}-{theme}.webp"


def changes(seen: Seen, folder: Path = FOLDER) -> Iterator[str]:
    """In words, by what a stop differs from what is kept of it; nothing where it does not."""
    name, file = seen.name, outline_file(seen.name, folder)
    yield from (f"{name}: without looks of its own: {one}" for one in seen.bare)
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
        elif (unlike := Unlikeness.of(kept_picture.read_bytes(), picture, seen.people)).is_another_picture:
            yield (
                f"{name}: another picture in the {theme} theme, by {unlike.levels:.1f} levels and "
                f"{unlike.strange} cells of a strange ground"
            )


def keep(seen: Seen, folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    outline_file(seen.name, folder).write_text(seen.outline, encoding="utf-8")
    for theme, picture in seen.pictures.items():
        picture_file(seen.name, theme, folder).write_bytes(as_kept(picture))
