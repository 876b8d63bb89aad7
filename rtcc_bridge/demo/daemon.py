"""The daemon as a process of its own, the way it runs in earnest."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from rtcc_bridge.errors import BridgeError

STOP_SECONDS = 20.0


class DaemonError(BridgeError):
    """The daemon did not start or stopped by itself."""


@asynccontextmanager
async def running_daemon(
    settings_file: Path, address: str, log_file: Path, ready_seconds: float = 90.0, options: Sequence[str] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts `rtcc-bridge serve` (with more options), waits until it is ready, and stops it at the end.

    Raises DaemonError with the end of its log when it is not ready in time.
    """
    with log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rtcc_bridge", "serve", "--config", str(settings_file), *options,
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        await _ready(process, address, log_file, ready_seconds)
        yield process
    finally:
        await _stop(process)


async def _ready(process: asyncio.subprocess.Process, address: str, log_file: Path, seconds: float) -> None:
    last = "it did not answer"
    try:
        async with asyncio.timeout(seconds), aiohttp.ClientSession() as http:
            while process.returncode is None:
                try:
                    async with http.get(f"{address}/readyz") as answer:
                        if answer.status == 200:
                            return
                        last = await answer.text()
                except aiohttp.ClientError as error:
                    last = str(error)
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise DaemonError(f"the daemon was not ready within {seconds:g} s: {last}; see {log_file}") from error
    raise DaemonError(f"the daemon stopped with exit code {process.returncode}:\n{_tail(log_file)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
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
