"""Apache Kafka as the tests and `scripts/kafka` start it."""

import asyncio
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from tests.kafka_cluster.control import listening
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
async def test_a_user_gets_in_by_password_and_may_do_only_what_a_rule_allows(tmp_path: Path) -> None:
    security = ClientSecurity("SASL_SSL", SECRETS, acls=True)
    async with KafkaCluster(folder=tmp_path / "kafka", security=security) as kafka:

        def client(user: str, password: str, mechanism: str) -> AdminClient:
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

        for mechanism in ("SCRAM-SHA-512", "PLAIN"):
            with pytest.raises(KafkaException):
                client("alice", "a wrong secret", mechanism).list_topics(timeout=3)
            admin = client(ADMIN, SECRETS[ADMIN], mechanism)
            alice = client("alice", SECRETS["alice"], mechanism)
            topic = f"{TOPIC}-by-{mechanism}"
            admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
            with pytest.raises(KafkaException, match="AUTHORIZATION"):
                alice.create_topics([NewTopic("another", 1, 1)])["another"].result()


@pytest.mark.kafka
async def test_the_script_tells_the_address_and_its_node_dies_with_it(tmp_path: Path) -> None:
    async with _running_script("--folder", str(tmp_path / "kafka")) as script:
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


@pytest.mark.kafka
async def test_the_script_kills_stops_and_restarts_nodes_of_a_secured_cluster(tmp_path: Path) -> None:
    arguments = ("--nodes", "3", "--security", "SASL_SSL", "--user", f"{ADMIN}:{SECRETS[ADMIN]}")
    async with _running_script(*arguments, TMPDIR=str(tmp_path)) as script:
        assert script.stdout is not None
        assert script.stderr is not None
        bootstrap = (await script.stdout.readline()).decode().strip()
        told = (await script.stderr.readuntil(b"Ctrl-C ends it.\n")).decode()
        folder = _named(r"--folder (\S+)", told)
        client = _scram_client(bootstrap, _named(r"Certificate authority: (\S+)", told))
        first = _processes(told)

        def serving() -> set[int]:
            return set(client.list_topics(timeout=10).brokers)

        async def do(what: str, *numbers: str) -> dict[int, int | None]:
            code, said = await _script(what, *numbers, "--folder", folder)
            assert code == 0, said
            return _processes(said)

        await until(lambda: serving() == set(first) == {1, 2, 3})
        assert stat.S_IMODE((Path(folder) / "control.sock").stat().st_mode) == 0o600

        assert await do("kill", "2") == {2: None}
        assert not _is_alive(first[2])
        assert not _has_shut_down_cleanly(folder, 2)
        await until(lambda: serving() == {1, 3})
        assert await do("status") == {**first, 2: None}

        second = await do("restart", "2")
        assert _is_alive(second[2])
        await until(lambda: serving() == {1, 2, 3})
        assert await do("status") == {**first, **second}

        assert await do("stop", "3") == {3: None}
        assert not _is_alive(first[3])
        assert _has_shut_down_cleanly(folder, 3)

        unknown = await _script("kill", "1", "7", "--folder", folder)
        assert unknown == (1, "scripts/kafka: there is no node 7: this cluster has 1, 2, 3\n")
        assert await do("status", "1") == {1: first[1]}

        script.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(script.wait(), 60) == 0
        assert not any(map(_is_alive, [*first.values(), *second.values()]))
        assert _content(tmp_path) == []


@pytest.mark.kafka
async def test_the_script_ends_at_once_by_ctrl_c_while_its_node_starts(tmp_path: Path) -> None:
    async with _running_script(TMPDIR=str(tmp_path)) as script:
        assert script.stdout is not None
        await until(lambda: any(tmp_path.glob("kafka-*/node-1/node.log")))
        script.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(script.stdout.read(), 60) == b""
        assert await script.wait() == 0
        assert _content(tmp_path) == []


async def test_the_script_says_when_no_cluster_runs_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "never", _folder_of_one_that_was_killed(tmp_path / "killed", monkeypatch)):
        assert await _script("status", "--folder", str(folder)) == (
            1,
            f"scripts/kafka: no cluster runs in {folder}: `scripts/kafka start --folder {folder}` starts one\n",
        )


def test_a_folder_has_one_cluster_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its path is, and whatever one that was killed has left there."""
    folder = _folder_of_one_that_was_killed(tmp_path / ("deep" * 30) / "kafka", monkeypatch)
    with listening(folder), pytest.raises(RuntimeError, match="a cluster runs in"), listening(folder):
        pass
    assert _content(folder) == []


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


@asynccontextmanager
async def _running_script(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`scripts/kafka start`; the nodes die with it."""
    process = await asyncio.create_subprocess_exec(
        ROOT / "scripts/kafka", "start", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHON": sys.executable, **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _script(*arguments: str) -> tuple[int | None, str]:
    """Another command of it: its exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        ROOT / "scripts/kafka", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, "PYTHON": sys.executable},
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode, said.decode()


def _scram_client(bootstrap: str, ca_file: str) -> AdminClient:
    return AdminClient(
        {
            "bootstrap.servers": bootstrap,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": ca_file,
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": ADMIN,
            "sasl.password": SECRETS[ADMIN],
            "log_level": 0,
        }
    )


def _named(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]


def _processes(text: str) -> dict[int, int | None]:
    """The process id of each node that is named; None where it has ended."""
    told = re.findall(r"^node (\d) at 127\.0\.0\.1:\d+ (?:runs as process (\d+)|has ended)$", text, re.MULTILINE)
    return {int(number): int(process) if process else None for number, process in told}


def _content(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _is_alive(process: int | None) -> bool:
    return process is not None and Path(f"/proc/{process}").exists()


def _has_shut_down_cleanly(folder: str, number: int) -> bool:
    """Apache Kafka leaves this file when it ends in good order, and removes it when it starts."""
    return Path(folder, f"node-{number}", "data", ".kafka_cleanshutdown").is_file()


def _folder_of_one_that_was_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """It has left its socket, at which nobody listens."""
    folder.mkdir(parents=True)
    with monkeypatch.context() as there, socket.socket(socket.AF_UNIX) as left_behind:
        there.chdir(folder)  # the path as a whole may be too long for a socket
        left_behind.bind("control.sock")
    return folder


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
