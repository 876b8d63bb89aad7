"""The program in a process of its own, forked from one that has imported it: each start would import it anew else.

Importing takes some three seconds of a core, and the tests start it more than a hundred times. The demo's own tests
start it from nothing. So it is with its picture workers, see `tests.warm_workers.start`.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from rtcc_bridge.demo.daemon import ready_daemon
from tests.warm_workers.start import nursery, warm_workers

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *(
            f"rtcc_bridge.commands.{name}"
            for name in (
                "backup",
                "configuration",
                "dead_letters",
                "evaluate",
                "gallery",
                "keys",
                "models",
                "report",
                "serve",
                "simulate",
                "topics",
            )
        ),
        "tests.warm_workers.set_aside",
    ]
)


class Program:
    """A running `rtcc-bridge`, with what the tests need of `asyncio.subprocess.Process`. Made by `start`."""

    def __init__(self, process: multiprocessing.context.ForkServerProcess) -> None:
        self._process = process
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(process.sentinel, self._note_the_end)

    @property
    def process_id(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.process_id, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def _note_the_end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._process.join()
        self._ended.set()


async def start(arguments: Sequence[str], output: Path, *, real_workers: bool = False, **environment: str) -> Program:
    """Runs `rtcc-bridge` with these arguments; what it prints is added to the file.

    real_workers: its picture workers are started by their real command, and not forked.
    """
    everything = {**os.environ, **environment}
    forks_workers = None if real_workers else nursery()
    process = _CONTEXT.Process(
        target=_become, args=(list(arguments), output, everything, Path.cwd(), forks_workers), daemon=True
    )
    await asyncio.to_thread(process.start)
    return Program(process)


@asynccontextmanager
async def running_daemon(
    settings_file: Path, address: str, log_file: Path, options: Sequence[str] = (), *, real_workers: bool = False
) -> AsyncIterator[Program]:
    """`rtcc-bridge serve`, ready; it is stopped at the end. real_workers: see `start`."""
    process = await start(["serve", "--config", str(settings_file), *options], log_file, real_workers=real_workers)
    async with ready_daemon(process, address, log_file):
        yield process


def _become(
    arguments: list[str], output: Path, environment: dict[str, str], folder: Path, forks_workers: Path | None
) -> None:
    """In the forked process: the program, as if it had been started in that folder and environment.

    forks_workers: the address of what forks its picture workers.
    """
    from rtcc_bridge.cli import main  # noqa: PLC0415 - only this process needs it

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(written, number)
    sys.argv = ["rtcc-bridge", *arguments]
    with ExitStack() as stack:
        if forks_workers is not None:
            stack.enter_context(warm_workers(forks_workers))
        main()
