"""Search and embedding on a GPU: needs numpy, onnxruntime-gpu, OpenCV and nothing of the rest.

    python -m bench.gpu --templates 1000000,10000000 --batch 1,8,64 --pack FOLDER [--device cuda] [--json]

Search: medians over a gallery of random templates, of the scan on the device and of the whole, and the share of the
card's memory bandwidth, as its maker states it, that reading the float16 templates once in the whole's time comes to.
Embedding: faces a second by `Embedder` beside the bare network on the same numbers. Together: 64 callers each have
one face after another embedded and searched by one `Batcher`, as in a matcher; what one of them waits.
"""

import argparse
import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.batch_policy import AdaptiveBatches
from rtcc_bridge.matching.batcher import Batcher
from rtcc_bridge.matching.embed import Embedder, open_embedder
from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.matching.search_device import DeviceSearchIndex
from rtcc_bridge.matching.search_int8 import Int8SearchIndex
from rtcc_bridge.matching.session import Device, Network, open_network
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Float32Array, Lane, RgbImage

LIMIT = 50
EVERYBODY, OF_MATES = -1.0, 0.5
"""Thresholds: every list is full, or it holds who is sought, as with a threshold that is chosen by its error rate."""

CONCURRENT = 64
CHUNK_ROWS = 1_048_576
ROUNDS = 20

BANDWIDTHS = {"H100 PCIe": 2.0e12, "H100": 3.35e12, "H200": 4.8e12, "A100": 1.555e12}
"""Bytes a second by a part of the device's name, the first that fits (NVIDIA's data sheets)."""


@dataclass(frozen=True)
class SearchRow:
    """One size of gallery and batch. identical: whether the lists equal those of the exact search on the host."""

    templates: int
    batch: int
    scan_p50_ms: float
    p50_ms: float
    p99_ms: float
    bandwidth_fraction: float
    survivors: float
    widenings: int
    identical: bool


def stored_at_random(rows: int, length: int, generator: np.random.Generator) -> list[StoredTemplates]:
    """Stored templates made as such, since drawing and storing ten million float32 rows would take minutes."""
    parts = []
    for start in range(0, rows, CHUNK_ROWS):
        shape = (min(CHUNK_ROWS, rows - start), length)
        high = generator.integers(-127, 128, shape, np.int8)
        low = generator.integers(-128, 128, shape, np.int8)
        squares = np.zeros(len(high), np.float32)
        for first in range(0, len(high), 8192):
            some = slice(first, first + 8192)
            whole = high[some].astype(np.float32) * 256 + low[some]
            squares[some] = np.einsum("nd,nd->n", whole, whole)
        parts.append(StoredTemplates(high, low, np.reciprocal(np.sqrt(squares))))
    return parts


def probes_at_random(snapshot: GallerySnapshot, count: int, generator: np.random.Generator) -> Float32Array:
    """Half of them resemble a row."""
    probes = generator.standard_normal((count, snapshot.template_length)).astype(np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    probes[::2] += snapshot.templates_of(generator.integers(0, snapshot.row_count, len(probes[::2]))).as_float32()
    return np.asarray(probes / np.linalg.norm(probes, axis=1, keepdims=True), np.float32)


def milliseconds(call: Callable[[], object], repeats: int) -> list[float]:
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def searches(
    rows: int, arguments: argparse.Namespace, bandwidth: float, generator: np.random.Generator
) -> tuple[DeviceSearchIndex, list[SearchRow]]:
    ids = np.arange(rows, dtype=np.int64)
    parts = stored_at_random(rows, arguments.length, generator)
    snapshot = GallerySnapshot.build("bench", 1, parts, ids, ids)
    index = DeviceSearchIndex(snapshot, Device(arguments.device), arguments.threads)
    report = []
    for batch in arguments.batch:
        probes = probes_at_random(snapshot, batch, generator)
        earlier = index.counters
        found = index.search(probes, LIMIT, -1.0)
        counters = index.counters
        identical = found == Int8SearchIndex(snapshot, arguments.threads).search(probes, LIMIT, -1.0)
        scanned = milliseconds(partial(index.scan, probes, LIMIT), arguments.repeats)
        taken = milliseconds(partial(index.search, probes, LIMIT, -1.0), arguments.repeats)
        p50 = float(np.median(taken))
        row = SearchRow(
            templates=rows,
            batch=batch,
            scan_p50_ms=round(float(np.median(scanned)), 3),
            p50_ms=round(p50, 3),
            p99_ms=round(float(np.percentile(taken, 99)), 3),
            bandwidth_fraction=round(2 * rows * arguments.length / bandwidth / (p50 / 1000), 3),
            survivors=(counters.survivors - earlier.survivors) / batch,
            widenings=counters.widenings - earlier.widenings,
            identical=identical,
        )
        print(asdict(row), flush=True)
        report.append(row)
    return index, report


def embedding(embedder: Embedder, network: Network, batch: int, repeats: int) -> dict[str, float]:
    """Faces a second, of ours and of the bare network on ready numbers of the same batch."""
    chips = chips_at_random(embedder, batch)
    values = np.ascontiguousarray(chips.transpose(0, 3, 1, 2) if embedder.spec.layout == "NCHW" else chips, np.float32)
    both = np.concatenate([values, values]) if embedder.spec.mirrored_average else values
    ours, bare = (
        batch / (float(np.median(milliseconds(call, repeats))) / 1000)
        for call in (partial(embedder.embed, chips), partial(network.run, both))
    )
    return {"batch": batch, "faces_per_second": round(ours, 1), "bare_network": round(bare, 1)}


def chips_at_random(embedder: Embedder, count: int) -> RgbImage:
    size = embedder.spec.input_size
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


async def together(embedder: Embedder, index: DeviceSearchIndex, threshold: float) -> dict[str, float]:
    """Milliseconds from a chip to its list, under 64 callers at once."""
    chips = chips_at_random(embedder, CONCURRENT)
    length = index.snapshot.template_length

    def process(some: list[RgbImage]) -> list[object]:
        templates = embedder.embed(np.stack(some))
        repeated = np.tile(templates, -(-length // templates.shape[1]))[:, :length]
        probes = repeated / np.linalg.norm(repeated, axis=1, keepdims=True)
        return list(index.search(probes.astype(np.float32), LIMIT, threshold))

    async def caller(batcher: Batcher[RgbImage, object], chip: RgbImage) -> list[float]:
        taken = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            await batcher.submit(chip, Lane.ROUTINE)
            taken.append((time.perf_counter() - start) * 1000)
        return taken[2:]

    async with Batcher(process, policy=AdaptiveBatches(CONCURRENT, 0.002), queue_limit=CONCURRENT) as batcher:
        waits = np.concatenate(await asyncio.gather(*(caller(batcher, chip) for chip in chips)))
    p50, p99 = (round(float(np.percentile(waits, percent)), 2) for percent in (50, 99))
    return {"threshold": threshold, "p50_ms": p50, "p99_ms": p99}


def device_name() -> str:
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no NVIDIA device"


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=numbers, default="1000000,10000000")
    parser.add_argument("--batch", type=numbers, default="1,8,64")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--pack", type=Path, help="a model pack's folder; without it nothing is embedded")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: to try the program out")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    name = device_name()
    bandwidth = next((rate for part, rate in BANDWIDTHS.items() if part in name), np.nan)
    print(name)
    generator = np.random.default_rng(1)
    pack = None if arguments.pack is None else load_pack(arguments.pack)
    device = Device(arguments.device)
    embedder = None if pack is None else open_embedder(pack, device, arguments.threads)
    lists: dict[str, list[object]] = {"search": [], "embedding": [], "together": []}
    for rows in arguments.templates:
        index, searched = searches(rows, arguments, bandwidth, generator)
        lists["search"] += map(asdict, searched)
        if embedder is not None:
            for threshold in (EVERYBODY, OF_MATES):
                lists["together"].append({"templates": rows, **asyncio.run(together(embedder, index, threshold))})
                print(lists["together"][-1], flush=True)
    if pack is not None and embedder is not None:
        network = open_network(pack.read(pack.recognizer.file), device, arguments.threads)
        for batch in arguments.batch:
            lists["embedding"].append(embedding(embedder, network, batch, max(5, arguments.repeats // 10)))
            print(lists["embedding"][-1], flush=True)
    if arguments.json:
        print(json.dumps({"device": name, **lists}))


if __name__ == "__main__":
    main()
