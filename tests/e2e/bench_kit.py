"""What tests of the bench are built from: pictures that differ, a lead with candidates, and an examiner's keys."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from playwright.async_api import Browser, Page, expect

from rtcc_bridge.leads.comparison import Component
from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import DetectedFace, Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_messages import Preview
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from scripts.browser_libraries import MissingProgramError, copy_libraries
from tests.e2e.visitors import Visitor, new_visitor, right_now
from tests.life_kit import LifeKit
from tests.probe_kit import PictureWorkers, face
from tests.tools import is_missing
from tests.website import Website, running_site

PARTS = len(Component)
SIZE = (480, 600)


class PaintedPictures(PictureWorkers):
    """Stand-ins whose previews differ with what is shown, so that two candidates do not look the same."""

    async def preview(
        self,
        data: bytes,
        side: int,
        chosen: DetectedFace | None = None,
        others: Sequence[DetectedFace] = (),
        lane: Lane = Lane.ROUTINE,
        edits: Sequence[Edit] = (),
    ) -> Preview:
        shown = await super().preview(data, side, chosen, others, lane, edits)
        red, green, blue = hashlib.sha256(data).digest()[:3]
        picture = Image.new("RGB", SIZE, (red // 2 + 60, green // 2 + 60, blue // 2 + 60))
        drawing = ImageDraw.Draw(picture)
        drawing.ellipse((120, 120, 360, 470), fill=(225, 190, 165))
        for left in (175, 265):
            drawing.ellipse((left, 240, left + 45, 262), fill=(40, 40, 60))
        drawing.arc((190, 330, 290, 400), 20, 160, fill=(120, 40, 40), width=8)
        content = io.BytesIO()
        picture.save(content, "JPEG")
        return Preview(content.getvalue(), *SIZE, shown.stage_seconds)


def bring_libraries() -> None:
    """What the package's build copies into it. Skips the test where it cannot be had."""
    try:
        copy_libraries()
    except MissingProgramError as missing:
        is_missing(str(missing))


@asynccontextmanager
async def painted_site(database: Database, folder: Path, **options: Any) -> AsyncIterator[Website]:
    """options: as `running_site` takes them."""
    workers = PaintedPictures()
    async with running_site(database, right_now(), Metrics(), folder, workers=workers, **options) as running:
        yield running


@asynccontextmanager
async def visiting(browser: Browser, site: Website, account: str, *tolerated: str) -> AsyncIterator[Visitor]:
    visitor = await new_visitor(browser, site.address, account)
    visitor.tolerated = tolerated
    yield visitor
    visitor.checked()


async def is_live(page: Page) -> None:
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


async def keys(page: Page, *pressed: str) -> None:
    for key in pressed:
        await page.keyboard.press(key)


async def an_imminent_search(site: Website, life: LifeKit, people: int = 3) -> str:
    """A threat, a still, a chosen face and the list that was found. Returns its lead's id."""
    await site.report("INC-1", location={"text": "Harbor Street 12"}, notes=["Caller is on the line"])
    await site.alert("INC-1", headline="Armed person at the station")
    site.kit.workers.faces = (face(1, left=200.0), face(2, left=400.0))
    probe = await site.attach("INC-1", purpose="imminent_threat", requestor="requestor")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    await site.search_all([await life.enrol(f"person {number}", pictures=2) for number in range(people)])
    [lead] = await site.kit.rows(tables.leads)
    return str(lead["lead_id"])


async def supported(site: Website, round_number: int) -> list[str]:
    """The lead's references in the order in which this round's examiner has them."""
    [row] = [one for one in await site.kit.rows(tables.examinations) if one["round"] == round_number]
    return [meaning for _, meaning in row["candidates"]]


async def drawn(page: Page, name: str) -> str:
    """What the frame shows, once it has come to rest."""
    seen = ""
    for _ in range(100):
        now = str(await page.evaluate(f"document.querySelector('#{name} canvas').toDataURL()"))
        if now == seen:
            return now
        seen = now
        await asyncio.sleep(0.3)  # longer than the library's own animation
    raise AssertionError("the picture does not come to rest")


async def changes(page: Page, name: str, before: str) -> str:
    for _ in range(50):
        if (now := await drawn(page, name)) != before:
            return now
    raise AssertionError("the picture stays as it was")
