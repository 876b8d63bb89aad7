"""One line a step, with its milliseconds; the first failure ends the check."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console

from rtcc_bridge.errors import BridgeError


class CheckFailedError(BridgeError):
    """A promise did not hold; the message says which."""


class Checklist:
    """Prints each step as it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """Prints the step and its time when it ends, or when it fails; what made it fail goes on to the caller."""
        started = time.perf_counter()
        outcome = "[red]FAILED[/red]"
        try:
            yield
            outcome = "[green]ok    [/green]"
        finally:
            milliseconds = (time.perf_counter() - started) * 1000
            self._console.print(f"  {outcome} {milliseconds:8.0f} ms  {name}", highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self._console.print(f"                      {text}", highlight=False, markup=False, soft_wrap=True)


def require(holds: bool, otherwise: str) -> None:
    """Raises CheckFailedError when a promise does not hold."""
    if not holds:
        raise CheckFailedError(otherwise)
