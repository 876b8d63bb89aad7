"""What a matcher does to sealed segments beside its searches: merging sixteen, and scrubbing one.

    python -m bench.gallery_upkeep [--templates 65536] [--length 512] [--json]

The templates, random ones, lie in sixteen segments, in SQLite and a folder of sealed objects. They are merged to one,
the largest that there is by default; then a person is removed, and that one is scrubbed. Told is the processor time of
all threads, the time by the clock, how much more memory the process had at the most, and the longest piece of
processor time that the event loop had, on which searches are taken and answered.
"""

import argparse
import asyncio
import gc
import json
import os
import tempfile
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from bench.loading import GALLERY, ROOT, fill
from bench.machine import machine
from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.app.galleries import expunger_for, scrubber_for
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.gallery.compact import SEGMENTS_TO_MERGE, SegmentCompactor
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.settings import DatabaseSettings, ObjectSettings, PolicySettings, Settings

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """Seconds, and bytes beyond what the process had before."""

    work: str
    segments: int
    cpu_seconds: float
    seconds: float
    more_bytes: int
    longest_on_loop_seconds: float


class TomorrowClock(SystemClock):
    """Young segments are not merged."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=1)


class _Watch:
    """The most memory that was resident, and the longest that the event loop computed in one piece: by its processor
    time, since a busy machine holds it too."""

    def __init__(self) -> None:
        self.most_bytes = _resident_bytes()
        self.longest_seconds = 0.0
        self._ended = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        sampler = threading.Thread(target=self._sample)
        ticking = asyncio.get_running_loop().create_task(self._tick())
        sampler.start()
        try:
            yield
        finally:
            ticking.cancel()
            self._ended.set()
            sampler.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.002):
            self.most_bytes = max(self.most_bytes, _resident_bytes())

    async def _tick(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            self.longest_seconds = max(self.longest_seconds, time.thread_time() - before)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


async def _cost(work: str, doing: Awaitable[int]) -> Cost:
    gc.collect()  # what came before is not looked through again while the work is measured
    gc.freeze()
    watch, before = _Watch(), _resident_bytes()
    cpu, clock = time.process_time(), time.perf_counter()
    with watch.watching():
        segments = await doing
    return Cost(
        work=work,
        segments=segments,
        cpu_seconds=round(time.process_time() - cpu, 3),
        seconds=round(time.perf_counter() - clock, 3),
        more_bytes=watch.most_bytes - before,
        longest_on_loop_seconds=round(watch.longest_seconds, 4),
    )


async def _costs(core: Core) -> list[Cost]:
    compactor = SegmentCompactor(core.database, core.vault, core.audit, TomorrowClock())
    merging = await _cost("merging", compactor.compact(GALLERY))
    administrator = DEMO_ACCOUNTS["administrator"]
    await expunger_for(core).expunge_subject(GALLERY, f"R-{0:08}", "bench", administrator, scrubs=False)
    return [merging, await _cost("scrubbing", scrubber_for(core).scrub(GALLERY))]


async def measure(count: int, length: int) -> list[Cost]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings = Settings(
            database=DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{folder}/bench.sqlite3")),
            objects=ObjectSettings(url=(folder / "objects").as_uri(), master_key_file=folder / "master.key"),
            policy=PolicySettings(file=ROOT / "config/policy.yaml"),
        )
        async with open_core(settings) as core:
            pack = PackIdentity("bench", "ab" * 32, length, calibrated=True)
            await fill(core, pack, count, count // SEGMENTS_TO_MERGE)
            return await _costs(core)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=int, default=65_536)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--json", action="store_true", help="one JSON list as the last line")
    given = parser.parse_args()
    costs = asyncio.run(measure(given.templates, given.length))
    print(machine())
    for cost in costs:
        print(
            f"{cost.work} ({cost.segments} segments, {given.templates:,} templates of {given.length}): "
            f"{cost.cpu_seconds} s of the processor, {cost.seconds} s by the clock, {cost.more_bytes / 1e6:.0f} MB "
            f"more at the most, {cost.longest_on_loop_seconds * 1e3:.0f} ms on the event loop in one piece"
        )
    if given.json:
        print(json.dumps([asdict(cost) for cost in costs]))


if __name__ == "__main__":
    main()
