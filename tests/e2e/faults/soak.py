"""Steady load for a long while on one process of each role: does memory grow, are files left open?

    python -m tests.e2e.faults.soak [--minutes 20] [--rate 200] [--probes 2] [--out FOLDER]

What counts is each process's resident memory after the warm-up (the first quarter) beside its end, and its open files:
of the looks at either end the lower quartile of the files, since a request that is answered at that moment has files
open as well, and one that was left open is open at every look.
The picture workers that a process has started are a row of their own: each lives for a few dozen jobs and grows with
the first of them, so their sum goes up and down by more than a leak in the daemon would add. Their medians stay where
they are, unless a new worker needs more than an old one did or there are more of them.

Early in the warm-up the broker stands still for half a minute, so that each process meets a backlog and works it off in
its largest batches: what it takes for those it keeps, and whatever holds things up for a moment later is less.
Meanwhile a crowd asks the web process at once, which so opens the database connections that it keeps.

The load has to be there: with less than 95 % of the events or probes that were asked for, the soak has failed. It is
counted after the warm-up, since the standstill holds the probes up.
The last line is `soak: passed` or `soak: FAILED`. soak.json, soak.md and soak.svg are written to the folder.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import aiohttp
from matplotlib.figure import Figure
from rich.console import Console

from tests.e2e.faults.plant import Plant, running_plant
from tests.e2e.faults.problems import Problems
from tests.e2e.faults.stage import Stage

MOST_GROWTH: Final = 0.02
LEAST_LOAD: Final = 0.95
_PROCESSES: Final = Path("/proc")
_SAMPLE_SECONDS: Final = 5.0
_WARM_UP: Final = 0.25
_STANDSTILL_AT: Final = 0.1
_STANDSTILL: Final = 0.1
"""When it begins and how long it is, as shares of the warm-up."""
_CROWD: Final = 30
"""More requests at once than a process keeps database connections."""
_AT_AN_END: Final = 0.1
"""The share of the samples at either end of what counts whose median is compared."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process. seconds: since the load began."""

    process: str
    seconds: float
    resident_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Growth:
    """One process, from the end of the warm-up to the end."""

    process: str
    resident_before: float
    resident_after: float
    files_before: int
    files_after: int

    @property
    def share(self) -> float:
        return self.resident_after / self.resident_before - 1

    @property
    def is_flat(self) -> bool:
        return self.share < MOST_GROWTH and self.files_after <= self.files_before


def look(plant: Plant, seconds: float) -> list[Sample]:
    """How much memory and how many files each daemon has, and the processes that it has started."""
    children = _children()
    samples = []
    for replica in plant.replicas.values():
        started = list(_descendants(replica.process_id, children))
        samples.append(_sample(replica.name, seconds, [replica.process_id]))
        if started:
            samples.append(_sample(f"{replica.name} workers", seconds, started))
    return samples


def _sample(name: str, seconds: float, process_ids: Sequence[int]) -> Sample:
    resident_bytes = files = 0
    for process_id in process_ids:
        place = _PROCESSES / str(process_id)
        with suppress(OSError, StopIteration):  # it has ended, and has no memory any more
            lines = (place / "status").read_text(encoding="utf-8").splitlines()
            resident_bytes += 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
            files += len(list((place / "fd").iterdir()))
    return Sample(name, seconds, resident_bytes, files)


def _children() -> dict[int, list[int]]:
    """The processes that each process on this machine has started (proc(5): the parent follows name and state)."""
    children = defaultdict(list)
    for place in _PROCESSES.iterdir():
        if place.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                after_name = (place / "stat").read_text(encoding="utf-8").rpartition(")")[2]
                children[int(after_name.split()[1])].append(int(place.name))
    return children


def _descendants(process_id: int, children: Mapping[int, Sequence[int]]) -> Iterator[int]:
    for child in children.get(process_id, ()):
        yield child
        yield from _descendants(child, children)


@dataclass(frozen=True, slots=True)
class Load:
    """A second's events and probes."""

    events: float
    probes: float


def shortfalls(asked: Load, reached: Load) -> list[str]:
    """What of the load was not there: without it the soak says nothing."""
    rates = (("events", asked.events, reached.events), ("probes", asked.probes, reached.probes))
    return [
        f"only {had:.2f} {what} a second came about, where {wanted:g} were asked for"
        for what, wanted, had in rates
        if had < LEAST_LOAD * wanted
    ]


def growth_of(samples: Sequence[Sample]) -> list[Growth]:
    """What a process had at the beginning and at the end of what counts, so that one moment's peak decides nothing."""
    warm = _WARM_UP * max(sample.seconds for sample in samples)
    found = []
    for process in dict.fromkeys(sample.process for sample in samples):
        counted = [sample for sample in samples if sample.process == process and sample.seconds >= warm]
        share = max(1, round(_AT_AN_END * len(counted)))
        first, last = counted[:share], counted[-share:]
        found.append(
            Growth(
                process,
                statistics.median(sample.resident_bytes for sample in first),
                statistics.median(sample.resident_bytes for sample in last),
                _lower_quartile([sample.files for sample in first]),
                _lower_quartile([sample.files for sample in last]),
            )
        )
    return found


def _lower_quartile(numbers: Sequence[int]) -> int:
    return sorted(numbers)[len(numbers) // 4]


def markdown(found: Sequence[Growth]) -> str:
    lines = [
        "| process | resident after warm-up, MB | at the end, MB | growth | open files after warm-up | at the end |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {one.process} | {one.resident_before / 1e6:.1f} | {one.resident_after / 1e6:.1f} | {one.share:+.2%} "
            f"| {one.files_before} | {one.files_after} |"
            for one in found
        ),
    ]
    return "\n".join(lines) + "\n"


def plot(samples: Sequence[Sample], file: Path) -> None:
    figure = Figure(figsize=(7, 6), layout="constrained")
    memory, files = figure.subplots(2, sharex=True)
    for process in dict.fromkeys(sample.process for sample in samples):
        own = [sample for sample in samples if sample.process == process]
        minutes = [sample.seconds / 60 for sample in own]
        memory.plot(minutes, [sample.resident_bytes / 1e6 for sample in own], label=process)
        files.plot(minutes, [sample.files for sample in own], label=process)
    memory.axvline(_WARM_UP * max(sample.seconds for sample in samples) / 60, color="grey", linewidth=1)
    memory.set(ylabel="resident memory, MB", ylim=(0, None), title="left of the line: warm-up")
    files.set(xlabel="minutes", ylabel="open files", ylim=(0, None))
    memory.legend(fontsize="small")
    figure.savefig(file, metadata={"Date": None})


async def _ask(http: aiohttp.ClientSession, address: str) -> None:
    async with http.get(f"{address}/api/v1/incidents", headers={"X-Demo-Account": "analyst"}) as answer:
        answer.raise_for_status()
        await answer.read()


async def soak(options: argparse.Namespace, console: Console) -> bool:
    """Loads, looks, and says whether everything is flat and nothing is lost."""
    folder = Path(tempfile.mkdtemp(prefix="rtcc-soak-"))
    async with (
        running_plant(folder, options.packs.resolve(), nodes=1, each=1) as plant,
        aiohttp.ClientSession() as http,
        Stage(plant, http, 1, options.rate, options.probes, lambda _: None) as stage,
    ):
        await stage.warm_up()
        samples: list[Sample] = []
        reached = Load(0, 0)

        async def stand_still(warm_up_seconds: float) -> None:
            await asyncio.sleep(_STANDSTILL_AT * warm_up_seconds)
            plant.kafka.pause(*plant.kafka.numbers)
            try:
                await asyncio.gather(*(_ask(http, address) for address in plant.addresses for _ in range(_CROWD)))
                await asyncio.sleep(_STANDSTILL * warm_up_seconds)
            finally:
                plant.kafka.resume(*plant.kafka.numbers)

        async def watch() -> int:
            nonlocal reached
            began = time.monotonic()

            async def sample_until(end: float) -> None:
                while (seconds := time.monotonic() - began) < end:
                    samples.extend(await asyncio.to_thread(look, plant, seconds))
                    await asyncio.sleep(_SAMPLE_SECONDS)

            warm_up_seconds = 60 * options.minutes * _WARM_UP
            standing_still = asyncio.create_task(stand_still(warm_up_seconds))
            await sample_until(warm_up_seconds)
            await standing_still
            since, events, probes = time.monotonic(), len(stage.ledger.acknowledged), stage.probes.ended
            await sample_until(60 * options.minutes)
            seconds = time.monotonic() - since
            reached = Load((len(stage.ledger.acknowledged) - events) / seconds, (stage.probes.ended - probes) / seconds)
            return 1

        row = await stage.under("steady load", watch)
    found = growth_of(samples)
    problems = [*row.problems, *shortfalls(Load(options.rate, options.probes), reached)]
    options.out.mkdir(parents=True, exist_ok=True)
    result = {"row": asdict(row), "events_per_second": reached.events, "probes_per_second": reached.probes}
    (options.out / "soak.json").write_text(
        json.dumps({**result, "samples": [asdict(sample) for sample in samples]}) + "\n", encoding="utf-8"
    )
    (options.out / "soak.md").write_text(markdown(found), encoding="utf-8")
    plot(samples, options.out / "soak.svg")
    console.print(markdown(found), markup=False)
    console.print(
        f"{options.minutes:g} min, after the warm-up at {reached.events:.1f} events/s and {reached.probes:.2f} "
        f"probes/s; {row.lost} lost, {row.doubled} doubled, {row.wrong} wrong; "
        f"nothing lagged {row.recovery_seconds:.1f} s after the end"
    )
    for problem in problems:
        console.print(problem, style="red", markup=False)
    if passed := all(one.is_flat for one in found) and not problems:
        shutil.rmtree(folder, ignore_errors=True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--probes", type=float, default=2.0, help="probes a second")
    parser.add_argument("--packs", type=Path, default=Path("var/packs"), help="where the model pack is, or is built")
    parser.add_argument("--out", type=Path, default=Path("var/soak"), help="where table and plot are written to")
    console = Console(highlight=False, soft_wrap=True)
    passed = False
    problems = Problems()
    with problems.noted("the run broke off"):
        passed = asyncio.run(soak(parser.parse_args(), console))
    for problem in problems:
        console.print(problem, style="red", markup=False)
    console.print(f"soak: {'passed' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
