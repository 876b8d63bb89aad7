"""From an event's production to the floor, and the throughput beside a raw consumer.

    python -m bench.stream [--broker tansu|kafka] [--database sqlite|postgresql] [--rates 50,100,200,500,1000]
        [--seconds 5] [--records 5000] [--repeats 5] [--plot docs/stream.svg] [--json]

The daemon runs as one process with all roles, with its broker and a durable database of its own. Age: from just before
an event is handed to the producer until a feed client has read it; for the raw loop (`bench.stream_peer`) from the
record's timestamp, which the producer gives it when it is handed over, until its transaction and its offsets are
committed. At each rate the daemon and the raw loop take turns, so many times for so many seconds each, and percentiles
are over all events of all turns. Throughput: so many records are produced as quickly as they can be, and counted from
the first until the last one is on the floor, or committed; the two take turns, and the medians are compared. Both share
the machine with the producer and the broker.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from matplotlib.figure import Figure

from bench.stream_place import FeedReader, Peer, Place, place
from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.topic_plan import topic_plans
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS, CloudEvent, serialize
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import incident_data

INCIDENTS = 200
"""Open at the same time: most events are updates."""
LONGEST_SECONDS = 120.0
IN_FLIGHT = 500


@dataclass(frozen=True)
class Step:
    """One rate: events asked for and reached (the slowest turn), and the ages of all events in milliseconds."""

    rate: float
    produced_rate: float
    p50_ms: float
    p99_ms: float
    peer_p50_ms: float
    peer_p99_ms: float
    cpu_ms_per_event: float


@dataclass(frozen=True)
class Report:
    """All of one run. Throughputs are medians, in events per second."""

    broker: str
    database: str
    steps: list[Step]
    throughput: float
    peer_throughput: float
    ratio: float


class Source:
    """Makes and produces incident events; each carries the moment of its production."""

    def __init__(self, producer: EventProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._run = secrets.token_hex(3)
        self._numbers: Iterator[int] = iter(range(10**9))

    async def one(self) -> None:
        number = next(self._numbers)
        incident_id = f"BENCH-{self._run}-{number % INCIDENTS}"
        data = incident_data(incident_id, "ROBBERY", 1 + number % 5, SystemClock().now(), location="1 Elm St")
        event = CloudEvent(
            id=f"{self._run}-{number}", source="urn:bench", type="rtcc.incident.updated", subject=incident_id,
            partitionkey=incident_id, data=data,
        )  # fmt: skip
        await self._producer.send(
            self._topic, key=incident_id.encode(), value=serialize(event), headers=STRUCTURED_HEADERS
        )

    async def at_rate(self, rate: float, count: int) -> float:
        """Produces at that pace, as independent senders would; returns the rate that was reached."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                group.create_task(self.one())
        return count / (time.monotonic() - started)

    async def at_once(self, count: int) -> float:
        """Produces as quickly as it can; returns when it began (monotonic clock)."""
        started = time.monotonic()
        for start in range(0, count, IN_FLIGHT):
            await asyncio.gather(*(self.one() for _ in range(min(IN_FLIGHT, count - start))))
        return started


def percentiles_ms(ages: list[float]) -> tuple[float, float]:
    p50, p99 = np.percentile(ages, [50, 99]) * 1000
    return round(float(p50), 1), round(float(p99), 1)


@asynccontextmanager
async def peer_source(made: Place, producer: EventProducer) -> AsyncIterator[tuple[Peer, Source]]:
    """The raw loop on a topic of its own, so that the daemon rests meanwhile."""
    topic = f"bench.raw.{secrets.token_hex(3)}"
    await create_raw_topic(made.settings.kafka, topic)
    async with Peer(topic, made) as peer:
        yield peer, Source(producer, topic)


async def create_raw_topic(kafka: KafkaSettings, topic: str) -> None:
    """Like that of the incidents, but that a record keeps the sender's time: ages are counted from there."""
    (plan,) = (plan for plan in topic_plans(kafka) if plan.name == kafka.topics.incidents)
    configs = {**plan.configs, "message.timestamp.type": "CreateTime"}
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, plan.partitions, plan.replication_factor, topic_configs=configs)])
    finally:
        await admin.close()


async def step_at(
    made: Place, source: Source, producer: EventProducer, rate: float, seconds: float, repeats: int
) -> Step:
    count = max(20, round(rate * seconds))
    ages: list[float] = []
    raw_ages: list[float] = []
    produced_rates: list[float] = []
    cpu_seconds = 0.0
    for _ in range(repeats):
        async with FeedReader(made.address) as feed:
            before = made.cpu_seconds()
            produced_rates.append(await source.at_rate(rate, count))
            await feed.until(count, LONGEST_SECONDS)
            cpu_seconds += made.cpu_seconds() - before
            ages += feed.ages
        async with peer_source(made, producer) as (peer, raw):
            await raw.at_rate(rate, count)
            await peer.until(count, LONGEST_SECONDS)
            raw_ages += peer.ages
    cpu_ms = round(cpu_seconds * 1000 / (count * repeats), 2)
    return Step(rate, round(min(produced_rates), 1), *percentiles_ms(ages), *percentiles_ms(raw_ages), cpu_ms)


async def throughputs(
    made: Place, source: Source, producer: EventProducer, records: int, repeats: int
) -> tuple[float, float]:
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(repeats):
        async with FeedReader(made.address) as feed:
            started = await source.at_once(records)
            await feed.until(records, LONGEST_SECONDS)
            ours.append(records / (feed.last_at - started))
        async with peer_source(made, producer) as (peer, raw):
            started = await raw.at_once(records)
            await peer.until(records, LONGEST_SECONDS)
            theirs.append(records / (peer.last_at - started))
    return statistics.median(ours), statistics.median(theirs)


async def measure(arguments: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory(prefix="bench-stream-") as folder:
        packs = arguments.packs.resolve()
        async with (
            place(Path(folder), packs, broker=arguments.broker, database=arguments.database) as made,
            EventProducer(made.settings.kafka) as producer,
        ):
            source = Source(producer, made.settings.kafka.topics.incidents)
            async with FeedReader(made.address) as feed:  # the first events of a process are slow: caches are empty
                await source.at_once(INCIDENTS)
                await feed.until(INCIDENTS, LONGEST_SECONDS)
            steps = []
            for rate in arguments.rates:
                steps.append(await step_at(made, source, producer, rate, arguments.seconds, arguments.repeats))
                print(", ".join(f"{name} {value:g}" for name, value in asdict(steps[-1]).items()), flush=True)
            ours, theirs = await throughputs(made, source, producer, arguments.records, arguments.repeats)
    ratio = round(ours / theirs, 3)
    return Report(arguments.broker, arguments.database, steps, round(ours, 1), round(theirs, 1), ratio)


def table(report: Report) -> str:
    """For a page of the documentation."""
    summary = f"{report.throughput:g} events/s, raw loop {report.peer_throughput:g}, ratio {report.ratio:.0%}"
    lines = [
        f"{report.broker}, {report.database}: {summary}",
        "",
        "| events/s | p50 ms | p99 ms | raw p50 ms | raw p99 ms | daemon CPU ms/event |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {step.rate:g} | {step.p50_ms:g} | {step.p99_ms:g} | {step.peer_p50_ms:g} | {step.peer_p99_ms:g} "
        f"| {step.cpu_ms_per_event:g} |"
        for step in report.steps
    ]
    return "\n".join(lines)


def plot(report: Report, file: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    rates = [step.rate for step in report.steps]
    axes.plot(rates, [step.p99_ms for step in report.steps], marker="o", color="C0", label="event to floor, p99")
    axes.plot(rates, [step.p50_ms for step in report.steps], marker="o", color="C0", ls="--", label="p50")
    axes.plot(rates, [step.peer_p99_ms for step in report.steps], marker="s", color="C1", label="raw loop, p99")
    axes.plot(rates, [step.peer_p50_ms for step in report.steps], marker="s", color="C1", ls="--", label="p50")
    axes.axhline(250, color="grey", linewidth=1, label="target at 200 events/s, p99")
    axes.set(xscale="log", yscale="log", xlabel="events per second", ylabel="milliseconds")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.set_title(f"{report.broker}, {report.database}: {report.throughput:.0f} events/s, {report.ratio:.0%} of raw")
    axes.legend(fontsize="small")
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=("tansu", "kafka"), default="tansu")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument(
        "--rates", type=lambda text: [float(rate) for rate in text.split(",")], default="50,100,200,500,1000"
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--packs", type=Path, default=Path("var/packs"), help="where model packs are kept")
    parser.add_argument("--plot", type=Path, help="an SVG file")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    report = asyncio.run(measure(arguments))
    print(table(report))
    if arguments.plot is not None:
        plot(report, arguments.plot)
    if arguments.json:
        print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
