"""The warm process: for each connection it forks a picture worker that has loaded everything, and tells how that ended.

Run as `python -m tests.warm_workers.nursery LISTENING_DESCRIPTOR`. It lives until its standard input is closed.
"""

import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from rtcc_bridge.matching.errors import MatchingError
from rtcc_bridge.probes.sandbox import SandboxLimits
from rtcc_bridge.probes.worker import PictureWork, prepare, run

_MOST_BYTES_OF_ARGUMENTS: Final = 65_536
_MOST_DESCRIPTORS: Final = 1024


@dataclass(frozen=True, slots=True)
class _Worker:
    """One that was forked. end: a descriptor that can be read from when it has ended."""

    process_id: int
    end: int
    asker: socket.socket


class Nursery:
    """Blocks in `run` for as long as somebody holds the other end of standard input."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._works: dict[tuple[str, ...], PictureWork] = {}
        self._workers: dict[int, _Worker] = {}

    def run(self) -> None:
        self._selector.register(0, selectors.EVENT_READ, self._stop)
        self._selector.register(self._listener, selectors.EVENT_READ, self._answer)
        try:
            while True:
                for key, _ in self._selector.select():
                    if self._selector.get_map().get(key.fd) is key:  # an event before this one may have ended it
                        key.data()
        finally:
            for worker in self._workers.values():
                os.kill(worker.process_id, signal.SIGKILL)

    def _stop(self) -> None:
        sys.exit(0)

    def _answer(self) -> None:
        asker, _ = self._listener.accept()
        said, descriptors, _, _ = socket.recv_fds(asker, _MOST_BYTES_OF_ARGUMENTS, 3)
        if not said:  # killed before it had asked
            asker.close()
            return
        prepared = self._warmed_up(tuple(said.decode().split("\0")))
        threads = len(list(Path("/proc/self/task").iterdir()))
        assert threads == 1, f"a process of {threads} threads must not be forked"
        process_id = os.fork()
        if process_id == 0:
            _become(descriptors, *prepared)
        for descriptor in descriptors:
            os.close(descriptor)
        worker = _Worker(process_id, os.pidfd_open(process_id), asker)
        self._workers[process_id] = worker
        self._selector.register(worker.end, selectors.EVENT_READ, lambda: self._tell_the_end(worker))
        self._selector.register(asker, selectors.EVENT_READ, lambda: self._kill(worker))

    def _warmed_up(self, arguments: tuple[str, ...]) -> tuple[Callable[[], PictureWork], int, SandboxLimits]:
        """What the worker runs with; its work is made here once, and in the worker where that cannot be."""
        make_work, most_bytes, limits = prepare(arguments)
        if arguments not in self._works:
            with suppress(MatchingError, OSError):  # the worker says so itself
                self._works[arguments] = make_work()
            gc.freeze()
        if (work := self._works.get(arguments)) is None:
            return make_work, most_bytes, limits
        return lambda: work, most_bytes, limits

    def _kill(self, worker: _Worker) -> None:
        """Whoever asked for it is gone."""
        self._selector.unregister(worker.asker)
        os.kill(worker.process_id, signal.SIGKILL)

    def _tell_the_end(self, worker: _Worker) -> None:
        _, status = os.waitpid(worker.process_id, 0)
        with suppress(OSError):  # the asker may be gone
            worker.asker.send(str(os.waitstatus_to_exitcode(status)).encode())
        with suppress(KeyError):
            self._selector.unregister(worker.asker)
        self._selector.unregister(worker.end)
        worker.asker.close()
        os.close(worker.end)
        del self._workers[worker.process_id]


def _become(
    descriptors: Sequence[int], make_work: Callable[[], PictureWork], most_bytes: int, limits: SandboxLimits
) -> NoReturn:
    """In the forked process: the worker, as if it had been started with these pipes."""
    code = 1
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, _MOST_DESCRIPTORS)
        code = run(make_work, most_bytes, limits)
    except BaseException:  # noqa: BLE001 - whatever it is, it must not go on as a second nursery
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        Nursery(listening).run()
