"""One process of the daemon that can be killed at a point, frozen, and started anew."""

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.e2e.faults.nursery import Child, Nursery
from tests.hosts import Host

_STOP_SECONDS: Final = 20.0
"""Promised of a process that is asked to end."""


@dataclass(frozen=True, slots=True)
class Trap:
    """Where the process shall kill itself, and at which time that it passes there."""

    point: str
    passes: int = 1


@dataclass
class Replica:
    """One of the processes of a role. host: where it runs."""

    name: str
    role: str
    settings_file: Path
    nursery: Nursery = field(repr=False)
    host: Host = field(default_factory=Host)
    _child: Child | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.settings_file.with_suffix(".log")

    @property
    def clock(self) -> Path:
        """The file with the seconds by which this process's clock is wrong."""
        return self.settings_file.with_suffix(".clock")

    @property
    def _note(self) -> Path:
        return self.settings_file.with_suffix(".note")

    @property
    def process_id(self) -> int:
        assert self._child is not None, f"{self.name} was never started"
        return self._child.process_id

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    @property
    def returncode(self) -> int | None:
        """None while the process runs; negative for the signal that killed it."""
        return None if self._child is None else self._child.returncode

    @property
    def died_at(self) -> str | None:
        """The point at which the process that has ended killed itself; None when it ended otherwise."""
        if self._child is None or self._child.returncode != -signal.SIGKILL or not self._note.exists():
            return None
        return self._note.read_text(encoding="utf-8")

    async def start(self, trap: Trap | None = None) -> None:
        """Starts the process and does not wait for what it does."""
        assert not self.is_running, f"{self.name} runs already"
        self._note.unlink(missing_ok=True)
        options = ["--clock", str(self.clock)]
        if trap is not None:
            options += ["--point", trap.point, "--pass", str(trap.passes), "--note", str(self._note)]
        command = ["serve", "--roles", self.role, "--config", str(self.settings_file)]
        self._child = await self.nursery.fork([*options, "--", *command], self.log, self.host.namespace)

    async def ended(self, seconds: float) -> bool:
        """Whether the process ends by itself in that time."""
        assert self._child is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._child.wait(), seconds)
        return not self.is_running

    async def kill(self) -> None:
        """Kills the process, wherever it is."""
        if self._child is not None and self.is_running:
            self.send(signal.SIGKILL)
            await self._child.wait()

    async def stop(self) -> bool:
        """Asks the process to end; kills it when it does not. Says whether it ended in good order."""
        if self._child is None or not self.is_running:
            return False
        self.send(signal.SIGTERM)
        if not await self.ended(_STOP_SECONDS):
            await self.kill()
            return False
        return self._child.returncode == 0

    def send(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send(number)
