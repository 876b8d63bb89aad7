"""Apache Kafka as the tests and `scripts/kafka` start it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the module does not list what it exports
    AdminClient,
    NewTopic,
)

from tests.integration.pipeline import until
from tests.kafka_cluster import distribution
from tests.kafka_cluster.cluster import KafkaCluster
from tests.kafka_cluster.distribution import KafkaNotAvailableError, fetch
from tests.kafka_cluster.security import ADMIN, ClientSecurity

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {ADMIN: "first-secret", "alice": "second-secret"}
TOPIC = "a-topic"


@pytest.mark.kafka
async def test_what_three_nodes_acknowledged_outlives_the_death_of_the_leader(tmp_path: Path) -> None:
    async with KafkaCluster(3, folder=tmp_path / "kafka") as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        admin.create_topics([NewTopic(TOPIC, 1, 3)])[TOPIC].result()
        await until(lambda: leads(kafka))
        _produce(kafka, b"before")
        leader = await kafka.leader_of(TOPIC, 0)
        assert leader is not None
        await kafka.kill(leader)
        await until(lambda: leads(kafka, other_than=leader))
        _produce(kafka, b"after")
        await kafka.restart(leader)
        await kafka.wait_until_in_sync()
        assert _values(kafka) == [b"before", b"after"]


async def leads(kafka: KafkaCluster, other_than: int | None = None) -> bool:
    return await kafka.leader_of(TOPIC, 0) not in {None, other_than}


@pytest.mark.kafka
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_a_user_gets_in_by_password_and_may_do_only_what_a_rule_allows(tmp_path: Path, mechanism: str) -> None:
    security = ClientSecurity("SASL_SSL", SECRETS, acls=True)
    async with KafkaCluster(folder=tmp_path / "kafka", security=security) as kafka:

        def client(user: str, password: str) -> AdminClient:
            return AdminClient(
                {
                    "bootstrap.servers": kafka.bootstrap,
                    "security.protocol": "SASL_SSL",
                    "ssl.ca.location": str(kafka.authority.ca_file),
                    "sasl.mechanism": mechanism,
                    "sasl.username": user,
                    "sasl.password": password,
                    "log_level": 0,
                }
            )

        with pytest.raises(KafkaException):
            client("alice", "a wrong secret").list_topics(timeout=3)
        admin, alice = client(ADMIN, SECRETS[ADMIN]), client("alice", SECRETS["alice"])
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result()
        with pytest.raises(KafkaException, match="AUTHORIZATION"):
            alice.create_topics([NewTopic("another", 1, 1)])["another"].result()


@pytest.mark.kafka
async def test_the_script_tells_the_address_and_its_node_dies_with_it(tmp_path: Path) -> None:
    script = await asyncio.create_subprocess_exec(
        ROOT / "scripts/kafka", "start", "--folder", tmp_path / "kafka",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHON": sys.executable},
    )  # fmt: skip
    assert script.stdout is not None
    host, port = (await script.stdout.readline()).decode().strip().split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    script.send_signal(signal.SIGKILL)
    await script.wait()

    async def is_gone() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    await until(is_gone)


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(KafkaNotAvailableError, match="no Java here: install a JDK 17"):
        fetch()


def test_without_maven_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(distribution, "java", lambda: "java")
    monkeypatch.setenv("KAFKA_CACHE", str(tmp_path / "kafka"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaNotAvailableError, match="no Maven here"):
        fetch()


def _produce(kafka: KafkaCluster, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "acks": "all"})
    producer.produce(TOPIC, value)
    assert producer.flush(30) == 0


def _values(kafka: KafkaCluster) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    try:
        return [message.value() for message in consumer.consume(2, timeout=30)]
    finally:
        consumer.close()
