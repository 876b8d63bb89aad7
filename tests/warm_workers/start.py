"""Picture workers forked from a process that has loaded everything: each start would load it anew else, which takes
1.5 s of a core.

The sandbox is entered after the fork, by the code that a real one enters it with. Tests of the worker, of its sandbox
and of the demo start the real command, and so does one test of each thing that has picture workers.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from rtcc_bridge.app import picture_worker
from rtcc_bridge.probes.worker_process import ENVIRONMENT, PASSED_ON, worker_command

_ROOT: Final = Path(__file__).resolve().parents[2]
_CONNECT: Final = Path(__file__).with_name("connect.py")
_BACKLOG: Final = 64


@cache
def nursery() -> Path:
    """The address of this process's warm one, which ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="rtcc-workers-", dir="/tmp"))  # a socket's path may have 107 bytes
    address = folder / "socket"
    environment = {**ENVIRONMENT, **{name: os.environ[name] for name in PASSED_ON if name in os.environ}}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        listener.listen(_BACKLOG)
        command = [sys.executable, "-m", "tests.warm_workers.nursery", str(listener.fileno())]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            cwd=_ROOT,
            env=environment,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    return address


def warm(command: Sequence[str], address: Path | None = None) -> tuple[str, ...]:
    """In the place of that command of a picture worker. address: of a nursery, this process's own unless it is said."""
    arguments = command[command.index("rtcc_bridge.probes.worker") + 1 :]
    return (sys.executable, "-I", "-S", str(_CONNECT), str(address or nursery()), *arguments)


@contextmanager
def warm_workers(address: Path | None = None) -> Iterator[None]:
    """Whatever this process wires meanwhile has warm workers."""

    def command(*arguments: Any) -> tuple[str, ...]:
        return warm(worker_command(*arguments), address)

    with patch.object(picture_worker, "worker_command", command):
        yield
