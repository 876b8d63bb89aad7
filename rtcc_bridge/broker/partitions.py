"""Which partitions a topic has."""

import asyncio
from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import KafkaSettings


async def partitions_of(kafka: KafkaSettings, topics: Sequence[str]) -> list[TopicPartition]:
    """All partitions of the topics, in their order.

    A consumer of aiokafka cannot be asked for it: it knows only the topics that it was told to read, and on Apache
    Kafka nothing of any other. Raises UnavailableError when a topic is not there; KafkaError and TimeoutError (twice
    the request timeout) when the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        async with asyncio.timeout(2 * kafka.request_timeout_seconds):
            await admin.start()
            return await partitions_told(admin, topics)
    finally:
        await stop_within(admin.close(), kafka.request_timeout_seconds)


async def partitions_told(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> list[TopicPartition]:
    """The same, by a client that is connected. Raises UnavailableError when a topic is not there, and KafkaError."""
    # Only topics that are there may be described: a broker that creates topics by itself would make the others.
    existing = set(await admin.list_topics())
    for topic in topics:
        if topic not in existing:
            raise UnavailableError(f"the topic {topic} is not there: run `rtcc-bridge topics create`")
    described = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics(list(topics))}
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(partition["partition"] for partition in described[topic])
    ]
