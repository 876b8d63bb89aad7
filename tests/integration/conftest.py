"""A real broker for every integration test."""

import os
import secrets
from collections.abc import AsyncIterator

import pytest

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.embedded import EmbeddedBroker
from rtcc_bridge.broker.topics import create_topics
from rtcc_bridge.settings import KafkaSettings, TopicSettings


@pytest.fixture
async def embedded_broker() -> AsyncIterator[EmbeddedBroker]:
    """A broker of this test's own, which it may freeze or stop."""
    async with EmbeddedBroker() as started:
        yield started


@pytest.fixture
async def broker() -> AsyncIterator[str]:
    """host:port of a broker: RTCC_TEST_KAFKA, or the embedded one."""
    if address := os.environ.get("RTCC_TEST_KAFKA"):
        yield address
        return
    async with EmbeddedBroker() as started:
        yield started.address


@pytest.fixture
async def kafka(broker: str) -> KafkaSettings:
    """Settings for that broker, with topics and a group of this test's own. The topics exist."""
    settings = kafka_settings(broker)
    await create_topics(settings)
    return settings


@pytest.fixture
async def producer(kafka: KafkaSettings) -> AsyncIterator[EventProducer]:
    async with EventProducer(kafka) as opened:
        yield opened


def kafka_settings(address: str) -> KafkaSettings:
    """Quick settings with unique names."""
    mark = secrets.token_hex(4)
    names = {
        name: f"{field.default}.{mark}"
        for name, field in TopicSettings.model_fields.items()
        if isinstance(field.default, str)
    }
    return KafkaSettings(
        bootstrap_servers=(address,),
        group_prefix=f"test-{mark}",
        session_timeout_seconds=2,
        request_timeout_seconds=2,
        handle_backoff_seconds=0.02,
        topics=TopicSettings(**names, partitions=3),
    )
