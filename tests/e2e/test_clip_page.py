"""A clip from the analyst's hand to the record, in a real browser and with the real, locked up worker."""

import base64
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page, expect

from rtcc_bridge.demo.pictures import portrait
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits, worker_command
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.clips import clip, ground
from tests.e2e.accessibility import clean, library
from tests.e2e.bench_kit import is_live
from tests.e2e.hands import DROP
from tests.e2e.visitors import new_visitor, right_now, running_browser
from tests.website import Website, running_site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only"),
]
LIMITS = WorkerLimits(memory_bytes=2_000_000_000, timeout_seconds=60.0, max_clip_bytes=20_000_000)
FRAMES = 40
FACE_FROM = 20
"""Before this frame nobody is in the picture."""


@pytest.fixture
async def site(database: Database, tmp_path: Path, default_pack: ModelPack) -> AsyncIterator[Website]:
    metrics = Metrics()
    async with (
        WorkerPool(worker_command(default_pack.folder, None, LIMITS), LIMITS, metrics) as pool,
        running_site(database, right_now(), metrics, tmp_path, workers=pool) as running,
    ):
        yield running


def walking() -> bytes:
    """An empty street; then somebody comes, on a phone that is held on its side."""
    face = np.asarray(Image.fromarray(portrait()).resize((280, 280)), np.uint8)
    pictures = []
    for number in range(FRAMES):
        picture = ground(480, 640)
        if number >= FACE_FROM:
            left = 20 + 4 * number
            picture[200:480, left : left + 280] = face
        pictures.append(np.ascontiguousarray(np.rot90(picture)))
    return clip(pictures, clockwise=90)


async def step(page: Page, key: str, times: int = 1) -> None:
    for _ in range(times):
        await page.keyboard.press(key)


async def test_a_clip_is_dropped_a_frame_picked_by_keyboard_and_its_place_is_on_record(site: Website) -> None:
    """On the way a file that only calls itself a clip, and a frame with nobody in it: neither costs what was typed.

    None of the pages breaks a rule of axe-core in either theme.
    """
    axe = library()
    await site.report("INC-1")
    async with running_browser() as browser:
        visitor = await new_visitor(browser, site.address, "analyst")
        visitor.tolerated = ("422",)
        page = await visitor.open("/incidents/INC-1")
        await page.get_by_role("radio", name="Violent offense").check()
        await page.get_by_label("Legal basis").fill("criminal investigation")
        await page.get_by_label("Requestor").fill("the requestor")
        await page.get_by_label("Case number").fill("26-000123")
        await page.get_by_label("I attest").check()
        await page.evaluate(DROP, [base64.b64encode(b"RIFF but no clip").decode(), "x.avi"])
        await page.get_by_role("button", name="Open the clip and choose a frame").click()
        await expect(page.locator("#answer")).to_contain_text("this is not a clip: send an MP4, MOV, MKV or AVI file")

        await clean(page, axe)

        await page.evaluate(DROP, [base64.b64encode(walking()).decode(), "camera 4.MP4"])
        await page.get_by_role("button", name="Open the clip and choose a frame").press("Enter")
        await expect(page.get_by_text("480 x 640 pixels, turned 90° upright")).to_be_visible()
        shown = page.locator("#shown")
        await expect(shown).to_have_attribute("data-frame", "1")
        await expect(page.get_by_role("slider", name="Frame")).to_be_focused()
        await is_live(page)
        visitor.tolerated = ("422", "net::ERR")
        await page.context.set_offline(offline=True)
        site.cut_connections()
        await expect(page.locator("#connection")).to_have_attribute("data-state", "reconnecting")
        await page.context.set_offline(offline=False)
        await is_live(page)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Too poor to search")).to_be_visible()
        await page.get_by_role("link", name="Choose another frame of the clip").click()

        await expect(shown).to_have_attribute("data-frame", "1")
        await step(page, "l", 2)
        await step(page, "ArrowRight", 9)
        await step(page, ",")
        await expect(page.locator("#where")).to_have_text("Frame 29, at 0:00.93")
        await clean(page, axe)
        await expect(shown).to_have_attribute("data-frame", "29")
        (row,) = await site.kit.rows(tables.clips)
        assert len(await site.kit.rows(tables.probes)) == 1, "looking through a clip searches for nobody"
        await page.keyboard.press("Enter")

        await expect(page.get_by_text("frame 29 of a clip, at 0:00.93, turned 90° upright")).to_be_visible()
        await expect(page.get_by_role("button", name="Search for face 1")).to_be_focused()
        await clean(page, axe)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Waiting for a supervisor")).to_be_visible()
        await page.goto(f"{site.address}/clips/{row['clip_id']}")
        await expect(page.get_by_role("heading", name="Waiting for a supervisor")).to_be_visible()
        (probe,) = await site.kit.rows(tables.probes, state="awaiting_approval")
        await _searched(site, probe["probe_id"])
        await _another_frame_of_the_same_person(page, site, probe)
        visitor.checked()

    assert (probe["chosen_face"], probe["case_number"]) == (1, "26-000123")
    assert (probe["image_width"], probe["image_height"]) == (480, 640)
    cut = probe["cut_from"]
    assert (cut["frame"], cut["milliseconds"], cut["rotation"]) == (29, 933, 90)
    assert cut["clipSha256"] == row["clip_sha256"]
    entries = [one["entry"] for one in await site.kit.audited("probe.attach")]
    assert [one["details"]["cutFrom"]["frame"] for one in entries] == [1, 29, 31]
    ended = await site.kit.rows(tables.clips)
    assert [(one["outcome"], one["clip_object"], one["form"]) for one in ended] == [("chosen", None, None)] * 2


async def _searched(site: Website, probe_id: str) -> None:
    await site.post(f"/probes/{probe_id}/approve", "supervisor")
    await site.search_all([await site.kit.enrol("one")])


async def _another_frame_of_the_same_person(page: Page, site: Website, first: Mapping[str, Any]) -> None:
    """P01: under the approval that was given, out of another clip, which nobody is asked about anew."""
    await page.goto(f"{site.address}/incidents/INC-1")
    await page.get_by_role("radio", name="face 1: Searched").check()
    await expect(page.get_by_label("Case number")).to_have_value(first["case_number"])
    await page.get_by_label("I attest").check()
    await page.evaluate(DROP, [base64.b64encode(walking()).decode(), "camera 5.mp4"])
    await page.get_by_role("button", name="Open the clip and choose a frame").press("Enter")
    await expect(page.get_by_role("slider", name="Frame")).to_be_focused()
    await step(page, "l", 3)
    await expect(page.locator("#shown")).to_have_attribute("data-frame", "31")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("it covers this one too")).to_be_visible()
    await page.get_by_role("button", name="Search for face 1").press("Enter")
    await expect(page.get_by_role("heading", name="Searching")).to_be_visible()
    (further,) = await site.kit.rows(tables.probes, same_person_as=first["probe_id"])
    assert (further["approved_by"], further["case_number"]) == ("supervisor", first["case_number"])
    assert further["cut_from"]["frame"] == 31
