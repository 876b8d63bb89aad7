"""Starts daemons quickly: a process that has imported the program forks one whenever it is asked to.

Run as a module it is that process. It reads requests as JSON lines and tells of each child when it starts and ends.
Importing the program takes seconds of a core, and a hundred kills take as many starts.
"""

import asyncio
import ctypes
import gc
import json
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.hosts import enter_namespace

_PR_SET_PDEATHSIG: Final = 1
"""Linux: include/uapi/linux/prctl.h."""
_START_SECONDS: Final = 60.0


class Child:
    """A daemon that was forked. `returncode` is as that of a subprocess: negative for a signal."""

    def __init__(self, process_id: int) -> None:
        self.process_id = process_id
        self.returncode: int | None = None
        self._over = asyncio.Event()

    def send(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.process_id, number)

    async def wait(self) -> None:
        await self._over.wait()

    def ended(self, returncode: int) -> None:
        self.returncode = returncode
        self._over.set()


class Nursery:
    """The asking side. An async context manager; all children die with the nursery."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._children: dict[int, Child] = {}
        self._asking = asyncio.Lock()
        self._started: asyncio.Queue[Child] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.e2e.faults.nursery",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self._process))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._reading is not None
        self._process.kill()
        await self._process.wait()
        await self._reading

    async def fork(self, arguments: list[str], log: Path, namespace: str | None) -> Child:
        """Runs tests.e2e.faults.crashing_daemon with these arguments, in a network namespace if one is named."""
        assert self._process is not None
        assert self._process.stdin is not None
        async with self._asking, asyncio.timeout(_START_SECONDS):
            request = {"arguments": arguments, "log": str(log), "namespace": namespace}
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            return await self._started.get()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            told = json.loads(line)
            if "started" in told:
                child = self._children[told["started"]] = Child(told["started"])
                self._started.put_nowait(child)
            else:
                self._children.pop(told["ended"]).ended(told["returncode"])


def _serve() -> None:
    """The forking side. One thread only, so that a fork is safe."""
    from rtcc_bridge.commands import serve  # noqa: F401, PLC0415 - only this process has to have it imported
    from tests.e2e.faults import crashing_daemon  # noqa: PLC0415 - as above

    gc.freeze()  # else each fork copies what the program's collector looks through
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    requests = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _tell_of_the_dead()
        if 0 in readable:
            if not (piece := os.read(0, 65_536)):
                return
            requests += piece
            *lines, requests = requests.split(b"\n")
            for line in lines:
                request = json.loads(line)
                if (process_id := os.fork()) == 0:
                    _become(request, crashing_daemon.main)
                _tell({"started": process_id})


def _tell_of_the_dead() -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _tell({"ended": ended[0], "returncode": os.waitstatus_to_exitcode(ended[1])})


def _tell(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _become(request: dict[str, Any], main: Any) -> None:
    """Turns this fork into a daemon; never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        library = ctypes.CDLL(None, use_errno=True)
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        if request["namespace"] is not None:
            enter_namespace(request["namespace"])
        main(request["arguments"])
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, a fork must not run on into the code of its parent
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
