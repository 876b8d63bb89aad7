"""How long the server takes for each page with ten thousand open incidents and months of work behind them, and whether
a board that shows five hundred of them stutters in Chromium at fifty updates a second.

    python -m bench.pages [--incidents 10000] [--searches 33000] [--images 100000] [--requests 100] [--seconds 20]
        [--rate 50] [--json]

A page of whose requests more than five in a hundred take longer than 150 ms is said to be over. The whole web over
SQLite, with real desks behind it, in this one process, which also asks and reports: figures of the
server hold for one request at a time. Chromium shares the machine's processors with it. A stutter is counted as the
browser counts it (a task of more than 50 ms, Long Tasks API), and as the longest time between two frames. *processor*
is what this process, which asks as well, has used of one for a page: on a machine that does other work besides, only
this and the share in which the page's own thread was busy say something of the program.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import structlog
from playwright.async_api import CDPSession, Page, expect
from pydantic import SecretStr
from sqlalchemy import create_engine

from bench.machine import machine
from bench.past_work import GALLERY, fill
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import metadata
from tests.e2e.visitors import new_visitor, right_now, running_browser
from tests.life_kit import PEER, build_life
from tests.probe_kit import PictureWorkers
from tests.website import Website, acting, running_site

LIMIT_MS = 150
"""What 95 of 100 requests for a page have to stay below."""
WARM_UP = 5
PAGES = (
    ("floor", "/"),
    ("supervisor", "/?leads=unreviewed"),
    ("floor", "/board/changes?{asked}"),
    ("floor", "/board/changes?{asked}&with-leads"),
    ("floor", "/wall"),
    ("analyst", f"/incidents/INC-{7:06}"),
    ("supervisor", f"/incidents/INC-{7:06}/notes"),
    ("analyst", "/probes/{waiting}"),
    ("supervisor", "/approvals"),
    ("supervisor", "/approvals/{waiting}"),
    ("analyst", "/examine/{examined}"),
    ("reviewer", "/review"),
    ("reviewer", "/review/{review}"),
    ("supervisor", "/leads/{released}"),
    ("requestor", "/released"),
    ("requestor", "/released/{released}"),
    ("analyst", "/activity"),
    ("administrator", "/oversight"),
    ("auditor", "/oversight?days=90"),
    ("administrator", "/oversight/misuse"),
    ("auditor", "/oversight/policy"),
    ("auditor", "/oversight/audit"),
    ("auditor", "/oversight/audit/{entry}"),
    ("administrator", "/gallery"),
    ("administrator", f"/gallery/{GALLERY}"),
    ("administrator", "/people"),
)
"""Each with who asks for it."""
SHOWN = 500
CHANGED = 15
"""Incidents that a board asks for at once: about as many change at 50 a second between two of its looks."""
TYPES = ("HOMICIDE", "SHOOT", "ROBBERY", "ASSAULT", "WEAPON", "STABBING", "TRAUMA", "OD")
WATCH = """() => {
  window.tasks = [];
  window.gaps = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask" });
  let last = performance.now();
  const frame = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""
SHOWS = """(wanted) => Object.entries(wanted).every(([key, place]) =>
  document.querySelector(`#incidents [data-key="${key}"] .place`)?.textContent === place)"""
PARTS = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
Line = dict[str, Any]


@asynccontextmanager
async def site() -> AsyncIterator[Website]:
    with TemporaryDirectory() as name:
        file = Path(name) / "bench.sqlite3"
        engine = create_engine(f"sqlite:///{file}")
        metadata.create_all(engine)
        engine.dispose()
        database = Database(DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{file}")))
        async with running_site(
            database, right_now(), Metrics(), Path(name), workers=PictureWorkers(), roles=()
        ) as running:
            yield running
        await database.close()


async def report(on: Website, count: int) -> None:
    """So many open incidents, of all types and priorities, over the last two days; three threats; one lead."""
    opened = on.kit.clock.now()
    for start in range(0, count, SHOWN):
        numbers = range(start, min(start + SHOWN, count))
        await on.report_all(
            {name(number): _fields(number, rfc3339(opened - timedelta(seconds=17 * number))) for number in numbers}
        )
    for number in range(3):
        await on.alert(name(number), headline=f"Armed person {number}")
    await on.lead(name(0))


def name(number: int) -> str:
    return f"INC-{number:06}"


def _fields(number: int, opened_at: str) -> dict[str, Any]:
    return {
        "incidentTypeCommonRegistryText": TYPES[number % len(TYPES)],
        "incidentCommonPriorityNumber": 1 + number % 9,
        "location": {"text": f"{number} Harbor Street, second floor"},
        "notes": ["What dispatch wrote of it. " * 8],
        "openedAt": opened_at,
    }


async def under_way(on: Website) -> dict[str, str]:
    """What the addresses of `PAGES` name: a search that waits for its approval, leads that are examined, reviewed and
    released, an entry of the log, and what a board asks for."""
    life = build_life(on.kit)
    waiting = await on.attach(name(1))
    await on.post(f"/probes/{waiting['probeId']}/face", "analyst", {"number": 1})
    examined, concluded, released = await life.taken(), await life.taken(), await life.released()
    await life.conclude(concluded, (0,))
    [review] = await on.kit.rows(tables.examinations, lead_id=concluded, round=2)
    await life.life.review.take(review["examination_id"], PEER)
    await on.settle()
    entry = (await on.kit.rows(tables.audit_entries, subject=released))[0]
    return {
        "asked": "&".join(f"incident={name(number)}" for number in range(CHANGED)),
        "waiting": str(waiting["probeId"]),
        "examined": examined,
        "review": str(review["examination_id"]),
        "released": released,
        "entry": str(entry["entry_id"]),
    }


async def server(options: argparse.Namespace) -> list[Line]:
    """Of each page in turn, so that what else the machine does falls on all alike."""
    async with site() as on:
        await report(on, options.incidents)
        await fill(on, options.searches, options.images)
        named = await under_way(on)
        pages = [(account, path.format_map(named)) for account, path in PAGES]
        taken: dict[str, list[float]] = {path: [] for _, path in pages}
        worked = dict.fromkeys(taken, 0.0)
        sizes: dict[str, int] = {}
        gc.collect()
        gc.freeze()  # as the daemon does when it has started; here what filled the database would be looked through
        for turn in range(options.requests + WARM_UP):
            for account, path in pages:
                start, work = time.perf_counter(), time.process_time()
                async with on.client.get(path, headers=acting(account)) as answer:
                    assert answer.status == HTTPStatus.OK, (path, await answer.text())
                    sizes[path] = len(await answer.read())
                if turn >= WARM_UP:  # the first ones compile templates and statements
                    taken[path].append((time.perf_counter() - start) * 1000)
                    worked[path] += time.process_time() - work
    return [
        {
            "page": pattern.format_map(dict.fromkeys(named, "…")),
            "bytes": sizes[path],
            **_quantiles(taken[path]),
            "processor_ms": round(worked[path] * 1000 / options.requests, 1),
            "over": float(np.percentile(taken[path], 95)) > LIMIT_MS,
        }
        for (_, pattern), (_, path) in zip(PAGES, pages, strict=True)
    ]


async def board(seconds: float, rate: int) -> Line:
    """A board with `SHOWN` incidents in Chromium, while so many of them change in each second."""
    async with site() as on, running_browser() as browser:
        await report(on, SHOWN)
        visitor = await new_visitor(browser, on.address, "floor")
        answers: list[int] = []
        page = await visitor.open("/")
        await expect(page.locator("#incidents > .card")).to_have_count(SHOWN)
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        page.on("requestfinished", lambda request: answers.append(request.url.count("/board/changes")))
        await page.evaluate(WATCH)
        processor = await page.context.new_cdp_session(page)
        await processor.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = await _processor_seconds(processor)
        wanted: dict[str, str] = {}
        delays: list[float] = []
        batches = int(seconds * 5)
        began = time.perf_counter()
        for batch in range(batches):
            numbers = [(batch * 37 + step * 11) % SHOWN for step in range(rate // 5)]
            changes = {name(number): {"location": {"text": f"{number} Street, change {batch}"}} for number in numbers}
            await on.report_all(changes)
            told = time.perf_counter()
            wanted |= {key: change["location"]["text"] for key, change in changes.items()}
            if batch % 5 == 0:
                await _shown(page, {key: change["location"]["text"] for key, change in changes.items()})
                delays.append((time.perf_counter() - told) * 1000)
            await asyncio.sleep(max(0.0, began + (batch + 1) / 5 - time.perf_counter()))
        lasted = time.perf_counter() - began
        await _shown(page, wanted)
        busy = {key: value - before[key] for key, value in (await _processor_seconds(processor)).items()}
        tasks, gaps = await page.evaluate("[window.tasks, window.gaps.slice(2)]")
        visitor.checked()
    return {
        "updates": batches * (rate // 5),
        "updates_per_second": round(batches * (rate // 5) / lasted, 1),
        "lost": 0,
        "long_tasks": len(tasks),
        "longest_task_ms": round(max(tasks, default=0.0), 1),
        "frames_per_second": round(len(gaps) / lasted, 1),
        "longest_between_frames_ms": round(max(gaps), 1),
        "loads": sum(answers),
        "page_busy_percent": round(100 * busy["TaskDuration"] / lasted, 1),
        "of_that_percent": {
            key.removesuffix("Duration"): round(100 * busy[key] / busy["TaskDuration"]) for key in PARTS
        },
        **{f"shown_after_{key}": value for key, value in _quantiles(delays).items()},
    }


async def _processor_seconds(session: CDPSession) -> dict[str, float]:
    """What the page's own thread has used of a processor: it does not grow while other programs have it."""
    found = (await session.send("Performance.getMetrics"))["metrics"]
    return {one["name"]: one["value"] for one in found if one["name"] in {"TaskDuration", *PARTS}}


async def _shown(page: Page, wanted: dict[str, str]) -> None:
    """Raises TimeoutError when the board does not come to show all of it: an update was lost."""
    await page.wait_for_function(SHOWS, arg=wanted, polling="raf")


def _quantiles(milliseconds: Sequence[float]) -> Line:
    return {f"p{q}_ms": round(float(np.percentile(milliseconds, q)), 1) for q in (50, 95)}


def _told(options: argparse.Namespace, load: float, pages: Sequence[Line]) -> None:
    counts = ", ".join(f"{getattr(options, key):,} {key}" for key in ("incidents", "searches", "images"))
    print(f"{machine()}; load before: {load:.2f}; {counts}")
    for line in pages:
        times = "  ".join(f"{key.removesuffix('_ms')} {line[key]} ms" for key in ("p50_ms", "p95_ms", "processor_ms"))
        over = f"  OVER {LIMIT_MS} ms" if line["over"] else ""
        print(f"{line['page']:35} {line['bytes']:>8,} bytes  {times}{over}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=33_000)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the board in Chromium; 0 leaves it out")
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    load = os.getloadavg()[0]
    pages = asyncio.run(server(options))
    if not options.json:
        _told(options, load, pages)
    in_chromium = asyncio.run(board(options.seconds, options.rate)) if options.seconds else {}
    if options.json:
        print(json.dumps({"machine": machine(), "load_before": load, "pages": pages, "board": in_chromium}))
    else:
        print(*(f"{key}: {value}" for key, value in in_chromium.items()), sep="\n")


if __name__ == "__main__":
    main()
