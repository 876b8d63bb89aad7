"""Batching under load: the adaptive batcher beside batches of one and a fixed window.

    python -m bench.batcher [--packs var/packs] [--threads 2] [--seconds 20] [--items 8000] [--repeats 5] [--cpu-time]
        [--plot docs/batching.svg] [--json]

Two models in virtual time, with the batcher itself: one whose batches have a large fixed cost, as a GPU's have (assumed
figures, none was measured), and one that takes what the default pack's embedder was just measured to take on this CPU.
Then that embedder itself, in real time. Loads are shares of the best rate of items at any batch size; arrivals are
Poisson, in the simulation also in bursts. A wait is the time from being submitted until the batch starts. The first
fifth of every run warms up and does not count.

Then the imminent lane: how long threats wait for their answer at a twentieth of the capacity, alone, and with a routine
lane in which always 64 items wait.
"""

import argparse
import asyncio
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bench.batcher_load import Outcome, Process, arrival_times, drive, in_virtual_time
from bench.embed import SIZES, Rates, chips_for, measure_rates, open_default
from rtcc_bridge.matching.batch_policy import AdaptiveBatches, BatchPolicy
from rtcc_bridge.matching.embed import Embedder
from rtcc_bridge.matching.types import Lane
from tests.fixed_window import FixedWindow

LARGEST = max(SIZES)
WINDOW_SECONDS = 0.005
"""Both as in the settings' defaults."""
LOADS = (0.3, 0.5, 0.7, 0.9, 0.95)
REAL_LOADS = (0.3, 0.7, 0.9)
GPU_FIXED_SECONDS, GPU_ITEM_SECONDS = 0.003, 0.00005
IMMINENT_LOAD = 0.05
CROWD = 64
SEED = 1

POLICIES: dict[str, Callable[[], BatchPolicy]] = {
    "adaptive": lambda: AdaptiveBatches(LARGEST, WINDOW_SECONDS),
    "batches of 1": lambda: FixedWindow(1),
    "window of 5 ms": lambda: FixedWindow(LARGEST, WINDOW_SECONDS),
}


@dataclass(frozen=True)
class Row:
    """One run. model: gpu and cpu in virtual time, real in real time."""

    model: str
    arrivals: str
    load: float
    policy: str
    outcome: Outcome


@dataclass(frozen=True)
class ImminentRow:
    """The imminent lane's answers, alone and beside a full routine lane. limit: 1.2 times idle, and one batch."""

    model: str
    policy: str
    idle_p99_ms: float
    beside_full_p99_ms: float
    batch_ms: float
    limit_ms: float


@dataclass(frozen=True)
class Report:
    """All of one run. batch_ms: what a batch takes, by model and size."""

    rows: list[Row]
    imminent: list[ImminentRow]
    batch_ms: dict[str, dict[int, float]]
    capacity: dict[str, float]


@dataclass(frozen=True)
class Model:
    """What a batch of a size takes, and the best rate that any size gives."""

    name: str
    seconds: Callable[[int], float]

    @property
    def capacity(self) -> float:
        return max(size / self.seconds(size) for size in range(1, LARGEST + 1))


def gpu_seconds(size: int) -> float:
    """Batches are filled up to a power of two there."""
    return GPU_FIXED_SECONDS + GPU_ITEM_SECONDS * (1 << (size - 1).bit_length())


def simulated(model: Model, items: int) -> list[Row]:
    rows = []
    for in_bursts in (False, True):
        for load in LOADS:
            times = arrival_times(load * model.capacity, items, in_bursts=in_bursts, seed=SEED)
            for policy, make in POLICIES.items():

                async def run(
                    process: Process, make: Callable[[], BatchPolicy] = make, times: list[float] = times
                ) -> Outcome:
                    return await drive(process, make(), None, times, warm=items // 5)

                outcome = in_virtual_time(model.seconds, run)
                rows.append(Row(model.name, "bursts" if in_bursts else "poisson", load, policy, outcome))
                print(row_text(rows[-1]), flush=True)
    return rows


def imminent_lane(model: Model, items: int) -> list[ImminentRow]:
    times = arrival_times(IMMINENT_LOAD * model.capacity, items, in_bursts=False, seed=SEED)
    rows = []
    for policy, make in POLICIES.items():

        async def run(process: Process, beside: int, make: Callable[[], BatchPolicy] = make) -> Outcome:
            return await drive(process, make(), None, times, warm=items // 5, lane=Lane.IMMINENT, beside=beside)

        idle = in_virtual_time(model.seconds, partial(run, beside=0))
        full = in_virtual_time(model.seconds, partial(run, beside=CROWD))
        batch_ms = model.seconds(math.ceil(full.other_batch)) * 1000
        limit = 1.2 * idle.answer_p99_ms + batch_ms
        rows.append(
            ImminentRow(model.name, policy, idle.answer_p99_ms, full.answer_p99_ms, round(batch_ms, 2), round(limit, 2))
        )
        print(", ".join(f"{name} {value}" for name, value in asdict(rows[-1]).items()), flush=True)
    return rows


async def real(embedder: Embedder, capacity: float, seconds: float) -> list[Row]:
    """The embedder itself, for so many seconds at each load; the policies take turns."""
    chip = chips_for(embedder, 1)[0]

    def process(chips: list[np.ndarray]) -> list[np.ndarray]:
        return list(embedder.embed(np.stack(chips)))

    rows = []
    for load in REAL_LOADS:
        count = round(load * capacity * seconds)
        times = arrival_times(load * capacity, count, in_bursts=False, seed=SEED)
        for policy, make in POLICIES.items():
            outcome = await drive(process, make(), chip, times, warm=count // 5)
            rows.append(Row("real", "poisson", load, policy, outcome))
            print(row_text(rows[-1]), flush=True)
    return rows


def measure(arguments: argparse.Namespace) -> Report:
    embedder = open_default(arguments.packs, arguments.threads)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    rates: Rates = measure_rates(embedder, SIZES, arguments.repeats, clock)
    sizes, seconds = list(rates.seconds), list(rates.seconds.values())
    gpu = Model("gpu", gpu_seconds)
    cpu = Model("cpu", lambda size: float(np.interp(size, sizes, seconds)))
    rows = simulated(gpu, arguments.items) + simulated(cpu, arguments.items)
    imminent = imminent_lane(gpu, arguments.items) + imminent_lane(cpu, arguments.items)
    if arguments.seconds > 0:
        rows += asyncio.run(real(embedder, cpu.capacity, arguments.seconds))
    return Report(
        rows,
        imminent,
        {model.name: {size: round(model.seconds(size) * 1000, 2) for size in SIZES} for model in (gpu, cpu)},
        {model.name: round(model.capacity, 1) for model in (gpu, cpu)},
    )


def row_text(row: Row) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in asdict(row.outcome).items())
    return f"{row.model}, {row.arrivals}, load {row.load:.0%}, {row.policy}: {values}"


def tables(report: Report) -> str:
    """For a page of the documentation."""
    columns = ["wait p50 ms", "wait p99 ms", "answer p50 ms", "answer p99 ms", "items/s", "mean batch", "refused"]
    lines = [f"| model | arrivals | load | policy | {' | '.join(columns)} |", "|---|---|---:|---" + 7 * "|---:" + "|"]
    lines += [
        f"| {row.model} | {row.arrivals} | {row.load:.0%} | {row.policy} | {one.wait_p50_ms:g} | {one.wait_p99_ms:g} "
        f"| {one.answer_p50_ms:g} | {one.answer_p99_ms:g} | {one.throughput:g} | {one.mean_batch:g} "
        f"| {one.refused:.1%} |"
        for row in report.rows
        for one in (row.outcome,)
    ]
    lines += [
        "",
        "| model | policy | alone p99 ms | full routine lane p99 ms | one batch ms | 1.2 x alone + one batch |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.model} | {row.policy} | {row.idle_p99_ms:g} | {row.beside_full_p99_ms:g} | {row.batch_ms:g} "
        f"| {row.limit_ms:g} |"
        for row in report.imminent
    ]
    return "\n".join(lines)


def plot(report: Report, file: Path) -> None:
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = figure.subplots(2, 2)
    titles = {"gpu": "fixed cost 3 ms, 0.05 ms an item (assumed)", "cpu": "this CPU's embedder"}
    for column, (model, title) in enumerate(titles.items()):
        waits, throughput = panels[0][column], panels[1][column]
        for colour, policy in enumerate(POLICIES):
            rows = [row for row in report.rows if (row.model, row.arrivals, row.policy) == (model, "poisson", policy)]
            loads = [row.load * 100 for row in rows]
            outcomes = [row.outcome for row in rows]
            style = {"color": f"C{colour}", "marker": "o"}
            waits.plot(loads, [one.wait_p99_ms for one in outcomes], label=f"{policy}, p99", **style)
            waits.plot(loads, [one.wait_p50_ms for one in outcomes], label="p50", ls="--", **style)
            throughput.plot(loads, [one.throughput for one in outcomes], label=policy, **style)
        waits.axhline(report.batch_ms[model][LARGEST] + 5, color="grey", linewidth=1, label="one full batch + 5 ms")
        waits.set(yscale="symlog", ylabel="wait, ms", title=title)
        throughput.set(xlabel="load, % of the best rate", ylabel="answers per second", ylim=(0, None))
        waits.legend(fontsize="x-small")
        throughput.legend(fontsize="x-small")
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, default=Path("var/packs"), help="where model packs are kept")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--items", type=int, default=8000, help="items of a simulated run")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run in real time; 0 leaves those out")
    parser.add_argument("--plot", type=Path, help="an SVG file")
    parser.add_argument("--repeats", type=int, default=5, help="of each size, to learn what this CPU takes")
    parser.add_argument("--cpu-time", action="store_true", help="learn that in time of one thread, not of the clock")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    if arguments.cpu_time and arguments.threads != 1:
        parser.error("--cpu-time is time of one thread: give --threads 1")
    report = measure(arguments)
    print(tables(report))
    if arguments.plot is not None:
        plot(report, arguments.plot)
    if arguments.json:
        print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
