"""How many separate acts a second the audit log takes on PostgreSQL, and how soon each has its place in the tree.

    python -m bench.audit [--seconds 20] [--clients 32] [--processes 2]

An act is a transaction of its own that commits one entry, durably (fsync), with nothing beside it: what an act does
else is not the log's. The clients are in processes of their own, as the daemon's roles are; the sequencer works in
this one meanwhile, and signs. Everything shares the machine's processors with PostgreSQL, so the time of the processor
that an act takes is told too: it says how many there could be where nothing else runs.
"""

import argparse
import asyncio
import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

from pydantic import SecretStr

from bench.machine import machine
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.audit.sequencer import Sequencer
from rtcc_bridge.audit.signing_key import SigningKeys
from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import audit_tree, schema
from rtcc_bridge.storage.engine import Database
from tests.postgres_server import PostgresServer, processes_in


@dataclass(frozen=True)
class Options:
    seconds: float
    clients: int
    processes: int


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=32, help="Acts under way at once, in all processes together.")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    return Options(given.seconds, given.clients, given.processes)


def _database(url: str, connections: int) -> Database:
    return Database(DatabaseSettings(url=SecretStr(url), pool_size=connections))


def _act_in_process(url: str, clients: int, begin: Barrier, end: Event, spent: "Synchronized[float]") -> None:
    asyncio.run(_act(url, clients, begin, end, spent))


async def _act(url: str, clients: int, begin: Barrier, end: Event, spent: "Synchronized[float]") -> None:
    database = _database(url, clients)
    audit = AuditLog(SystemClock())

    async def client() -> None:
        while not end.is_set():
            async with database.write() as tx:
                await audit.append(
                    tx,
                    actor="analyst",
                    action="probe.preview",
                    subject="Xv5cM3hP0y8b1d9kQm2w4A",
                    outcome="shown",
                    authority={"incidentId": "INC-1", "purpose": "violent_offense", "lane": "routine"},
                    details={"originalSha256": "a" * 64, "chosenFace": 1},
                )

    await asyncio.to_thread(begin.wait)
    before = time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    with spent.get_lock():
        spent.value += time.process_time() - before
    await database.close()


async def _sequence(
    database: Database, metrics: Metrics, options: Options, begin: Barrier, end: Event
) -> tuple[int, int, float]:
    """Runs the sequencer while the clients act: entries that committed, those of them without a place, seconds."""
    clock = SystemClock()
    settings = AuditSettings()
    sequencer = Sequencer(
        database, AuditLog(clock), Outbox(clock), SigningKeys((b"\x07" * 32,)), settings, "checkpoints", metrics, clock
    )
    working = asyncio.create_task(sequencer.run())
    await asyncio.to_thread(begin.wait)
    started = time.perf_counter()
    await asyncio.sleep(options.seconds)
    async with database.read() as tx:
        placed = await audit_tree.size(tx)
        waiting = len(await audit_tree.waiting(tx, 1_000_000))
    seconds = time.perf_counter() - started
    end.set()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return placed + waiting, waiting, seconds


def _quantile(metrics: Metrics, quantile: float) -> str:
    """The bucket of the histogram that the quantile falls into."""
    name = "rtcc_bridge_audit_sequencing_seconds"
    buckets = {
        float(sample.labels["le"]): sample.value
        for family in metrics.registry.collect()
        if family.name == name
        for sample in family.samples
        if sample.name.endswith("_bucket")
    }
    total = max(buckets.values(), default=0.0)
    return f"{next((bound for bound, count in sorted(buckets.items()) if count >= quantile * total), 0.0):g} s"


def _processor_seconds(data: Path) -> float:
    """What the server and its processes have used so far, those that have ended with it."""
    ticks = 0
    for number in processes_in(data):
        fields = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += sum(int(fields[place]) for place in (11, 12, 13, 14))  # proc(5): utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


async def _measure(options: Options) -> None:
    context = multiprocessing.get_context("spawn")
    begin, end = context.Barrier(options.processes + 1), context.Event()
    spent = context.Value("d", 0.0)
    with PostgresServer(durable=True) as server:
        url = server.url("postgres")
        database = _database(url, 5)
        await schema.upgrade(database)
        each = max(1, options.clients // options.processes)
        workers = [
            context.Process(target=_act_in_process, args=(url, each, begin, end, spent))
            for _ in range(options.processes)
        ]
        for worker in workers:
            worker.start()
        metrics = Metrics()
        sequenced, served = time.process_time(), _processor_seconds(server.data)
        committed, waiting, seconds = await _sequence(database, metrics, options, begin, end)
        sequenced = time.process_time() - sequenced
        for worker in workers:
            await asyncio.to_thread(worker.join)
        await database.close()
        served = _processor_seconds(server.data) - served
    print(machine())
    print(f"{options.clients} clients in {options.processes} processes, {seconds:.0f} s, PostgreSQL durable")
    print(f"{committed / seconds:,.0f} acts a second, {committed:,} in all; {waiting:,} without a place at the end")
    parts = {"clients": spent.value, "sequencer": sequenced, "PostgreSQL": served}
    told = ", ".join(f"{name} {took / committed * 1000:.2f}" for name, took in parts.items())
    print(f"milliseconds of a processor for each act: {told}; together {sum(parts.values()) / committed * 1000:.2f}")
    print(f"from the act to its place: half within {_quantile(metrics, 0.5)}, 99 % within {_quantile(metrics, 0.99)}")


if __name__ == "__main__":
    asyncio.run(_measure(_options()))
