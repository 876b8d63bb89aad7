"""Embedding throughput from aligned chips, beside a raw ONNX Runtime loop on the same network.

    python -m bench.embed [--packs var/packs] [--threads 2] [--faces 192] [--repeats 5] [--cpu-time] [--json]

The raw loop runs the network on inputs that are ready, at every batch size: no normalisation, no averaging with the
mirror image, no check, nobody who waits. Ours starts from chips of bytes: the embedder alone, and the embedder behind
the batcher with 64 callers that each submit their next face when they have an answer. All take turns; the rate of a
size is that of its median time. A face of the default pack is two images to the network, its mirror image being one;
the raw loop runs both. With `--cpu-time` the processor's time is taken instead of the clock's, which other work on the
machine changes less.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rtcc_bridge.matching.batch_policy import AdaptiveBatches
from rtcc_bridge.matching.batcher import Batcher
from rtcc_bridge.matching.embed import Embedder, open_embedder
from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.matching.session import Device, open_network
from rtcc_bridge.matching.types import RgbImage
from rtcc_bridge.modelpacks.default_pack import ensure_default_pack

SIZES = (1, 2, 4, 8, 16, 32)
CALLERS = 64
WINDOW_SECONDS = 0.005

Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True)
class Rates:
    """Median seconds of a batch by its size."""

    seconds: dict[int, float]

    @property
    def faces_per_second(self) -> dict[int, float]:
        return {size: round(size / seconds, 2) for size, seconds in self.seconds.items()}

    @property
    def best(self) -> float:
        return max(self.faces_per_second.values())


@dataclass(frozen=True)
class Report:
    """Faces per second by batch size, and shares of the raw loop's best."""

    threads: int
    raw: dict[int, float]
    embedder: dict[int, float]
    batcher: float
    ratio_embedder: float
    ratio_batcher: float


def open_default(packs: Path, threads: int) -> Embedder:
    """The default pack's embedder on the CPU."""
    return open_embedder(load_pack(ensure_default_pack(packs, lambda *_: None)), Device.CPU, threads)


def chips_for(embedder: Embedder, count: int) -> RgbImage:
    """Noise: what a picture shows does not change what it costs."""
    size = embedder.spec.input_size
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def medians(calls: dict[int, Callable[[], object]], repeats: int, clock: Clock) -> Rates:
    """Interleaved, so that what else the machine does falls on all alike; each call is made once before."""
    taken: dict[int, list[float]] = {size: [] for size in calls}
    for repeat in range(repeats + 1):
        for size, call in calls.items():
            started = clock()
            call()
            if repeat:
                taken[size].append(clock() - started)
    return Rates({size: float(np.median(seconds)) for size, seconds in taken.items()})


def measure_rates(embedder: Embedder, sizes: tuple[int, ...], repeats: int, clock: Clock) -> Rates:
    return medians({size: partial(embedder.embed, chips_for(embedder, size)) for size in sizes}, repeats, clock)


async def batched_seconds(embedder: Embedder, faces: int, clock: Clock) -> float:
    """How long so many faces take behind the batcher, once it has learned what batches cost."""
    chip = chips_for(embedder, 1)[0]

    def process(chips: list[RgbImage]) -> list[object]:
        return list(embedder.embed(np.stack(chips)))

    async def caller(count: int) -> None:
        for _ in range(count):
            await batcher.submit(chip)

    policy = AdaptiveBatches(max(SIZES), WINDOW_SECONDS)
    async with Batcher(process, policy=policy, queue_limit=CALLERS) as batcher:
        await asyncio.gather(*(caller(1) for _ in range(CALLERS)))
        started = clock()
        each, more = divmod(faces, CALLERS)
        await asyncio.gather(*(caller(each + (number < more)) for number in range(CALLERS)))
        return clock() - started


def measure(arguments: argparse.Namespace) -> Report:
    pack = load_pack(ensure_default_pack(arguments.packs, lambda *_: None))
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    embedder = open_embedder(pack, Device.CPU, arguments.threads)
    network = open_network(pack.read(pack.recognizer.file), Device.CPU, arguments.threads)
    images = 2 if pack.recognizer.mirrored_average else 1
    pixels = pack.recognizer.input_size
    shape = (3, pixels, pixels) if pack.recognizer.layout == "NCHW" else (pixels, pixels, 3)
    inputs = {size: np.ones((size * images, *shape), np.float32) for size in SIZES}
    calls: dict[int, Callable[[], object]] = {}
    for size in SIZES:
        calls[size] = partial(network.run, inputs[size])
        calls[-size] = partial(embedder.embed, chips_for(embedder, size))
    calls[0] = lambda: batched.append(asyncio.run(batched_seconds(embedder, arguments.faces, clock)))
    batched: list[float] = []
    taken = medians(calls, arguments.repeats, clock).seconds
    raw = Rates({size: taken[size] for size in SIZES})
    ours = Rates({size: taken[-size] for size in SIZES})
    batcher = arguments.faces / float(np.median(batched[1:]))
    return Report(
        arguments.threads,
        raw.faces_per_second,
        ours.faces_per_second,
        round(batcher, 2),
        round(ours.best / raw.best, 3),
        round(batcher / raw.best, 3),
    )


def table(report: Report) -> str:
    """For a page of the documentation."""
    lines = ["| faces in a batch | raw loop, faces/s | embedder, faces/s |", "|---:|---:|---:|"]
    lines += [f"| {size} | {report.raw[size]:g} | {report.embedder[size]:g} |" for size in SIZES]
    lines += [
        f"| behind the batcher | | {report.batcher:g} |",
        "",
        f"Of the raw loop's best: embedder {report.ratio_embedder:.1%}, behind the batcher {report.ratio_batcher:.1%}.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, default=Path("var/packs"), help="where model packs are kept")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--faces", type=int, default=192, help="behind the batcher, in one turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true", help="for a machine with other work: takes one thread")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    if arguments.cpu_time and arguments.threads != 1:
        parser.error("--cpu-time is time of one thread: give --threads 1")  # others spin while they wait
    report = measure(arguments)
    print(table(report))
    if arguments.json:
        print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
