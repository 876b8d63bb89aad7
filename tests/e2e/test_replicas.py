"""Two processes of each role on PostgreSQL and Apache Kafka: they share the work, and each can be restarted."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.settings import KafkaSettings, load_settings
from rtcc_bridge.simulate import incident_data, publish_incident
from tests.e2e.faults.plant import Plant, running_plant
from tests.e2e.faults.replica import Replica
from tests.e2e.feed_follower import FeedFollower
from tests.kafka_cluster.distribution import KafkaNotAvailableError
from tests.postgres_server import PostgresMissingError
from tests.tools import is_missing

pytestmark = [pytest.mark.postgresql, pytest.mark.kafka, pytest.mark.timeout(300)]

WAIT_SECONDS = 60.0


@pytest.fixture
async def plant(tmp_path: Path, packs_directory: Path) -> AsyncIterator[Plant]:
    try:
        async with running_plant(tmp_path, packs_directory, nodes=1, each=2) as running:
            yield running
    except (KafkaNotAvailableError, PostgresMissingError) as missing:
        is_missing(str(missing))


class Observer:
    """Asks the processes how they are."""

    def __init__(self, plant: Plant, http: aiohttp.ClientSession) -> None:
        self._plant = plant
        self._http = http

    async def status(self, replica: Replica, path: str) -> int | None:
        """None when it does not answer."""
        try:
            async with self._http.get(f"{self._address(replica)}{path}") as answer:
                return answer.status
        except aiohttp.ClientError:
            return None

    async def samples(self, replica: Replica, metric: str) -> dict[tuple[str, ...], float]:
        """A metric's values by the values of its labels, in the order of their names."""
        async with self._http.get(f"{self._address(replica)}/metrics") as answer:
            text = await answer.text()
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"rtcc_bridge_{metric}"
        }

    async def all_ready(self, *replicas: Replica) -> None:
        async def ready() -> bool:
            return all([await self.status(replica, "/readyz") == 200 for replica in replicas])

        await until(ready)

    def _address(self, replica: Replica) -> str:
        return f"http://127.0.0.1:{self._plant.port_of(replica)}"


TOPICS_OF = {"consumer": 2, "matcher": 3}
"""Incidents and threats; the two lanes and gallery records."""


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition of the world, with a limit."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - other processes change what is waited for
            await asyncio.sleep(0.1)


class Heard:
    """What a client of the feed was told."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.subjects: list[str] = []

    def hear(self, place: int, event: dict[str, Any]) -> None:
        self.places.append(place)
        self.subjects.append(event["subject"])


class Dispatch:
    """Reports an incident every now and then."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self.reported: set[str] = set()

    async def run(self, until: asyncio.Event) -> None:
        """Told to stop and not cancelled, so that it knows of each incident whether it was reported."""
        async with EventProducer(self._kafka) as producer:
            while not until.is_set():
                name = f"INC-{secrets.token_hex(4)}"
                data = incident_data(name, "SHOOT", 1, SystemClock().now(), location="Test square")
                await publish_incident(producer, self._kafka.topics, "reported", data)
                self.reported.add(name)
                await asyncio.sleep(0.05)


async def test_replicas_share_the_work_and_are_restarted_one_by_one_without_a_gap_on_the_feed(
    plant: Plant, http: aiohttp.ClientSession
) -> None:
    observer = Observer(plant, http)
    replicas = list(plant.replicas.values())
    await observer.all_ready(*replicas)
    for replica in replicas:
        assert await observer.status(replica, "/healthz") == 200
        assert await observer.status(replica, "/") == (200 if replica.role == "web" else 404)
    assert await relays_at_work(observer, plant) == [0, 1]
    await until(lambda: partitions_are_shared(observer, plant, "consumer"))
    await until(lambda: partitions_are_shared(observer, plant, "matcher"))

    kafka = load_settings(replicas[0].settings_file).kafka
    dispatch, heard = Dispatch(kafka), Heard()
    follower = FeedFollower(http, plant.addresses, heard.hear)
    following = asyncio.create_task(follower.run())
    await until(lambda: has_begun(follower))
    enough = asyncio.Event()
    dispatching = asyncio.create_task(dispatch.run(enough))
    try:
        await until(lambda: every_consumer_worked(observer, plant))
        for replica in replicas:
            before = len(heard.places)
            assert await replica.stop(), f"{replica.name} did not stop in good order: {replica.log.read_text()[-3000:]}"
            await replica.start()
            await observer.all_ready(replica)
            await until(partial(has_heard_more, heard, before))
        enough.set()
        await dispatching
        await until(lambda: has_heard_of(heard, dispatch.reported))
    finally:
        for task in (dispatching, following):
            task.cancel()
        await asyncio.gather(dispatching, following, return_exceptions=True)

    assert follower.connections > 2
    assert follower.resets == 0
    assert heard.places == list(range(heard.places[0], heard.places[0] + len(heard.places)))
    assert sorted(heard.subjects) == sorted(dispatch.reported)
    assert await relays_at_work(observer, plant) == [0, 1]


async def relays_at_work(observer: Observer, plant: Plant) -> list[float]:
    return sorted([(await observer.samples(relay, "relay_active"))[()] for relay in plant.of_role("relay")])


async def partitions_are_shared(observer: Observer, plant: Plant, role: str) -> bool:
    """Whether each process of the role has some of the partitions, and none of them two owners."""
    owned = [set(await observer.samples(replica, "consumer_lag")) for replica in plant.of_role(role)]
    topics = {topic for places in owned for _, topic in places}
    whole = {(str(number), topic) for topic in topics for number in range(6)}
    return len(topics) == TOPICS_OF[role] and all(owned) and set.union(*owned) == whole and not set.intersection(*owned)


async def every_consumer_worked(observer: Observer, plant: Plant) -> bool:
    counts = [await observer.samples(consumer, "events_total") for consumer in plant.of_role("consumer")]
    return all(count.get(("handled", "rtcc.incidents"), 0) > 0 for count in counts)


async def has_begun(follower: FeedFollower) -> bool:
    return follower.connections > 0


async def has_heard_more(heard: Heard, than: int) -> bool:
    return len(heard.places) > than


async def has_heard_of(heard: Heard, incidents: set[str]) -> bool:
    return set(heard.subjects) >= incidents
