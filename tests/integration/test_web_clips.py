"""Clips through the API, as a program would send them. The worker is a stand-in; everything else is real."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.probe_kit import CLIP_FRAMES
from tests.website import Website, acting, clip_form, running_site


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    intake = {"max_clip_bytes": 100_000}
    async with running_site(database, clock, metrics, tmp_path, intake=intake) as running:
        await running.report("INC-1")
        yield running


async def send(site: Website, form: FormData, account: str = "analyst") -> tuple[int, dict[str, Any]]:
    async with site.client.post("/api/v1/incidents/INC-1/clips", data=form, headers=acting(account)) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_clip_is_sent_looked_at_and_a_frame_of_it_becomes_the_still(site: Website) -> None:
    status, clip = await send(site, clip_form())
    assert status == 201
    assert (clip["codec"], clip["rotation"], clip["outcome"], len(clip["frames"])) == ("h264", 90, None, CLIP_FRAMES)
    assert clip["frames"][1] == {"number": 2, "milliseconds": 33, "sharpness": 20}
    address = f"/clips/{clip['clipId']}"
    assert await site.get(address, "analyst") == clip
    for picture in ("sheets/1", "frames/7"):
        async with site.client.get(f"/api/v1{address}/{picture}", headers=acting("analyst")) as answer:
            assert (answer.status, answer.content_type) == (200, "image/jpeg")
            assert answer.headers["Cache-Control"] == "no-store"
    async with site.client.post(f"/api/v1{address}/still", json={"frame": 7}, headers=acting("analyst")) as answer:
        assert answer.status == 201
        probe = await answer.json()
    assert (probe["state"], probe["cutFrom"]["frame"]) == ("faces_found", 7)
    assert probe["cutFrom"]["clipSha256"] == clip["clipSha256"]
    ended = await site.get(address, "analyst")
    assert (ended["outcome"], ended["frames"], ended["probeId"]) == ("chosen", [], probe["probeId"])


@pytest.mark.parametrize("missing", ["sheets/0", "sheets/4", "sheets/x", "frames/31", "frames/99999999"])
async def test_what_the_clip_does_not_have_is_not_found(site: Website, missing: str) -> None:
    _, clip = await send(site, clip_form())
    async with site.client.get(f"/api/v1/clips/{clip['clipId']}/{missing}", headers=acting("analyst")) as answer:
        assert answer.status == 404


async def test_p04_nobody_else_gets_a_clip(site: Website) -> None:
    _, clip = await send(site, clip_form())
    for account, rule in (("reviewer", "P04"), ("supervisor", "P10"), ("administrator", "P10"), ("floor", "P10")):
        for path in ("", "/sheets/1", "/frames/1"):
            async with site.client.get(f"/api/v1/clips/{clip['clipId']}{path}", headers=acting(account)) as answer:
                assert (answer.status, (await answer.json(content_type=None))["rule"]) == (403, rule)
        async with site.client.post(
            f"/api/v1/clips/{clip['clipId']}/still", json={"frame": 1}, headers=acting(account)
        ) as answer:
            assert (answer.status, (await answer.json(content_type=None))["rule"]) == (403, rule)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        (clip_form({"edits": "[]"}), 422),
        (clip_form(part="image"), 422),
        (clip_form(data=bytes(300_000)), 413),
        (clip_form({"purpose": "immigration"}), 403),
        (clip_form({"attestedOriginal": "false"}), 403),
    ],
)
async def test_what_may_not_pass_is_refused_and_leaves_nothing(site: Website, form: FormData, status: int) -> None:
    assert (await send(site, form))[0] == status
    assert await site.kit.rows(tables.clips) == []
    assert site.kit.object_files() == []
