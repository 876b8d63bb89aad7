"""Exact search against plain NumPy on this machine.

    python -m bench.search --templates 100000 --batch 1,64 [--length 512] [--json]

The gallery is random, with a few photos of some people; half of the probes resemble an enrolled photo. Timings are
medians of interleaved runs. `identical` compares every list with one made from float64 scores of all rows.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.search import exact_scores
from rtcc_bridge.matching.search_ort import OrtSearchIndex
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.types import Candidate, Float32Array

LIMIT = 50
PHOTOS_PER_PERSON = 2
SEED = 1


@dataclass(frozen=True)
class Row:
    """One line of the report. bytes_per_template: what the process grew by with the gallery and its index."""

    templates: int
    length: int
    batch: int
    ours_ms: float
    numpy_ms: float
    ratio_numpy: float
    survivors: float
    widenings: int
    identical: bool
    bytes_per_template: float


def make_gallery(rows: int, length: int, generator: np.random.Generator) -> GallerySnapshot:
    templates = np.empty((rows, length), np.float32)
    for start in range(0, rows, 65_536):
        part = generator.standard_normal((min(65_536, rows - start), length), dtype=np.float32)
        templates[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    ids = np.arange(rows, dtype=np.int64)
    return GallerySnapshot.build("bench", 1, templates, ids, ids // PHOTOS_PER_PERSON)


def make_probes(snapshot: GallerySnapshot, batch: int, generator: np.random.Generator) -> Float32Array:
    probes = generator.standard_normal((batch, snapshot.template_length), dtype=np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    mated = np.arange(0, batch, 2)
    probes[mated] += snapshot.templates[generator.integers(0, len(snapshot.templates), len(mated))]
    return np.asarray(probes / np.linalg.norm(probes, axis=1, keepdims=True), np.float32)


def search_with_numpy(snapshot: GallerySnapshot, probes: Float32Array) -> None:
    """What one would write without this program: all float32 scores at once, then the best rows. Proves nothing."""
    scores = probes @ snapshot.templates.T
    best = np.argpartition(scores, -LIMIT, axis=1)[:, -LIMIT:]
    np.take_along_axis(scores, best, axis=1).sort(axis=1)


def is_true(snapshot: GallerySnapshot, probe: Float32Array, found: list[Candidate], threshold: float) -> bool:
    scores = exact_scores(snapshot.templates, probe)
    order = np.lexsort((snapshot.image_ids, -scores))
    _, first = np.unique(snapshot.subject_ids[order], return_index=True)
    best = order[np.sort(first)]
    best = best[scores[best] >= threshold][:LIMIT]
    expected = [(int(snapshot.image_ids[row]), float(scores[row])) for row in best]
    return expected == [(one.best.image_id, one.similarity_score) for one in found]


def median_ms(repeats: int, *calls: Callable[[], object]) -> list[float]:
    """Interleaved, so that what else the machine does falls on all alike."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for seconds, call in zip(taken, calls, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return [float(np.median(seconds) * 1000) for seconds in taken]


def resident_bytes() -> int:
    """Memory of this process that is no file's (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def measure(rows: int, length: int, batches: list[int], threshold: float, threads: int, repeats: int) -> list[Row]:
    generator = np.random.default_rng(SEED)
    before = resident_bytes()
    snapshot = make_gallery(rows, length, generator)
    index = OrtSearchIndex(snapshot, threads=threads)
    bytes_per_template = (resident_bytes() - before) / rows
    report = []
    for batch in batches:
        probes = make_probes(snapshot, batch, generator)
        earlier = index.counters
        found = index.search(probes, LIMIT, threshold)
        counters = index.counters
        identical = all(is_true(snapshot, *pair, threshold) for pair in zip(probes, found, strict=True))
        ours_ms, numpy_ms = median_ms(
            repeats,
            partial(index.search, probes, LIMIT, threshold),
            partial(search_with_numpy, snapshot, probes),
        )
        report.append(
            Row(
                templates=rows,
                length=length,
                batch=batch,
                ours_ms=round(ours_ms, 2),
                numpy_ms=round(numpy_ms, 2),
                ratio_numpy=round(numpy_ms / ours_ms, 2),
                survivors=(counters.survivors - earlier.survivors) / batch,
                widenings=counters.widenings - earlier.widenings,
                identical=identical,
                bytes_per_template=round(bytes_per_template, 1),
            )
        )
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch", default="1,64")
    parser.add_argument("--threshold", type=float, default=-1.0, help="the default lists the best 50, whoever they are")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    batches = [int(batch) for batch in arguments.batch.split(",")]
    report = measure(
        arguments.templates, arguments.length, batches, arguments.threshold, arguments.threads, arguments.repeats
    )
    for row in report:
        print(", ".join(f"{name} {value}" for name, value in asdict(row).items()))
    if arguments.json:
        print(json.dumps({str(row.batch): asdict(row) for row in report}))


if __name__ == "__main__":
    main()
