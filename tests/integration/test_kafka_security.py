"""Who gets in and who does not, on Apache Kafka with TLS and users; and what is said about it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.group_offsets import end_offsets
from rtcc_bridge.broker.topics import create_topics
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import KafkaSettings
from tests.integration.pipeline import Recorder, running, until
from tests.integration.secured_kafka import one_node, open_settings, private_file, secured, user
from tests.kafka_cluster.certificates import TestAuthority
from tests.kafka_cluster.cluster import KafkaCluster
from tests.kafka_cluster.security import ClientSecurity

pytestmark = pytest.mark.kafka
USERS = {"alice": "right-password"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with one_node(ClientSecurity("SASL_SSL", USERS)) as started:
        yield started


async def refusal(kafka: KafkaSettings) -> str:
    async with EventProducer(kafka) as producer:
        with pytest.raises(UnavailableError) as raised:
            await producer.ping()
    return str(raised.value)


async def test_users_get_in_and_wrong_ones_are_told_why(cluster: KafkaCluster, tmp_path: Path) -> None:
    base = open_settings(cluster)
    await create_topics(base)
    topic = base.topics.incidents
    for mechanism in ("SCRAM-SHA-512", "PLAIN"):
        async with EventProducer(secured(cluster, base, sasl=user("alice", "right-password", mechanism))) as producer:
            await producer.send(topic, key=b"k", value=mechanism.encode())
        said = await refusal(secured(cluster, base, sasl=user("alice", "wrong-password", mechanism)))
        assert f"refuses user alice by {mechanism}" in said
        assert "wrong-password" not in said
        with pytest.raises(UnavailableError, match=f"refuses user alice by {mechanism}"):
            await end_offsets(secured(cluster, base, sasl=user("alice", "wrong-password", mechanism)), [topic])
    said = await refusal(secured(cluster, base, sasl=user("alice", "right-password", "SCRAM-SHA-256")))
    assert "does not offer SCRAM-SHA-256" in said
    good = user("alice", "right-password")
    assert "authority that is not known here" in await refusal(secured(cluster, base, sasl=good, tls={}))

    password = private_file(tmp_path / "password", "wrong-password")
    rotated = secured(
        cluster, base, sasl={"mechanism": "SCRAM-SHA-512", "username": "alice", "password_file": password}
    )
    recorder = Recorder()
    async with running(rotated, {topic: recorder}) as runner:
        await until(lambda: "refuses user alice by SCRAM-SHA-512" in (runner.not_ready_reason or ""))
        private_file(password, "right-password\n")
        await until(lambda: runner.ready and len(recorder.handled) == 2)


async def test_an_expired_certificate_of_the_broker_is_named() -> None:
    security = ClientSecurity("SASL_SSL", USERS, certificate_valid_for=timedelta(days=-1))
    async with KafkaCluster(1, security=security) as cluster:
        kafka = secured(cluster, open_settings(cluster), sasl=user("alice", "right-password"))
        assert "has expired: renew it there" in await refusal(kafka)


async def test_a_certificate_for_another_host_is_named(cluster: KafkaCluster) -> None:
    kafka = secured(cluster, open_settings(cluster), sasl=user("alice", "right-password"))
    port = kafka.bootstrap_servers[0].rpartition(":")[2]
    other = kafka.model_copy(update={"bootstrap_servers": (f"127.0.0.2:{port}",)})
    async with _forwarded("127.0.0.2", int(port)):
        assert "is for another host name" in await refusal(other)


async def test_certificates_of_clients(tmp_path: Path) -> None:
    security = ClientSecurity("SSL", client_certificates=True)
    async with KafkaCluster(1, security=security) as cluster:
        base = open_settings(cluster)
        await create_topics(base)
        ca_file = cluster.authority.ca_file

        def with_certificate(file: Path | None) -> KafkaSettings:
            tls = {"ca_file": ca_file, "certificate_file": file, "key_file": file}
            return secured(cluster, base, security_protocol="SSL", tls=tls)

        good, old = cluster.authority.issue("alice"), cluster.authority.issue("old", timedelta(days=-1))
        foreign = TestAuthority(tmp_path / "other").issue("alice")
        for file in (good, old, foreign):
            file.chmod(0o600)
        async with EventProducer(with_certificate(good)) as producer:
            await producer.send(base.topics.incidents, key=b"k", value=b"v")
        assert "certificate" in await refusal(with_certificate(None))
        for file in (old, foreign):
            said = await refusal(with_certificate(file))
            assert "refuses this client's certificate, kafka.tls.certificate_file: it may have expired" in said
            assert "signed by an authority that the broker does not know" in said


@asynccontextmanager
async def _forwarded(host: str, port: int) -> AsyncIterator[None]:
    """Hands on what comes to this host's port to 127.0.0.1's. Every connection has ended when it has."""
    open_ones: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            ways = [asyncio.create_task(pump(reader, inner_writer)), asyncio.create_task(pump(inner_reader, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            for one in (inner_writer, writer):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    async with await asyncio.start_server(connected, host, port):
        yield
        await asyncio.gather(*open_ones, return_exceptions=True)
