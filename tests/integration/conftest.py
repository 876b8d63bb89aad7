"""What many integration tests start from: a real broker, a photograph of people, a disk that can be filled."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.topic_settings import TopicSettings
from tests.brokers import KAFKA, TANSU, BrokerOfRun, OwnBroker, delete_topics, make_topics, new_mark, unique_names
from tests.node_provider import provider_nursery
from tests.small_disks import mount_small_disk, unmount

__all__ = ["provider_nursery"]


@pytest.fixture
async def kafka(broker: str, broker_of_run: BrokerOfRun) -> AsyncIterator[KafkaSettings]:
    """Settings for that broker, with topics and a group of this test's own.

    The topics exist, and take larger events than the program does, as those of others may.
    """
    settings = kafka_settings(broker, broker_of_run.kind)
    await make_topics(settings.model_copy(update={"max_record_bytes": 4 * settings.max_record_bytes}))
    yield settings
    if broker_of_run.address is not None:
        await delete_topics(settings)


@pytest.fixture
def own_kafka(own_broker: OwnBroker, broker_of_run: BrokerOfRun) -> KafkaSettings:
    """Settings for a broker that this test may freeze and stop. There are no topics."""
    return kafka_settings(own_broker.address, broker_of_run.kind)


@pytest.fixture
async def producer(kafka: KafkaSettings) -> AsyncIterator[EventProducer]:
    async with EventProducer(kafka) as opened:
        yield opened


def kafka_settings(address: str, kind: str = TANSU) -> KafkaSettings:
    """Quick settings with unique names for a broker of that kind."""
    mark = new_mark()
    return KafkaSettings(
        bootstrap_servers=(address,),
        group_prefix=f"test-{mark}",
        enable_idempotence=kind == KAFKA,
        session_timeout_seconds=2,
        request_timeout_seconds=2,
        handle_backoff_seconds=0.02,
        topics=TopicSettings.model_validate({**unique_names(mark), "partitions": 3}),
    )


@pytest.fixture
def scene(test_data: Path) -> bytes:
    """A photograph of several people, 1200 x 630 pixels."""
    return (test_data / "scenes" / "fnp_multiface.jpg").read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount_small_disk(folder):
        pytest.skip("no file system can be mounted here: run this test as root outside a container")
    yield folder
    unmount(folder)
