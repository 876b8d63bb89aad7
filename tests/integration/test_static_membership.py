"""A member with a name of its own goes on with its partitions after a restart, and the others are left alone."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.settings import KafkaSettings
from tests.integration.pipeline import Recorder, running, send_values, until

pytestmark = pytest.mark.kafka

AWAY_SECONDS = 30


async def test_a_restart_of_a_named_member_moves_no_partition(kafka: KafkaSettings, producer: EventProducer) -> None:
    stays, leaves, returns = Recorder(), Recorder(), Recorder()
    topic, owned = kafka.topics.incidents, set[int]()

    def named(name: str) -> KafkaSettings:
        limits = {"session_timeout_seconds": AWAY_SECONDS, "request_timeout_seconds": AWAY_SECONDS}
        return kafka.model_copy(update={"group_instance_id": name, **limits})

    async def are_shared() -> bool:
        """Sends something, and says whether each of the two has got a part of it, and owns it alone."""
        before = len(stays.handled), len(leaves.handled)
        await send_values(producer, topic, [b"%d" % number for number in range(30)], keys=30)
        await until(lambda: len(stays.handled) + len(leaves.handled) == sum(before) + 30)
        one, two = partitions_since(stays, before[0]), partitions_since(leaves, before[1])
        owned.clear()
        owned.update(two)
        return bool(one) and bool(two) and not one & two

    async with running(named("one"), {topic: stays}):
        async with running(named("two"), {topic: leaves}):
            await until(are_shared, 60)
        assert await members(kafka) == 2, "the one that stopped left the group"
        mark = len(stays.handled)
        await send_values(producer, topic, [b"meanwhile %d" % number for number in range(30)], keys=30)
        async with running(named("two"), {topic: returns}):
            await until(lambda: len(returns.handled) + len(stays.handled) - mark == 30)
    assert partitions_since(returns, 0) == owned
    assert not partitions_since(stays, mark) & owned


async def members(kafka: KafkaSettings) -> int:
    """How many the broker counts in the group."""
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([f"{kafka.group_prefix}.consumer"])
    finally:
        await admin.close()
    ((_error, _group, _state, _type, _protocol, found, *_),) = answer.groups
    return len(found)


def partitions_since(recorder: Recorder, start: int) -> set[int]:
    return {record.partition for record in recorder.handled[start:]}
