"""One node of the cluster: its settings, its data and its process."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.hosts import Host
from tests.kafka_cluster import class_archive
from tests.kafka_cluster.distribution import fetch, java

_JVM: Final = (
    "-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
    "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)  # fmt: skip
_STOP_SECONDS: Final = 20.0
_LAST_LINES: Final = 15
_RECORDS: Final = Path("__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")
"""The first records of a cluster: which features it has."""


@dataclass
class Node:
    """A combined broker and controller with a folder of its own; its methods are for KafkaCluster."""

    number: int
    folder: Path
    host: Host
    internal_port: int
    clients_port: int
    controller_port: int
    java_options: Sequence[str] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def internal(self) -> str:
        """host:port of the listener of brokers and tests, which asks for no password."""
        return f"{self.host.address}:{self.internal_port}"

    @property
    def clients(self) -> str:
        """host:port of the listener with the security that was asked for."""
        return f"{self.host.address}:{self.clients_port}"

    @property
    def controller(self) -> str:
        """host:port of the listener of the controllers among themselves."""
        return f"{self.host.address}:{self.controller_port}"

    @property
    def log(self) -> Path:
        """What the process has said, over all its starts."""
        return self.folder / "node.log"

    @property
    def is_running(self) -> bool:
        """Whether there is a process, be it stopped by SIGSTOP."""
        return self.process_id is not None

    @property
    def process_id(self) -> int | None:
        """Of the process; None before its start and after its end."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    async def format(self, cluster_id: str, properties: Mapping[str, str], arguments: list[str]) -> None:
        """Writes the settings and formats the storage; `arguments` go to the storage tool.

        Without any the tool is run once for all nodes: it takes two seconds of a core, and what it writes then says
        nothing of the node but the ids of cluster, node and folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = {**properties, "node.id": str(self.number), "log.dirs": str(self._data)}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        kept = _kept_records()
        if not arguments and kept.is_file():
            self._format_as_before(cluster_id, kept)
            return
        await self._run_storage_tool(cluster_id, arguments)
        if not arguments:
            _keep(self._data / _RECORDS, kept)

    def _format_as_before(self, cluster_id: str, records: Path) -> None:
        first = self._data / _RECORDS
        first.parent.mkdir(parents=True)
        shutil.copyfile(records, first)
        (self._data / "meta.properties").write_text(
            f"version=1\ncluster.id={cluster_id}\nnode.id={self.number}\ndirectory.id={new_id()}\n"
        )

    async def _run_storage_tool(self, cluster_id: str, arguments: list[str]) -> None:
        tool = await asyncio.create_subprocess_exec(
            *_java(), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}",
            "--config", str(self._properties), *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await tool.communicate()
        if tool.returncode != 0:
            said = "\n".join(output.decode().splitlines()[-_LAST_LINES:])
            raise RuntimeError(f"the storage of node {self.number} could not be formatted:\n{said}")

    def launch(self) -> None:
        """Starts the process with the data that is there, and does not wait. It dies with its starter (Linux)."""
        assert not self.is_running, f"node {self.number} is running already"
        with self.log.open("ab") as log, self.host.entered():
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "rtcc_bridge.broker.launcher", str(os.getpid()),
                    *_java(self.java_options), "kafka.Kafka", str(self._properties),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def freeze(self) -> None:
        """Stops every thread of the process: just after the signal one may still answer a request."""
        self.send(signal.SIGSTOP)
        if self.process_id is not None:
            os.waitid(os.P_PID, self.process_id, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None, f"node {self.number} is not running"
        self.process.send_signal(number)

    async def end(self, number: signal.Signals) -> None:
        """Sends the signal and waits for the end; after twenty seconds by force."""
        if not self.is_running or self.process is None:
            return
        self.send(number)
        try:
            await asyncio.to_thread(self.process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)

    def last_lines(self) -> str:
        """The end of the log, for an error message."""
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        return "\n".join(text.splitlines()[-_LAST_LINES:]) or "it said nothing"


def _java(options: Sequence[str] | None = None) -> list[str]:
    """options: of the Java machine; without any it uses the class archive."""
    return [java(), *_JVM, *(class_archive.options() if options is None else options), "-cp", str(fetch() / "*")]


def _kept_records() -> Path:
    folder = fetch()
    return folder.with_name(f"{folder.name}-first-records")


def _keep(records: Path, kept: Path) -> None:
    """Under its name it is there as a whole or not at all: several processes may come at once."""
    written = kept.with_name(f"{kept.name}-{new_id()}")
    shutil.copyfile(records, written)
    written.rename(kept)


def new_id() -> str:
    """As Kafka writes the ids of clusters and folders."""
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
