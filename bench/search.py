"""Exact search beside what else there is, on this machine.

    python -m bench.search --templates 100000 --batch 1,64 [--length 512] [--data random] [--plot FILE] [--json]

Half of the probes resemble an enrolled photo. Timings are medians of interleaved runs, all with the same threads.
`identical` compares every list with one made from float64 scores of all rows. `gemm_ms` is the bare int8 product of
all rows with the probes; `bandwidth_fraction` is the time in which this machine reads the scanned bytes (the best of
three ways to read them, each measured as the searches are, in the same run) divided by ours.
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.machine import machine, median_ms, readings, resident_bytes
from bench.search_peers import PEERS, bare_product
from rtcc_bridge import modelpacks
from rtcc_bridge.app.unused_memory import return_unused_memory
from rtcc_bridge.matching.calibration import load_calibration
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates, exact_scores
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array

LIMIT = 50
PHOTOS_PER_PERSON = 2
SEED = 1
CHUNK_ROWS = 65_536
"""Rows that are made at once; also those of a segment."""

CALIBRATION = Path(modelpacks.__file__).with_name("default_calibration.json")
KINDS = ("random", "clustered", "duplicated", "fitted")


@dataclass(frozen=True)
class Row:
    """One line of the report. masked_ms: ours where every twentieth image was removed. bytes_per_template: what the
    process grew by with the gallery and its index, once freed memory is given back, as a matcher does each minute."""

    templates: int
    length: int
    batch: int
    data: str
    threads: int
    ours_ms: float
    masked_ms: float
    peers_ms: dict[str, float]
    ratio_faiss: float | None
    gemm_ms: float
    gemm_fraction: float
    bandwidth_fraction: float
    bytes_per_template: float
    survivors: float
    widenings: int
    identical: bool

    def flat(self) -> dict[str, object]:
        """The same with a field for each peer."""
        fields = asdict(self)
        peers = fields.pop("peers_ms")
        return fields | {f"{name}_ms": value for name, value in peers.items()}


def make_rows(kind: str, rows: int, length: int, generator: np.random.Generator) -> Iterator[Float32Array]:
    """Templates float32 (n, D) of length 1, CHUNK_ROWS at a time."""
    calibration = load_calibration(CALIBRATION)
    centres = _normalised(generator.standard_normal((max(1, rows // 100), length), dtype=np.float32))
    for start in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - start)
        if kind == "fitted":
            yield calibration.filler_templates(count, int(generator.integers(2**31)))
            continue
        part = generator.standard_normal((count, length), dtype=np.float32)
        if kind == "clustered":
            part = centres[generator.integers(0, len(centres), count)] + np.float32(0.5 / length**0.5) * part
        if kind == "duplicated":
            part = part[generator.integers(0, max(1, count // 10), count)]
        yield _normalised(part)


def make_probes(kind: str, snapshot: GallerySnapshot, batch: int, generator: np.random.Generator) -> Float32Array:
    (probes,) = make_rows(kind, batch, snapshot.template_length, generator)
    mated = np.arange(0, batch, 2)
    rows = generator.integers(0, snapshot.row_count, len(mated))
    probes = probes.copy()
    probes[mated] += snapshot.templates_of(rows).as_float32()
    return _normalised(probes)


def _normalised(rows: Float32Array) -> Float32Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def is_true(snapshot: GallerySnapshot, probe: Float32Array, scores: Float64Array, found: list[Candidate]) -> bool:
    """scores: float64 of all rows, right to some 1e-15: enough to say which rows can be on the list at all."""
    near = np.flatnonzero(scores >= np.partition(scores, -LIMIT * 8)[-LIMIT * 8] - 1e-9)
    exact = exact_scores(snapshot.templates_of(near), probe)
    order = np.lexsort((snapshot.image_ids[near], -exact))
    _, first = np.unique(snapshot.subject_ids[near[order]], return_index=True)
    best = order[np.sort(first)][:LIMIT]
    expected = [(int(snapshot.image_ids[near[row]]), float(exact[row])) for row in best]
    return len(best) == LIMIT and expected == [(one.best.image_id, one.similarity_score) for one in found]


def all_scores(snapshot: GallerySnapshot, probes: Float32Array) -> Float64Array:
    """float64 (B, N), from the stored numbers by BLAS."""
    parts = []
    for chunk in snapshot.chunks:
        for start in range(0, len(chunk), 8192):
            stored = chunk.templates.take(np.arange(start, min(start + 8192, len(chunk))))
            parts.append(probes.astype(np.float64) @ stored.whole_numbers().T * stored.scales)
    return np.concatenate(parts, axis=1)


def measure(arguments: argparse.Namespace) -> list[Row]:
    generator = np.random.default_rng(SEED)
    rows, threads = arguments.templates, arguments.threads
    length = 128 if arguments.data == "fitted" else arguments.length
    return_unused_memory()
    before = resident_bytes()
    stored = [StoredTemplates.of(part) for part in make_rows(arguments.data, rows, length, generator)]
    ids = np.arange(rows, dtype=np.int64)
    snapshot = GallerySnapshot.build("bench", 1, stored, ids, ids // PHOTOS_PER_PERSON)
    index = open_index(snapshot, threads=threads)
    return_unused_memory()
    bytes_per_template = (resident_bytes() - before) / rows
    masked = open_index(snapshot.without(2, ids[::20]), threads=threads)
    peers = {name: PEERS[name](snapshot, threads) for name in arguments.peers}
    planes = [chunk.templates.high for chunk in snapshot.chunks]
    report = []
    for batch in arguments.batch:
        probes = make_probes(arguments.data, snapshot, batch, generator)
        earlier = index.counters
        found = index.search(probes, LIMIT, -1.0)
        counters = index.counters
        scores = all_scores(snapshot, probes)
        identical = all(is_true(snapshot, *one) for one in zip(probes, scores, found, strict=True))
        calls = [partial(peer, probes, LIMIT) for peer in peers.values()]
        ways = readings(planes, threads)
        ours_ms, masked_ms, gemm_ms, *others_ms = median_ms(
            arguments.repeats,
            partial(index.search, probes, LIMIT, -1.0),
            partial(masked.search, probes, LIMIT, -1.0),
            partial(bare_product, planes, probes, threads),
            *ways,
            *calls,
        )
        read_ms, peers_ms = min(others_ms[: len(ways)]), others_ms[len(ways) :]
        by_peer = dict(zip(peers, [round(one, 2) for one in peers_ms], strict=True))
        report.append(
            Row(
                templates=rows,
                length=snapshot.template_length,
                batch=batch,
                data=arguments.data,
                threads=threads,
                ours_ms=round(ours_ms, 2),
                masked_ms=round(masked_ms, 2),
                peers_ms=by_peer,
                ratio_faiss=round(by_peer["faiss"] / ours_ms, 2) if "faiss" in by_peer else None,
                gemm_ms=round(gemm_ms, 2),
                gemm_fraction=round(gemm_ms / ours_ms, 3),
                bandwidth_fraction=round(read_ms / ours_ms, 3),
                bytes_per_template=round(bytes_per_template, 1),
                survivors=(counters.survivors - earlier.survivors) / batch,
                widenings=counters.widenings - earlier.widenings,
                identical=identical,
            )
        )
        print(", ".join(f"{name} {value}" for name, value in report[-1].flat().items()), flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=512, help="of a template; 128 with --data fitted")
    parser.add_argument("--batch", type=lambda text: [int(batch) for batch in text.split(",")], default="1,64")
    parser.add_argument("--data", choices=KINDS, default="random", help="fitted: the default pack's strangers")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--peers", type=lambda text: [name for name in text.split(",") if name], default=",".join(PEERS)
    )
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    print(machine())
    report = measure(arguments)
    if arguments.json:
        print(json.dumps({str(row.batch): row.flat() for row in report}))


if __name__ == "__main__":
    main()
