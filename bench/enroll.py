"""Enrolment against the ceiling of its face work on this machine.

    python -m bench.enroll --faces DIR [--people PREFIX] [--packs DIR] [--pictures 240] [--copies 1] [--processes 2]
        [--rounds 5] [--json]

The ceiling: as many processes as enrolment has workers, each decoding, detecting, aligning and embedding its share of
the pictures in a loop of its own, with nothing sealed, judged or written down. Enrolment: the same pictures through
`rtcc_bridge.gallery.enroll` with its sandboxed workers, SQLite and a local object store, until all is committed. The
rounds are interleaved; both sides have started and are warm. DIR holds a folder for each person. Where it has few
pictures, `--copies` takes each several times, saved as JPEG with a quality of its own, so that no two files are equal.

Beside the time the processor time of all processes is told: on a machine that has something else to do the former says
who got the processor, the latter what each side needed of it.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image
from pydantic import SecretStr

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.galleries import enroller_for
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.matching.crop import crop_face
from rtcc_bridge.matching.decode import DecodeLimits, decode
from rtcc_bridge.matching.detect import MAX_DETECTION_PIXELS, detect_bounded, open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching_settings import MatchingSettings
from rtcc_bridge.modelpacks.installed import open_pack
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.settings import DatabaseSettings, ObjectSettings, PolicySettings, Settings

ROOT = Path(__file__).resolve().parents[1]
EMBED_AT_ONCE = 16
_WARM_UP = 64
"""Pictures for each process, before anything is measured: so many that the first round is as fast as the others."""
_BEST_QUALITY = 95
WORDS = {"provenance": "bench", "lawful_basis": "bench", "retain_until": "2099-12-31", "attested_adult": "true"}


@dataclass(frozen=True)
class Report:
    """Pictures a second, medians of the rounds. ratio: of the two medians. enrolled: of `pictures`, in each round.

    cpu_ms: processor time of a picture, medians; cpu_ratio: the ceiling's of the enrolment's.
    """

    pictures: int
    enrolled: int
    processes: int
    rounds: int
    ceiling_per_second: float
    enrolment_per_second: float
    ratio: float
    ratio_of_each_round: list[float]
    ceiling_cpu_ms: float
    enrolment_cpu_ms: float
    cpu_ratio: float


class _FaceLoop:
    """The face work of one process of the ceiling."""

    def __init__(self, pack: Path) -> None:
        loaded = load_pack(pack)
        self._detector = open_detector(loaded)
        self._embedder = FaceEmbedder(open_embedder(loaded))

    def run(self, files: Sequence[str]) -> int:
        crops, templates = [], 0
        for file in files:
            image = decode(Path(file).read_bytes(), DecodeLimits())
            faces = detect_bounded(self._detector, image, MAX_DETECTION_PIXELS)
            if len(faces) == 1:
                crops.append(crop_face(image, faces[0], faces))
            if len(crops) == EMBED_AT_ONCE:
                templates += len(self._embedder.templates(crops))
                crops = []
        return templates + (len(self._embedder.templates(crops)) if crops else 0)


_loop: _FaceLoop


def _begin(pack: Path) -> None:
    global _loop  # noqa: PLW0603 - a process of the pool has one
    _loop = _FaceLoop(pack)


def _work(files: Sequence[str]) -> int:
    return _loop.run(files)


def choose(faces: Path, people: str, folder: Path, count: int, copies: int) -> list[str]:
    """Copies so many pictures into a folder for each person; the paths of the copies.

    people: what the names of the persons' folders begin with. copies: of each picture, beside one another.
    """
    chosen: list[Path] = []
    for path in sorted(path for path in faces.glob(f"{people}*/*") if path.is_file())[:count]:
        person = folder / path.parent.name
        person.mkdir(exist_ok=True)
        if copies == 1:
            chosen.append(Path(shutil.copy(path, person)))
            continue
        picture = Image.open(path).convert("RGB")
        for quality in range(_BEST_QUALITY, _BEST_QUALITY - copies, -1):
            chosen.append(person / f"{path.name}-{quality}.jpg")
            picture.save(chosen[-1], quality=quality)
    return [str(one) for one in chosen]


def cpu_seconds() -> float:
    """Processor time of this process and its children so far."""
    ticks, own = 0, os.getpid()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if own in (int(entry.parent.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass
class _Side:
    """What one side of the comparison took, round by round."""

    pictures: int
    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    @contextmanager
    def round(self) -> Iterator[None]:
        started, cpu = time.perf_counter(), cpu_seconds()
        yield
        self.per_second.append(self.pictures / (time.perf_counter() - started))
        self.cpu_ms.append(1000 * (cpu_seconds() - cpu) / self.pictures)


async def measure(given: argparse.Namespace) -> Report:
    packs, processes, rounds = given.packs, given.processes, given.rounds
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "people").mkdir()
        (folder / "few").mkdir()
        files = choose(given.faces, given.people, folder / "people", given.pictures, given.copies)
        few_of_them = math.ceil(_WARM_UP * processes / given.copies)
        choose(given.faces, given.people, folder / "few", few_of_them, given.copies)
        settings = Settings(
            database=DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{folder}/bench.sqlite3")),
            objects=ObjectSettings(url=(folder / "objects").as_uri(), master_key_file=folder / "master.key"),
            policy=PolicySettings(file=ROOT / "config/policy.yaml"),
            matching=MatchingSettings(packs_directory=packs, device="cpu", threads=processes),
        )
        pack = open_pack(settings.matching, lambda *_: None)
        source, few = FolderSource(folder / "people", **WORDS), FolderSource(folder / "few", **WORDS)
        shares = [files[number::processes] for number in range(processes)]
        spawn = multiprocessing.get_context("spawn")
        ceiling, ours, enrolled = _Side(len(files)), _Side(len(files)), 0
        with ProcessPoolExecutor(processes, spawn, _begin, (pack.folder,)) as pool:
            async with open_core(settings) as core, enroller_for(core, pack) as enroller:
                list(pool.map(_work, [share[:_WARM_UP] for share in shares]))
                await enroller.enroll(few, "warm-up", GalleryKind.DEMO, account=DEMO_ACCOUNTS["administrator"])
                for number in range(rounds):
                    with ceiling.round():
                        await asyncio.to_thread(lambda: list(pool.map(_work, shares)))
                    with ours.round():
                        receipt = await enroller.enroll(
                            source, f"bench-{number}", GalleryKind.DEMO, account=DEMO_ACCOUNTS["administrator"]
                        )
                    enrolled = receipt.enrolled
    most, reached = statistics.median(ceiling.per_second), statistics.median(ours.per_second)
    least_cpu, cpu = statistics.median(ceiling.cpu_ms), statistics.median(ours.cpu_ms)
    return Report(
        pictures=len(files),
        enrolled=enrolled,
        processes=processes,
        rounds=rounds,
        ceiling_per_second=round(most, 2),
        enrolment_per_second=round(reached, 2),
        ratio=round(reached / most, 3),
        ratio_of_each_round=[
            round(one / limit, 3) for one, limit in zip(ours.per_second, ceiling.per_second, strict=True)
        ],
        ceiling_cpu_ms=round(least_cpu, 1),
        enrolment_cpu_ms=round(cpu, 1),
        cpu_ratio=round(least_cpu / cpu, 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--people", default="", help="what the names of their folders begin with")
    parser.add_argument("--packs", type=Path, default=Path("var/packs"))
    parser.add_argument("--pictures", type=int, default=240, help="before they are copied")
    parser.add_argument("--copies", type=int, default=1, help="of each picture, no two of them equal")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    given = parser.parse_args()
    if not 1 <= given.copies <= _BEST_QUALITY:
        parser.error(f"--copies is between 1 and {_BEST_QUALITY}: each has a quality of its own")
    report = asyncio.run(measure(given))
    print(
        f"{report.pictures} pictures, {report.processes} processes: ceiling {report.ceiling_per_second} pictures/s, "
        f"enrolment {report.enrolment_per_second} pictures/s, {report.ratio:.0%} of it ({report.enrolled} enrolled); "
        f"processor time {report.ceiling_cpu_ms} and {report.enrolment_cpu_ms} ms a picture, {report.cpu_ratio:.0%}"
    )
    if given.json:
        print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
