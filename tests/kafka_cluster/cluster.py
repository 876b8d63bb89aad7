"""Apache Kafka (KRaft) of one node or several on loopback, for tests and trials."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the module does not list what it exports
    AdminClient,
    ClusterMetadata,
)

from tests.hosts import Host
from tests.kafka_cluster import class_archive
from tests.kafka_cluster.broker_properties import broker_properties
from tests.kafka_cluster.certificates import TestAuthority
from tests.kafka_cluster.distribution import fetch
from tests.kafka_cluster.node import Node, new_id
from tests.kafka_cluster.security import ClientSecurity
from tests.ports import free_ports

_READY_SECONDS: Final = 90.0
_ASK_SECONDS: Final = 3.0


class KafkaCluster:
    """An async context manager: starts the nodes (numbered from 1) and kills them at the end.

    `folder` keeps data and logs; without one they lie in a temporary folder that is removed at the end. `security` adds
    a listener for clients; without it they use the internal one, which asks for nothing. `settings` are broker settings
    that differ from ours. `hosts` are where the nodes run, one for each; without them on loopback. `java_options`
    replace the class archive. The nodes die with the process that started them (Linux).
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        folder: Path | None = None,
        security: ClientSecurity | None = None,
        settings: Mapping[str, str] | None = None,
        hosts: Sequence[Host] | None = None,
        java_options: Sequence[str] | None = None,
    ) -> None:
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="kafka-"))
        self.authority = TestAuthority(self.folder / "certificates")
        self._security = security
        self._java_options = java_options
        self._settings = dict(settings or {})
        self._nodes: dict[int, Node] = {}
        for number, host in enumerate(hosts or [Host()] * nodes, 1):
            internal, clients, controller = free_ports(3)
            folder = self.folder / f"node-{number}"
            self._nodes[number] = Node(number, folder, host, internal, clients, controller, java_options)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the nodes, which are their ids in Kafka too."""
        return tuple(self._nodes)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Where each of them runs."""
        return tuple(node.host for node in self._nodes.values())

    @property
    def addresses(self) -> tuple[str, ...]:
        """host:port of each node for clients: `kafka.bootstrap_servers`."""
        if self._security is None:
            return self.internal_addresses
        return tuple(node.clients for node in self._nodes.values())

    @property
    def internal_addresses(self) -> tuple[str, ...]:
        """host:port of each node's internal listener: no password, and every right."""
        return tuple(node.internal for node in self._nodes.values())

    @property
    def bootstrap(self) -> str:
        """The same in one text, divided by commas."""
        return ",".join(self.addresses)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Formats the storage and returns when every node answers.

        Raises KafkaNotAvailableError without Java or Maven; RuntimeError when a node ends or does not answer.
        """
        await asyncio.to_thread(fetch)
        if self._java_options is None:
            await asyncio.to_thread(class_archive.make_once, _start_and_stop)
        cluster_id = new_id()
        arguments = []
        if len(self._nodes) > 1:
            voters = ",".join(f"{node.number}@{node.controller}:{new_id()}" for node in self._nodes.values())
            arguments.append(f"--initial-controllers={voters}")
        if self._security is not None:
            arguments += self._security.format_arguments()
        await asyncio.gather(
            *(node.format(cluster_id, self._properties(node), arguments) for node in self._nodes.values())
        )
        for node in self._nodes.values():
            node.launch()
        await self.wait_until_ready()

    async def close(self) -> None:
        """Kills all nodes; a temporary folder is removed."""
        await self.kill(*self.numbers)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def stop(self, *numbers: int) -> None:
        """Ends nodes in good order (SIGTERM): they hand their leaderships over first. All of them without numbers."""
        await self._end(numbers or self.numbers, signal.SIGTERM)

    async def kill(self, *numbers: int) -> None:
        """Ends nodes as a power cut does (SIGKILL); returns when they are gone."""
        await self._end(numbers, signal.SIGKILL)

    async def restart(self, *numbers: int) -> None:
        """Starts nodes that have ended, with their data; running ones are stopped in good order before. Or all of them.

        Returns when they are part of the cluster again, so a majority of the nodes has to be running then.
        """
        numbers = numbers or self.numbers
        await self.stop(*numbers)
        self.launch(*numbers)
        await self.wait_until_ready(*numbers)

    def launch(self, *numbers: int) -> None:
        """Starts nodes that have ended, with their data, and does not wait."""
        for number in numbers:
            self._nodes[number].launch()

    def pause(self, *numbers: int) -> None:
        """Freezes nodes (SIGSTOP): their connections stay open and nothing answers. Blocks until each stands still."""
        for number in numbers:
            self._nodes[number].freeze()

    def resume(self, *numbers: int) -> None:
        """Lets frozen nodes go on (SIGCONT)."""
        for number in numbers:
            self._nodes[number].send(signal.SIGCONT)

    def folder_of(self, number: int) -> Path:
        """Where a node has its settings, its data and its log."""
        return self._nodes[number].folder

    def log_of(self, number: int) -> Path:
        """The log file of a node."""
        return self._nodes[number].log

    def process_id_of(self, number: int) -> int | None:
        """Of a node that is running, be it frozen; None when it has ended."""
        return self._nodes[number].process_id

    async def wait_until_ready(self, *numbers: int) -> None:
        """Returns when each of the nodes (without numbers: all) answers, and knows that the others of them serve.

        Raises RuntimeError when one of them ends, or 90 seconds pass.
        """
        wanted = [self._nodes[number] for number in numbers or self.numbers]
        expected = {node.number for node in wanted}

        async def knows_all(node: Node) -> None:
            await _until(lambda: expected <= set(_ask(node.internal).brokers), node)

        await asyncio.gather(*map(knows_all, wanted))

    async def wait_until_in_sync(self) -> None:
        """Returns when every replica of every partition is in sync again."""
        node = next(node for node in self._nodes.values() if node.is_running)
        await _until(
            lambda: all(
                set(partition.isrs) == set(partition.replicas)
                for topic in _ask(*self.internal_addresses).topics.values()
                for partition in topic.partitions.values()
            ),
            node,
        )

    async def leader_of(self, topic: str, partition: int) -> int | None:
        """The number of the node that leads a partition, as a running node knows it; None while there is none."""
        metadata = await asyncio.to_thread(_ask, *self.internal_addresses)
        if topic not in metadata.topics or partition not in metadata.topics[topic].partitions:
            return None
        leader = metadata.topics[topic].partitions[partition].leader
        return leader if leader in self._nodes else None

    async def _end(self, numbers: Iterable[int], how: signal.Signals) -> None:
        await asyncio.gather(*(self._nodes[number].end(how) for number in numbers))

    def _properties(self, node: Node) -> dict[str, str]:
        plain = broker_properties(node, list(self._nodes.values()))
        if self._security is None:
            return plain | self._settings
        key_file = self.authority.issue(f"node-{node.number}", self._security.certificate_valid_for)
        return (
            plain
            | {
                "listeners": f"{plain['listeners']},CLIENTS://{node.clients}",
                "advertised.listeners": f"{plain['advertised.listeners']},CLIENTS://{node.clients}",
                "listener.security.protocol.map": (
                    f"{plain['listener.security.protocol.map']},CLIENTS:{self._security.protocol}"
                ),
            }
            | self._security.properties(self.authority.ca_file, key_file)
            | self._settings
        )


def _start_and_stop(java_options: Sequence[str]) -> None:
    async def run() -> None:
        async with KafkaCluster(java_options=java_options) as cluster:
            await cluster.stop()

    asyncio.run(run())


def _ask(*addresses: str) -> ClusterMetadata:
    """What a running node knows of nodes, topics and leaders. Blocks; raises KafkaException when none answers."""
    client = AdminClient(
        {"bootstrap.servers": ",".join(addresses), "log_level": 0, "socket.timeout.ms": int(_ASK_SECONDS * 1000)}
    )
    return client.list_topics(timeout=_ASK_SECONDS)


async def _until(condition: Callable[[], bool], node: Node) -> None:
    """Asks again and again, for nothing tells when it has become true."""
    last: Exception | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(_READY_SECONDS):
            while node.is_running:
                try:
                    if await asyncio.to_thread(condition):
                        return
                except KafkaException as error:
                    last = error
                await asyncio.sleep(0.1)
    what = "is not ready" if node.is_running else "has ended"
    raise RuntimeError(f"Kafka node {node.number} {what} ({last}). The end of {node.log}:\n{node.last_lines()}")
