"""An event loop whose time passes only when everybody waits, and which computes work in no time but its own.

What would take minutes of waiting is over at once, and always happens in the same order. Nothing here waits for the
world: a loop in which nobody can ever go on says so.
"""

import asyncio
import math
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar, TypeVarTuple

_LEAST_SECONDS = 1e-9
"""No clock stands still: who waits for a moment that rounding has put just ahead reaches it."""


_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class NobodyCanGoOnError(AssertionError):
    """Every task waits, and nothing is due: somebody would wait for ever."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`run_in_executor` calls its function on the spot; the answer comes after `takes(seconds)`, as told within it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._takes = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def takes(self, seconds: float) -> None:
        """For the function that runs in an executor: how long it takes. Without end if infinite."""
        self._takes += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Arguments], _Result], *args: *_Arguments
    ) -> asyncio.Future[_Result]:
        answer: asyncio.Future[_Result] = self.create_future()
        self._takes = 0.0
        deliver: Callable[[], None]
        try:
            deliver = partial(answer.set_result, func(*args))
        except Exception as error:  # noqa: BLE001 - as an executor does
            deliver = partial(answer.set_exception, error)
        if math.isfinite(self._takes):
            self.call_later(self._takes, lambda: None if answer.done() else deliver())
        return answer


class _Selector(selectors.SelectSelector):
    """Lets time pass instead of waiting."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise NobodyCanGoOnError("every task waits, and nothing is due")
        self._loop.pass_time(_LEAST_SECONDS if ready or not timeout else timeout + _LEAST_SECONDS)
        return ready
