"""A producer whose count of records differs from the broker's is replaced, or it could never send again."""

import pytest
from aiokafka import TopicPartition

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.errors import UnavailableError
from tests.brokers import KAFKA, make_topics
from tests.integration.conftest import kafka_settings
from tests.integration.pipeline import read_all


@pytest.mark.kafka
async def test_records_go_on_after_one_that_was_counted_and_never_sent(broker: str) -> None:
    kafka = kafka_settings(broker, KAFKA)
    await make_topics(kafka)
    topic = kafka.topics.leads
    async with EventProducer(kafka) as producer:
        await producer.send(topic, key=b"a", value=b"first", partition=0)
        assert producer._producer is not None
        # What aiokafka has done when a record that it numbered is given up.
        producer._producer._txn_manager.increment_sequence_number(TopicPartition(topic, 0), 1)
        with pytest.raises(UnavailableError, match="new producer"):
            await producer.send(topic, key=b"a", value=b"second", partition=0)
        await producer.send(topic, key=b"a", value=b"second", partition=0)
    assert [record.value for record in await read_all(kafka, topic)] == [b"first", b"second"]
