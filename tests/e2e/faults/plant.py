"""The deployment that faults are done to: Apache Kafka, PostgreSQL, and several processes of each role."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from rtcc_bridge.demo.pictures import encode_png, portrait
from tests.e2e.faults.disks import small_disk
from tests.e2e.faults.nursery import Nursery
from tests.e2e.faults.replica import Replica
from tests.e2e.faults.site import Site
from tests.e2e.faults.tunnel import tunnel
from tests.hosts import Host
from tests.kafka_cluster.cluster import KafkaCluster
from tests.ports import free_port
from tests.postgres_server import PostgresServer

ROOT: Final = Path(__file__).resolve().parents[3]
ROLES: Final = ("consumer", "matcher", "relay", "web")

_STATIC_MEMBERS: Final = frozenset({"consumer-1", "matcher-1"})
"""The others are dynamic members of their groups, so that both kinds of membership are there."""

_SHORT_WAITS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "kafka": {"session_timeout_seconds": 4, "request_timeout_seconds": 5, "handle_backoff_seconds": 0.1},
        "database": {"connect_timeout_seconds": 3, "statement_timeout_seconds": 5, "busy_timeout_seconds": 3},
        "web": {"shutdown_seconds": 3},
        "matching": {"gallery_stale_seconds": 5},
        "leads": {"reconcile_after_seconds": 10, "reconcile_every_seconds": 2},
        "relay": {"publish_timeout_seconds": 5},
    }
)
"""Shorter than the settings' own, so that a fault of seconds is longer than what waits for it to end."""

_COMMAND_SECONDS: Final = 180.0


@dataclass
class Plant:
    """Everything that runs. standby: a second database server that follows the first one.

    site: the network that the servers and the first process of each role have hosts on; without it all are on loopback.
    default_waits: every wait is as long as the settings have it by default.
    """

    folder: Path
    nursery: Nursery
    kafka: KafkaCluster
    postgres: PostgresServer
    packs: Path
    standby: PostgresServer | None = None
    site: Site | None = None
    default_waits: bool = False
    replicas: dict[str, Replica] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)
    _commands: Iterator[int] = field(default_factory=count)

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def servers(self) -> list[PostgresServer]:
        """The database and, if there is one, its standby."""
        return [server for server in (self.postgres, self.standby) if server is not None]

    @property
    def addresses(self) -> list[str]:
        """Of the web processes."""
        return [f"http://127.0.0.1:{self.port_of(replica)}" for replica in self.of_role("web")]

    def port_of(self, replica: Replica) -> int:
        return self._ports[replica.name]

    def of_role(self, role: str) -> list[Replica]:
        return [replica for replica in self.replicas.values() if replica.role == role]

    def add(self, role: str, number: int) -> Replica:
        """One more process of a role; not started yet."""
        name = f"{role}-{number}"
        self._ports[name] = free_port()
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(self._settings(name)), encoding="utf-8")
        host = self.site.add_host(name) if self.site is not None and number == 1 else Host()
        self.replicas[name] = Replica(name, role, file, self.nursery, host)
        return self.replicas[name]

    async def command(self, *arguments: str) -> str:
        """Runs a command of the command line. Raises RuntimeError with what it said when it fails."""
        settings = next(iter(self.replicas.values())).settings_file
        said = self.folder / f"command-{next(self._commands)}.log"
        child = await self.nursery.fork(["--", *arguments, "--config", str(settings)], said, None)
        async with asyncio.timeout(_COMMAND_SECONDS):
            await child.wait()
        if child.returncode != 0:
            raise RuntimeError(f"rtcc-bridge {' '.join(arguments)}: {said.read_text()}")
        return said.read_text()

    def _settings(self, name: str) -> Mapping[str, Any]:
        places = self._places(name)
        waits = {} if self.default_waits else dict(_SHORT_WAITS)
        return {section: {**places.get(section, {}), **waits.get(section, {})} for section in places | waits}

    def _places(self, name: str) -> dict[str, Mapping[str, Any]]:
        nodes = len(self.kafka.numbers)
        hosts = "&".join(f"host={server.address}" for server in self.servers)
        return {
            "kafka": {
                "bootstrap_servers": list(self.kafka.addresses),
                "client_id": name,
                "group_instance_id": name if name in _STATIC_MEMBERS else None,
                "dead_letter_rate_limit": 100_000,
                "topics": {
                    "partitions": 6,
                    "replication_factor": min(3, nodes),
                    "min_insync_replicas": 2 if nodes >= 3 else 1,
                },
            },
            "database": {"url": f"postgresql+asyncpg://rtcc@/postgres?{hosts}&ssl=disable", "application_name": name},
            "objects": {"url": self.objects.as_uri(), "master_key_file": str(self.folder / "master.key")},
            "web": {"port": self._ports[name]},
            "intake": {"worker_timeout_seconds": 60},
            "matching": {"packs_directory": str(self.packs), "threads": 1},
            "policy": {"file": str(ROOT / "config/policy.yaml")},
            "log": {"level": "INFO", "format": "json"},
        }


@asynccontextmanager
async def running_plant(
    folder: Path,
    packs: Path,
    *,
    nodes: int,
    each: int,
    with_standby: bool = False,
    site: Site | None = None,
    disk_megabytes: int | None = None,
    default_waits: bool = False,
) -> AsyncIterator[Plant]:
    """Brokers, database, topics, one enrolled portrait and the processes; all ended and removed at the end.

    each: processes of each role. default_waits: see `Plant`. disk_megabytes: of a file system of its own for the
    objects, the database and the first broker.
    """

    def host(name: str) -> Host:
        return Host() if site is None else site.add_host(name)

    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(Nursery())
        server = PostgresServer(durable=True, host=host("database"))
        hosts = [host(f"broker-{number}") for number in range(1, nodes + 1)]
        cluster = KafkaCluster(nodes, folder=folder / "kafka", hosts=hosts)
        if disk_megabytes is not None:
            for disk in (folder / "objects", server.folder, cluster.folder_of(1)):
                stack.enter_context(small_disk(disk, disk_megabytes))
        postgres = await asyncio.to_thread(stack.enter_context, server)
        standby = None
        if with_standby:
            standby = await asyncio.to_thread(postgres.make_standby, host("standby"))
            stack.callback(standby.remove)
            await asyncio.to_thread(standby.start)
        kafka = await stack.enter_async_context(cluster)
        plant = Plant(folder, nursery, kafka, postgres, packs, standby, site, default_waits)
        for role in ROLES:
            for number in range(1, each + 1):
                plant.add(role, number)
        await plant.command("topics", "create")
        await _enroll(plant)
        for replica in plant.replicas.values():
            if replica.role == "web" and replica.host.namespace is not None:
                await stack.enter_async_context(tunnel(replica.host, plant.port_of(replica)))
            await replica.start()
        yield plant


async def _enroll(plant: Plant) -> None:
    people = plant.folder / "people" / "portrait-01"
    people.mkdir(parents=True)
    (people / "portrait.png").write_bytes(encode_png(portrait()))
    await plant.command(
        "gallery", "enroll", str(people.parent),
        "--provenance", "public-domain portrait", "--lawful-basis", "test", "--retain-until", "2099-01-01",
        "--attest-adult",
    )  # fmt: skip
