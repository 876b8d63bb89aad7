"""Does faults to a deployment of several processes on Apache Kafka and PostgreSQL, and says what came of each.

    python -m tests.e2e.faults [--short] [--only NAME …] [--default-waits] [--seed N] [--out FOLDER]

The last line is `faults: passed` or `faults: FAILED`, and the exit code is 0 or 1; 2 when it cannot be run here.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import aiohttp
from rich.console import Console

from tests.e2e.faults import cases
from tests.e2e.faults.disks import why_no_small_disks
from tests.e2e.faults.plant import running_plant
from tests.e2e.faults.problems import Problems
from tests.e2e.faults.site import Site
from tests.e2e.faults.stage import Stage
from tests.e2e.faults.table import Row, markdown, write
from tests.e2e.faults.wire import why_no_wire
from tests.hosts import why_no_hosts
from tests.kafka_cluster.distribution import KafkaNotAvailableError, fetch
from tests.postgres_server import PostgresMissingError, find_programs
from tests.tools import ALL_VARIABLE

_DISK_MEGABYTES = 768


async def run(
    names: Sequence[str], site: Site | None, options: argparse.Namespace, console: Console, rows: list[Row]
) -> None:
    """Does the named faults and adds a row for each. The logs stay when something was not as promised."""
    extent = cases.SHORT if options.short else cases.LONG
    folder = Path(tempfile.mkdtemp(prefix="rtcc-faults-"))
    began = time.monotonic()
    async with (
        running_plant(
            folder,
            options.packs.resolve(),
            nodes=3,
            each=2,
            with_standby=bool(cases.NEEDS_STANDBY & set(names)),
            site=site,
            disk_megabytes=_DISK_MEGABYTES if cases.NEEDS_DISKS & set(names) else None,
            default_waits=options.default_waits,
        ) as plant,
        aiohttp.ClientSession() as http,
    ):

        def report(row: Row) -> None:
            console.print(
                f"{time.monotonic() - began:6.0f} s  {row.fault}: {row.count} done, {row.lost} lost, "
                f"{row.doubled} doubled, {row.wrong} wrong, recovered in {row.recovery_seconds:.1f} s; {row.remark}"
            )
            for problem in row.problems:
                console.print(f"          {problem}", style="red", markup=False)

        async with Stage(plant, http, options.seed, options.rate, options.probes, report, rows=rows) as stage:
            await stage.warm_up()
            console.print(f"ready after {time.monotonic() - began:.0f} s; seed {options.seed}; logs in {folder}")
            for name in names:
                await cases.CASES[name](stage, extent)
        ledger = stage.ledger
        console.print(
            f"{len(ledger.events)} events, {len(ledger.poison)} records that cannot be read, "
            f"{len(ledger.probes)} probes, {len(ledger.cancelled)} incidents cancelled, "
            f"{len(stage.heard)} places of the feed heard"
        )
    if not any(row.problems for row in rows):
        shutil.rmtree(folder, ignore_errors=True)


def missing_for(name: str, folder: Path) -> str | None:
    """Why a fault cannot be done on this machine; None when it can."""
    if name in cases.NEEDS_SITE and (why := why_no_hosts()) is not None:
        return why
    if name in cases.NEEDS_WIRE:
        return why_no_wire()
    if name in cases.NEEDS_DISKS:
        return why_no_small_disks(folder)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a selection that takes a few minutes")
    parser.add_argument("--only", action="append", choices=list(cases.CASES), help="only this fault; may be repeated")
    parser.add_argument("--default-waits", action="store_true", help="time-outs as by default, not shortened")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=20.0, help="events a second")
    parser.add_argument("--probes", type=float, default=1.5, help="probes a second, as far as the machine can")
    parser.add_argument("--packs", type=Path, default=Path("var/packs"), help="where the model pack is, or is built")
    parser.add_argument("--out", type=Path, default=Path("var/faults"), help="where the table is written to")
    options = parser.parse_args()
    began = time.monotonic()
    console = Console(highlight=False, soft_wrap=True)
    try:
        fetch()
        find_programs()
    except (KafkaNotAvailableError, PostgresMissingError) as error:
        console.print(f"faults: cannot be run here: {error}", markup=False)
        return 2
    names = options.only or (cases.IN_SHORT if options.short else list(cases.CASES))
    options.out.mkdir(parents=True, exist_ok=True)
    left_out = {name: why for name in names if (why := missing_for(name, options.out)) is not None}
    names = [name for name in names if name not in left_out]
    if not names:
        console.print(f"faults: nothing can be done here: {'; '.join(left_out.values())}", markup=False)
        return 2
    rows: list[Row] = []
    problems = Problems()
    with problems.noted("the run broke off"), ExitStack() as stack:
        site = stack.enter_context(Site(options.seed)) if cases.NEEDS_SITE & set(names) else None
        asyncio.run(run(names, site, options, console, rows))
    rows += [Row(name, remark=f"left out: {why}") for name, why in left_out.items()]
    if left_out and os.environ.get(ALL_VARIABLE):
        problems.append(f"left out, though {ALL_VARIABLE} is set: {', '.join(left_out)}")
    write(rows, options.out)
    console.print(markdown(rows), markup=False)
    console.print(f"faults: took {time.monotonic() - began:.0f} s")
    for problem in problems:
        console.print(problem, style="red", markup=False)
    passed = not problems and not any(row.problems for row in rows)
    console.print(f"faults: {'passed' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
