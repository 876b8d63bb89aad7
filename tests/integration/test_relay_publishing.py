"""Publishing on a real broker: everything arrives, in the order of its key, whatever happens in between."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from aiokafka.structs import ConsumerRecord
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from pydantic import SecretStr
from sqlalchemy import text, update

from rtcc_bridge.broker.client import LARGEST_REQUEST_BYTES, EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.outbox import LARGEST_EVENT_BYTES, Latency, LatencyMetric
from rtcc_bridge.publishing.relay import Relay
from rtcc_bridge.settings import DatabaseSettings, KafkaSettings
from rtcc_bridge.storage import outbox, tables
from rtcc_bridge.storage.engine import Database
from tests.brokers import TANSU, BrokerOfRun, OwnBroker, make_topics
from tests.integration.relays import (
    SETTINGS,
    WAIT_SECONDS,
    FeedWatch,
    an_event,
    backlog,
    put,
    read,
    read_ids,
    rows,
    running_relay,
)

Records = Sequence["ConsumerRecord[bytes, bytes]"]


def ids_of(records: Records) -> list[str]:
    return [json.loads(record.value or b"")["id"] for record in records]


def numbers_by_key(records: Records) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for record in records:
        event = json.loads(record.value or b"")
        found.setdefault((record.key or b"").decode(), []).append(event["data"]["number"])
    return found


async def test_every_event_arrives_as_a_keyed_cloud_event(
    database: Database, kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.leads
    async with running_relay(database, producer):
        ids = await put(database, *(an_event(topic, key=f"INC-{number}", number=number) for number in range(20)))
        records = await read(kafka, topic, 20)
    assert sorted(ids_of(records)) == sorted(ids)
    for record in records:
        headers = dict(record.headers)
        assert headers["content-type"] == b"application/cloudevents+json"
        event = from_kafka_event(KafkaMessage(headers=headers, key=record.key, value=record.value or b""))
        assert event.get_source() == "urn:rtcc-bridge"
        assert event.get_extension("partitionkey") == (record.key or b"").decode()
    assert await backlog(database) == 0


async def test_the_events_of_a_key_arrive_in_their_order(
    database: Database, kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.leads
    keys, each = 5, 40
    async with running_relay(database, producer):
        for number in range(each):
            await put(database, *(an_event(topic, key=f"INC-{key}", number=number) for key in range(keys)))
        records = await read(kafka, topic, keys * each)
    assert numbers_by_key(records) == {f"INC-{key}": list(range(each)) for key in range(keys)}


async def test_urgent_events_of_a_backlog_go_first(
    database: Database, kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.probes_imminent
    routine = [an_event(topic, key=None, number=number, on_feed=False) for number in range(10)]
    urgent = [an_event(topic, key=f"p{number}", number=number, on_feed=False, urgent=True) for number in range(3)]
    later = await put(database, *routine)
    first = await put(database, *urgent)
    async with running_relay(database, producer, settings=SETTINGS.model_copy(update={"batch_size": 3})):
        records = await read(kafka, topic, 13)
    by_time = sorted(records, key=lambda record: (record.timestamp, record.offset))
    urgent_times = [record.timestamp for record in by_time if ids_of([record])[0] in first]
    later_times = [record.timestamp for record in by_time if ids_of([record])[0] in later]
    assert len(urgent_times) == 3
    assert max(urgent_times) <= min(later_times)


async def test_a_stop_between_publishing_and_marking_repeats_the_event_with_its_id(
    kafka: KafkaSettings, producer: EventProducer, database: Database, database_url: str
) -> None:
    """The database takes no writes while the broker acknowledges, and then the relay is gone."""
    topic = kafka.topics.leads
    ids = await put(database, *(an_event(topic, number=number, on_feed=False) for number in range(3)))
    impatient = Database(DatabaseSettings(url=SecretStr(database_url), busy_timeout_seconds=0.1))
    async with database.write() as other:  # which is enough on SQLite
        if not database.is_sqlite:
            await other.execute(text("LOCK TABLE outbox IN EXCLUSIVE MODE"))
        relay = Relay(impatient, producer, SETTINGS, Metrics(), SystemClock())
        doomed = asyncio.create_task(relay.run())
        first = await read(kafka, topic, 1)
        doomed.cancel()
        await asyncio.gather(doomed, return_exceptions=True)
    await impatient.close()
    assert await backlog(database) == 3
    async with running_relay(database, producer):
        records = await read(kafka, topic, 4)
    assert ids_of(first) == ids[:1]
    assert set(ids_of(records)) >= set(ids[:1])
    assert ids_of(records).count(ids[0]) >= 2
    assert await backlog(database) == 0
    everything = await read(kafka, topic, 4)
    assert everything[0].offset == 0


async def test_nothing_is_lost_while_the_broker_hangs(
    database: Database, own_broker: OwnBroker, own_kafka: KafkaSettings
) -> None:
    kafka = own_kafka
    await make_topics(kafka)
    topic = kafka.topics.leads
    watch = FeedWatch()
    async with EventProducer(kafka) as producer, running_relay(database, producer, watch) as relay:
        await put(database, *(an_event(topic, key=f"INC-{key}", number=0) for key in range(3)))
        await read(kafka, topic, 3)
        assert await relay.readiness() is None
        own_broker.freeze()
        for number in range(1, 5):
            await put(database, *(an_event(topic, key=f"INC-{key}", number=number) for key in range(3)))
        await watch.until_position(database, 15)
        assert await relay.readiness() is not None
        assert await backlog(database) == 12
        own_broker.thaw()
        seen: dict[str, list[int]] = {}
        count = 15
        while any(4 not in seen.get(f"INC-{key}", ()) for key in range(3)):
            seen = numbers_by_key(await read(kafka, topic, count))
            count += 1
    for numbers in seen.values():
        assert list(dict.fromkeys(numbers)) == list(range(5)), "a repetition is allowed, another order is not"
    assert await backlog(database) == 0


async def test_the_relay_recovers_from_a_broker_that_comes_late_and_one_that_forgot_everything(
    database: Database, own_broker: OwnBroker, own_kafka: KafkaSettings, broker_of_run: BrokerOfRun
) -> None:
    """The second event follows the topics: the embedded broker acknowledges records of a topic that it does not have
    and drops them, so between its restart and `topics create` nothing can be kept (Apache Kafka refuses them).
    """
    kafka = own_kafka
    await own_broker.stop()
    async with EventProducer(kafka) as producer, running_relay(database, producer):
        early = await put(database, an_event(kafka.topics.leads, number=1))
        await own_broker.start()
        await make_topics(kafka)
        assert await read_ids(kafka, kafka.topics.leads, 1) == early
        await own_broker.stop()
        await own_broker.start()
        await make_topics(kafka)
        late = await put(database, an_event(kafka.topics.leads, number=2))
        kept = [] if broker_of_run.kind == TANSU else early
        assert await read_ids(kafka, kafka.topics.leads, len(kept) + 1) == kept + late
    assert await backlog(database) == 0


async def test_an_event_that_cannot_be_sent_holds_up_no_other_key_and_no_other_topic(
    database: Database, kafka: KafkaSettings, producer: EventProducer
) -> None:
    """Such an event is not let into the outbox; this one is of a program that had another limit."""
    metrics = Metrics()
    leads, searches = kafka.topics.leads, kafka.topics.probes_routine
    await put(database, an_event(leads, key="INC-1"), an_event(leads, key="INC-1", number=1))
    async with database.write() as tx:
        (first, _) = await outbox.unpublished(tx, leads, 2)
        too_large = {**first.event, "data": {"text": "x" * LARGEST_REQUEST_BYTES}}
        await tx.execute(update(tables.outbox).where(tables.outbox.c.id == first.id).values(event=too_large))
    async with running_relay(database, producer, metrics=metrics):
        others = await put(database, an_event(leads, key="INC-2"), an_event(searches, key="p"))
        assert ids_of(await read(kafka, leads, 1)) == others[:1]
        assert ids_of(await read(kafka, searches, 1)) == others[1:]
    assert await backlog(database) == 2
    assert metrics.registry.get_sample_value("rtcc_bridge_outbox_refused", {"topic": leads}) == 1


async def test_an_event_that_no_topic_would_take_is_not_let_into_the_outbox(database: Database) -> None:
    too_large = {"text": "x" * LARGEST_EVENT_BYTES}
    with pytest.raises(InvalidInputError):
        await put(database, an_event("leads", number=1), an_event("leads", data=too_large))
    assert await backlog(database) == 0
    await put(database, an_event(None, data=too_large))


async def test_what_committed_before_the_stop_is_still_published(
    database: Database, kafka: KafkaSettings, producer: EventProducer
) -> None:
    topic = kafka.topics.leads
    async with running_relay(database, producer):
        await put(database, *(an_event(topic, key=f"INC-{number}") for number in range(300)))
    assert await backlog(database) == 0
    assert len(await read(kafka, topic, 300)) == 300


async def test_the_stop_is_bounded_while_the_broker_hangs(
    database: Database, own_broker: OwnBroker, own_kafka: KafkaSettings
) -> None:
    kafka = own_kafka
    await make_topics(kafka)
    async with asyncio.timeout(WAIT_SECONDS):
        async with EventProducer(kafka) as producer, running_relay(database, producer):
            await put(database, an_event(kafka.topics.leads))
            await read(kafka, kafka.topics.leads, 1)
            while await backlog(database):  # noqa: ASYNC110 - the relay notes it in the database
                await asyncio.sleep(0.02)
            own_broker.freeze()
            await put(database, an_event(kafka.topics.leads))
    own_broker.thaw()
    assert await backlog(database) == 1
    # aiokafka forgets a connection that it was opening to a broker that hangs: it ends with the broker.
    await own_broker.stop()


async def test_lag_backlog_and_publication_are_measured(
    database: Database, kafka: KafkaSettings, producer: EventProducer
) -> None:
    metrics = Metrics()
    latency = Latency(LatencyMetric.PROBE_TO_CANDIDATES, "imminent", SystemClock().now())
    async with running_relay(database, producer, metrics=metrics):
        await put(database, an_event(kafka.topics.leads, latency=latency), an_event(kafka.topics.leads))
        await read(kafka, kafka.topics.leads, 2)
    value = metrics.registry.get_sample_value
    assert value("rtcc_bridge_outbox_lag_seconds_count") == 2
    assert value("rtcc_bridge_stage_seconds_count", {"stage": "publish"}) == 1
    assert value("rtcc_bridge_probe_to_candidates_seconds_count", {"lane": "imminent"}) == 1
    assert value("rtcc_bridge_outbox_backlog") == 0
    assert value("rtcc_bridge_outbox_oldest_age_seconds") == 0
    assert len(await rows(database)) == 2
