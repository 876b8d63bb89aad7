"""Waiting for the demo's daemon."""

import asyncio
import socket
from pathlib import Path

import pytest

from rtcc_bridge.demo import daemon
from rtcc_bridge.demo.daemon import DaemonError, ready_daemon


class Ending:
    """A process that is there when it is asked for the first time, and then has ended with this code."""

    def __init__(self, code: int) -> None:
        self._code = code
        self._asked = False

    @property
    def returncode(self) -> int | None:
        self._asked, asked = True, self._asked
        return self._code if asked else None

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    async def wait(self) -> int:
        return self._code


async def test_a_daemon_that_ended_is_told_while_something_else_keeps_silent_on_its_port(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(daemon, "_ANSWER_SECONDS", 0.05)
    log = tmp_path / "daemon.log"
    log.write_text("the port is taken\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with asyncio.timeout(20):
            with pytest.raises(DaemonError, match=r"exit code 4:\nthe port is taken"):
                async with ready_daemon(Ending(4), address, log):
                    pass
