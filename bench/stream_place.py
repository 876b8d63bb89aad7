"""A broker, a database and the daemon for one run of the stream benchmark, and what reads its feed."""

import asyncio
import json
import os
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import aiohttp
import asyncpg
import yaml

from rtcc_bridge.broker.embedded import EmbeddedBroker
from rtcc_bridge.broker.topics import create_topics
from rtcc_bridge.demo.daemon import running_daemon
from rtcc_bridge.demo.pictures import encode_png, portrait
from rtcc_bridge.settings import Settings, load_settings
from tests.kafka_cluster.cluster import KafkaCluster
from tests.postgres_server import PostgresServer

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"
_DATA = re.compile(rb'"lastUpdateTimeStamp": ?"([^"]+)"')


@dataclass
class Place:
    """Where the daemon and the raw loop work. peer_url: a database of the same kind for the raw loop."""

    settings: Settings
    address: str
    url: str
    peer_url: str
    daemons: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        return ",".join(self.settings.kafka.bootstrap_servers)

    def cpu_seconds(self) -> float:
        """Processor time of the daemon so far, without its picture workers."""
        ticks = 0
        for daemon in self.daemons:
            stat = Path(f"/proc/{daemon.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(stat[11]) + int(stat[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def place(folder: Path, packs: Path, *, broker: str, database: str) -> AsyncIterator[Place]:
    """Starts everything. broker: tansu or kafka; database: sqlite or postgresql, both durable."""
    async with AsyncExitStack() as stack:
        bootstrap = await _broker(stack, folder, broker)
        urls = [f"sqlite+aiosqlite:///{folder / name}.sqlite3" for name in ("bridge", "peer")]
        if database == "postgresql":
            server = PostgresServer(durable=True)
            await asyncio.to_thread(server.start)
            stack.push_async_callback(asyncio.to_thread, server.remove)
            urls = [server.url("postgres"), server.url("peer")]
            connection = await asyncpg.connect(urls[0].replace("+asyncpg", ""))
            await connection.execute("CREATE DATABASE peer")
            await connection.close()
        port = _free_port()
        file = _settings_file(folder, packs, broker, bootstrap, urls[0], port)
        settings = load_settings(file)
        await create_topics(settings.kafka)
        made = Place(settings, f"http://{LOOPBACK}:{port}", urls[0], urls[1])
        await _enroll(file, folder)
        made.daemons = [await stack.enter_async_context(running_daemon(file, made.address, folder / "daemon.log"))]
        yield made


class FeedReader:
    """Follows the feed as a board does and notes when each incident event was seen. A context manager."""

    def __init__(self, address: str) -> None:
        self.ages: list[float] = []
        self.last_at = 0.0
        self._address = address
        self._position = 0
        self._task: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()

    async def __aenter__(self) -> "FeedReader":
        self._task = asyncio.create_task(self._follow())
        await self._opened.wait()
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def until(self, count: int, seconds: float) -> None:
        """Waits until so many events were seen. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while len(self.ages) < count:  # noqa: ASYNC110 - a look now and then costs less than waking at each event
                await asyncio.sleep(0.01)

    async def _follow(self) -> None:
        """A client that is dropped because it read too slowly comes back and goes on where it was."""
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout, read_bufsize=2**20) as http:
            while True:
                headers = {"Last-Event-ID": str(self._position)} if self._opened.is_set() else {}
                with suppress(aiohttp.ClientError):
                    async with http.get(f"{self._address}/api/v1/feed", headers=headers) as answer:
                        answer.raise_for_status()
                        await self._read(answer.content)

    async def _read(self, lines: aiohttp.StreamReader) -> None:
        async for line in lines:
            if line.startswith(b"id: "):
                self._position = int(line[4:])
                self._opened.set()
            elif line.startswith(b"data: ") and (sent := _DATA.search(line)):
                self.last_at = time.monotonic()
                self.ages.append(time.time() - datetime.fromisoformat(sent[1].decode()).timestamp())


class Peer:
    """The raw loop as a process, and what it said. A context manager."""

    def __init__(self, topic: str, made: Place) -> None:
        self.ages: list[float] = []
        self.last_at = 0.0
        self._arguments = (made.bootstrap, topic, made.peer_url)
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Peer":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.stream_peer", *self._arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            limit=2**22,
        )  # fmt: skip
        assert self._process.stdout is not None
        if await self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("the raw loop did not start")
        self._task = asyncio.create_task(self._listen(self._process.stdout))
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._process is not None
        assert self._task is not None
        self._process.kill()
        await self._process.wait()
        await self._task

    async def until(self, count: int, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while len(self.ages) < count:  # noqa: ASYNC110 - a look now and then costs less than waking at each event
                await asyncio.sleep(0.01)

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            told = json.loads(line)
            self.last_at = told["at"]
            self.ages += told["ages"]


async def _broker(stack: AsyncExitStack, folder: Path, kind: str) -> list[str]:
    if kind == "kafka":
        return list((await stack.enter_async_context(KafkaCluster(1, folder=folder / "kafka"))).addresses)
    return [(await stack.enter_async_context(EmbeddedBroker())).address]


def _settings_file(folder: Path, packs: Path, broker: str, bootstrap: list[str], url: str, port: int) -> Path:
    content = {
        "kafka": {"bootstrap_servers": bootstrap, "enable_idempotence": broker == "kafka"},
        "database": {"url": url},
        "objects": {"url": (folder / "objects").as_uri(), "master_key_file": str(folder / "master.key")},
        "web": {"port": port},
        "matching": {"packs_directory": str(packs)},
        "policy": {"file": str(ROOT / "config/policy.yaml")},
    }
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


async def _enroll(settings_file: Path, folder: Path) -> None:
    """A matcher is not ready without a gallery."""
    person = folder / "people" / "portrait-01"
    person.mkdir(parents=True)
    (person / "portrait.png").write_bytes(encode_png(portrait()))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcc_bridge", "gallery", "enroll", str(person.parent), "--config", str(settings_file),
        "--provenance", "public-domain portrait", "--lawful-basis", "benchmark", "--retain-until", "2099-01-01",
        "--attest-adult",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"no gallery: {output.decode()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
