"""The daemon as a process of its own, the way it runs in earnest."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import aiohttp

from rtcc_bridge.errors import BridgeError

READY_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 5.0
"""Whatever else may have taken the port need not answer, and a daemon that could not bind it has ended meanwhile."""


class DaemonError(BridgeError):
    """The daemon did not start or stopped by itself."""


class DaemonProcess(Protocol):
    """What is asked of the process; `asyncio.subprocess.Process` can do it."""

    @property
    def returncode(self) -> int | None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    async def wait(self) -> int: ...


@asynccontextmanager
async def running_daemon(
    settings_file: Path, address: str, log_file: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts `rtcc-bridge serve`, waits until it is ready, and stops it at the end. Raises as `ready_daemon` does."""
    with log_file.open("ab") as log:
        process = await start_program("serve", "--config", str(settings_file), output=log)
    async with ready_daemon(process, address, log_file):
        yield process


async def start_program(*arguments: str, output: int | IO[bytes]) -> asyncio.subprocess.Process:
    """Starts `rtcc-bridge` with these arguments.

    It dies with the process that started it (Linux), also when that is killed. A terminal's Ctrl-C does not reach it:
    whoever started it ends it.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcc_bridge.broker.launcher", str(os.getpid()),
        sys.executable, "-m", "rtcc_bridge", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


async def output_of(process: asyncio.subprocess.Process) -> tuple[int, bytes]:
    """Waits for its end: the exit code, and what it has written. It does not outlive whoever waits."""
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output


@asynccontextmanager
async def ready_daemon(process: DaemonProcess, address: str, log_file: Path) -> AsyncIterator[None]:
    """Waits until a daemon that was just started is ready, and stops it at the end.

    Raises DaemonError with the end of its log when it is not ready in time.
    """
    try:
        await _ready(process, address, log_file, READY_SECONDS)
        yield
    finally:
        await _stop(process)


async def _ready(process: DaemonProcess, address: str, log_file: Path, seconds: float) -> None:
    last = "it did not answer"
    try:
        limit = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with asyncio.timeout(seconds), aiohttp.ClientSession(timeout=limit) as http:
            while process.returncode is None:
                try:
                    async with http.get(f"{address}/readyz") as answer:
                        if answer.status == 200:
                            return
                        last = await answer.text()
                except (aiohttp.ClientError, TimeoutError) as error:
                    last = str(error) or "it did not answer"
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise DaemonError(f"the daemon was not ready within {seconds:g} s: {last}; see {log_file}") from error
    raise DaemonError(f"the daemon stopped with exit code {process.returncode}:\n{_tail(log_file)}")


async def _stop(process: DaemonProcess) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log_file: Path, lines: int = 15) -> str:
    return "\n".join(log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
