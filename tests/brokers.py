"""The broker that the tests run on: pytest's option --broker, and a broker that a test may freeze and stop."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.broker.embedded import EmbeddedBroker
from rtcc_bridge.broker.topics import compare_topics_when_told, create_topics, topic_names
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.topic_settings import TopicSettings
from tests.kafka_cluster.cluster import KafkaCluster
from tests.kafka_cluster.distribution import KafkaNotAvailableError, fetch

TANSU: Final = "tansu"
KAFKA: Final = "kafka"
ADDRESS_VARIABLE: Final = "RTCC_TEST_KAFKA"


@dataclass(frozen=True, slots=True)
class BrokerOfRun:
    """What --broker came to. address: of the broker that all tests share; with Tansu each test has one of its own.

    missing: why Apache Kafka cannot be started on this machine.
    """

    kind: str
    address: str | None = None
    missing: str | None = None

    def why_left_out(self, item: pytest.Item) -> str | None:
        """Why a test cannot run here; None when it can."""
        needs_own = item.get_closest_marker(KAFKA) is not None or "own_broker" in getattr(item, "fixturenames", ())
        if self.missing is not None and (needs_own or self.address is None):
            return f"without Apache Kafka: {self.missing}"
        return None


_run = pytest.StashKey[BrokerOfRun]()
_cluster = pytest.StashKey[KafkaCluster]()


def default_kind() -> str:
    """An existing Kafka is used when its address is given."""
    return KAFKA if os.environ.get(ADDRESS_VARIABLE) else TANSU


def start(config: pytest.Config) -> None:
    """Gives the run its broker: one for all workers, started by the process that hands out the tests.

    It dies with that process (Linux), however that ends.
    """
    handed: dict[str, Any] | None = getattr(config, "workerinput", {}).get("broker")
    if handed is not None:
        config.stash[_run] = BrokerOfRun(**handed)
        return
    kind = config.getoption("--broker")
    config.stash[_run] = BrokerOfRun(kind)
    if kind == TANSU:
        return
    address = os.environ.get(ADDRESS_VARIABLE)
    missing = None
    try:
        fetch()
        if address is None:
            config.stash[_cluster] = cluster = KafkaCluster()
            asyncio.run(cluster.start())
            address = cluster.bootstrap
    except KafkaNotAvailableError as error:
        missing = str(error)
    config.stash[_run] = BrokerOfRun(kind, address, missing)


def hand_to_worker(config: pytest.Config, workerinput: dict[str, Any]) -> None:
    """Tells a worker of pytest-xdist where the broker is."""
    workerinput["broker"] = asdict(config.stash[_run])


def stop(config: pytest.Config) -> None:
    """Ends what `start` started in this process."""
    cluster = config.stash.get(_cluster, None)
    if cluster is not None:
        asyncio.run(cluster.close())


def of_run(config: pytest.Config) -> BrokerOfRun:
    return config.stash[_run]


def header(config: pytest.Config) -> str:
    """The line at the head of pytest's report."""
    run = config.stash[_run]
    if run.missing is not None:
        return f"broker: {run.kind} - left out: {run.missing}"
    return f"broker: {run.kind}{f' at {run.address}' if run.address else ', one for each test'}"


class OwnBroker(Protocol):
    """A broker of one test, which that test may freeze and stop."""

    @property
    def address(self) -> str:
        """host:port; the same after a restart."""
        ...

    def freeze(self) -> None:
        """Its connections stay open and nothing answers."""
        ...

    def thaw(self) -> None:
        """Lets it go on."""
        ...

    async def stop(self) -> None:
        """Ends it; connections are refused."""
        ...

    async def start(self) -> None:
        """Starts it again: Tansu has forgotten everything then, Apache Kafka nothing."""
        ...


class OwnTansu:
    """The embedded broker, as often as it is started."""

    def __init__(self) -> None:
        self._broker = EmbeddedBroker()
        self.address = self._broker.address
        self.freeze = self._broker.freeze
        self.thaw = self._broker.thaw

    async def start(self) -> None:
        await self._broker.__aenter__()

    async def stop(self) -> None:
        await self._broker.stop()


class OwnKafka:
    """A node of Apache Kafka, for one test after another: a start takes more than two seconds of a core."""

    def __init__(self, folder: Path) -> None:
        self._cluster = KafkaCluster(folder=folder)
        self.address = self._cluster.bootstrap
        self._has_data = False

    async def serve(self) -> None:
        """Returns when it answers, whatever was done to it before."""
        if self._cluster.process_id_of(1) is None:
            await self.start()
        else:
            self.thaw()
            await self._cluster.wait_until_ready()

    def freeze(self) -> None:
        self._cluster.pause(1)

    def thaw(self) -> None:
        self._cluster.resume(1)

    async def start(self) -> None:
        if self._has_data:
            await self._cluster.restart()
        else:
            await self._cluster.start()
        self._has_data = True

    async def stop(self) -> None:
        await self._cluster.kill(1)


@contextmanager
def own_kafka(run: BrokerOfRun, folder: Path) -> Iterator[OwnKafka | None]:
    """A node that is started when a test wants it; None when the run is on the embedded broker."""
    node = OwnKafka(folder) if run.kind == KAFKA else None
    yield node
    if node is not None:
        asyncio.run(node.stop())


@asynccontextmanager
async def own_broker(kafka: OwnKafka | None) -> AsyncIterator[OwnBroker]:
    """A running broker: the node, which may have topics of an earlier test, or an embedded one."""
    if kafka is not None:
        await kafka.serve()
        yield kafka
        return
    broker = OwnTansu()
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


def unique_names(mark: str) -> dict[str, str]:
    """Topic names for TopicSettings that no other test has."""
    return {
        name: f"{field.default}.{mark}"
        for name, field in TopicSettings.model_fields.items()
        if isinstance(field.default, str)
    }


def new_mark() -> str:
    return secrets.token_hex(4)


async def make_topics(kafka: KafkaSettings) -> None:
    """Creates all topics, and waits until the broker tells of them: Apache Kafka may answer before it does."""
    await create_topics(kafka)
    assert not (await compare_topics_when_told(kafka)).missing


async def delete_topics(kafka: KafkaSettings) -> None:
    """Takes a test's topics off a broker that goes on."""
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        await admin.start()
        there = set(await admin.list_topics())
        await admin.delete_topics([name for name in topic_names(kafka) if name in there])
    finally:
        await stop_within(admin.close(), kafka.request_timeout_seconds)
