"""What leaves the program as a document: the report for the public, the packet for a court. Made at the tour's end."""

import io
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.tour.stage import PUBLISHED, Scenery
from tests.report_kit import sign_log
from tests.website import Website, acting

SIZE: Final = (920, 1160)
"""In pixels: the upper part of it, as of a sheet."""
ACCOUNT: Final = "administrator"


@dataclass(frozen=True, slots=True)
class Paper:
    """make: leaves it in the folder, as somebody has it who kept it, and says where. told: which parts of it stay the
    same each time."""

    name: str
    make: Callable[[Website, Scenery, Path], Awaitable[Path]]
    told: str


async def _transparency_report(site: Website, _scenery: Scenery, folder: Path) -> Path:
    page = folder / "report.html"
    async with site.client.get(f"/api/v1/reports/transparency?from={PUBLISHED}", headers=acting(ACCOUNT)) as answer:
        assert answer.status == 200, await answer.text()
        page.write_bytes(await answer.read())
    return page


async def _discovery_packet(site: Website, scenery: Scenery, folder: Path) -> Path:
    await sign_log(site.kit)  # of the steps that the tour itself has taken since
    address = f"/api/v1/leads/{scenery.released}/discovery-packet"
    order = {"reason": "motion of the defense", "handedTo": {"office": "Public defender", "name": "matter 26-118"}}
    async with site.client.post(address, json=order, headers=acting(ACCOUNT)) as answer:
        assert answer.status == 200, await answer.text()
        packed = await answer.read()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder / "packet")
    [page] = (folder / "packet").glob("*/lead-1/packet.html")
    return page


PAPERS: Final = (
    Paper("transparency-report", _transparency_report, "body"),
    # Who was drawn first, and so who was released, is another one each time.
    Paper("discovery-packet", _discovery_packet, "h2, th"),
)
"""In the order in which they are made."""
