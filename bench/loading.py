"""Loading a gallery into a matcher, beside reading and unsealing its segments once.

    python -m bench.loading [--templates 1000000] [--length 512] [--rounds 5] [--json]

A gallery of random templates, two pictures for each person, is enrolled through `rtcc_bridge.gallery.additions` into
SQLite and a folder of sealed objects, which takes minutes. Then three things take turns: each segment is read from the
store and unsealed to bytes, as any object is, and dropped again; the same straight to memory of its size; and a new
follower loads the gallery until it can be searched: it reads every image's row from the database, reads and unseals the
segments, checks and measures every template, sorts the people.

Told is the processor time of all, of all threads, since that says what each needs on a machine that has something else
to do, and the time by the clock.
"""

import argparse
import asyncio
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import SecretStr

from bench.machine import machine
from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.app.galleries import gallery_parts
from rtcc_bridge.gallery.additions import GalleryAdditions, NewImage
from rtcc_bridge.gallery.enroll import TEMPLATES_PER_SEGMENT
from rtcc_bridge.gallery.follower import Followed, GalleryFollower
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.settings import DatabaseSettings, ObjectSettings, PolicySettings, Settings
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.object_keys import ObjectKeyRecord

ROOT = Path(__file__).resolve().parents[1]
GALLERY = "bench"
RETAIN_UNTIL = datetime(2099, 12, 31, tzinfo=UTC)
SEED = 20_261_126


@dataclass(frozen=True)
class Report:
    """Seconds, medians of the rounds. ratio: of processor times within a round, of loading to reading.

    in_place: reading straight to memory, which is what loading cannot do without.
    """

    templates: int
    length: int
    segments: int
    rounds: int
    reading_cpu_seconds: float
    loading_cpu_seconds: float
    ratio: float
    ratio_of_each_round: list[float]
    in_place_cpu_seconds: float
    in_place_ratio: float
    reading_seconds: float
    in_place_seconds: float
    loading_seconds: float


def random_templates(count: int, length: int, random: np.random.Generator) -> Float32Array:
    values = random.standard_normal((count, length), np.float32)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


async def fill(core: Core, pack: PackIdentity, count: int, per_segment: int = TEMPLATES_PER_SEGMENT) -> None:
    additions = GalleryAdditions(gallery_parts(core), pack)
    gallery = await additions.open_gallery(GALLERY, GalleryKind.DEMO, "bench")
    random = np.random.default_rng(SEED)
    for start in range(0, count, per_segment):
        numbers = range(start, min(start + per_segment, count))
        await additions.add(
            gallery,
            [_image(number) for number in numbers],
            random_templates(len(numbers), pack.template_length, random),
            "bench",
        )
        print(f"\renrolled {numbers.stop} of {count}", end="", flush=True)
    print()


def _image(number: int) -> NewImage:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return NewImage(f"R-{number // 2:08}", digest, None, "bench", "bench", RETAIN_UNTIL, 90)


async def sealed_segments(core: Core) -> list[ObjectKeyRecord]:
    async with core.database.read() as tx:
        gallery = await galleries.find(tx, GALLERY)
        assert gallery is not None
        found = await galleries.segments(tx, GALLERY, after=-1, up_to=gallery.version)
        return [await core.vault.key_of(tx, segment.object_key) for segment in found]


async def read_and_unseal(core: Core, segments: list[ObjectKeyRecord]) -> None:
    for segment in segments:
        await core.vault.unseal(segment.object_key, segment)


async def read_in_place(core: Core, segments: list[ObjectKeyRecord]) -> None:
    for segment in segments:
        place = np.empty(segment.size_bytes, np.uint8)
        await core.vault.unseal_into(segment.object_key, segment, [place.data])


async def load(core: Core, pack: PackIdentity) -> Followed:
    matching = core.settings.matching
    follower = GalleryFollower(core.database, core.vault, GALLERY, pack, matching, core.metrics, core.clock)
    await follower.follow_once()
    return follower.current


async def _seconds(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Of the processor and by the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    await work()
    return time.process_time() - cpu, time.perf_counter() - clock


def _ratios(loading: list[tuple[float, float]], reading: list[tuple[float, float]]) -> list[float]:
    return [loaded[0] / read[0] for loaded, read in zip(loading, reading, strict=True)]


async def measure(count: int, length: int, rounds: int) -> Report:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings = Settings(
            database=DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{folder}/bench.sqlite3")),
            objects=ObjectSettings(url=(folder / "objects").as_uri(), master_key_file=folder / "master.key"),
            policy=PolicySettings(file=ROOT / "config/policy.yaml"),
        )
        # A machine that has something else to do may take longer than a matcher may go on without the head.
        patient = settings.matching.model_copy(update={"device": "cpu", "gallery_stale_seconds": 600.0})
        settings = settings.model_copy(update={"matching": patient})
        pack = PackIdentity("bench", "ab" * 32, length, calibrated=True)
        async with open_core(settings) as core:
            await fill(core, pack, count)
            segments = await sealed_segments(core)
            reading, in_place, loading = [], [], []
            for _ in range(rounds):
                reading.append(await _seconds(lambda: read_and_unseal(core, segments)))
                in_place.append(await _seconds(lambda: read_in_place(core, segments)))
                loading.append(await _seconds(lambda: load(core, pack)))
    ratios = _ratios(loading, reading)
    return Report(
        templates=count,
        length=length,
        segments=len(segments),
        rounds=rounds,
        reading_cpu_seconds=round(statistics.median(cpu for cpu, _ in reading), 3),
        loading_cpu_seconds=round(statistics.median(cpu for cpu, _ in loading), 3),
        ratio=round(statistics.median(ratios), 2),
        ratio_of_each_round=[round(ratio, 2) for ratio in ratios],
        in_place_cpu_seconds=round(statistics.median(cpu for cpu, _ in in_place), 3),
        in_place_ratio=round(statistics.median(_ratios(loading, in_place)), 2),
        in_place_seconds=round(statistics.median(clock for _, clock in in_place), 3),
        reading_seconds=round(statistics.median(clock for _, clock in reading), 3),
        loading_seconds=round(statistics.median(clock for _, clock in loading), 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    given = parser.parse_args()
    report = asyncio.run(measure(given.templates, given.length, given.rounds))
    print(
        f"{machine()}\n{report.templates:,} templates in {report.segments} segments: read and unsealed in "
        f"{report.reading_cpu_seconds} s of the processor, straight to memory in {report.in_place_cpu_seconds} s, "
        f"loaded in {report.loading_cpu_seconds} s, {report.ratio} and {report.in_place_ratio} times "
        f"({report.reading_seconds}, {report.in_place_seconds} and {report.loading_seconds} s by the clock)"
    )
    if given.json:
        print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
