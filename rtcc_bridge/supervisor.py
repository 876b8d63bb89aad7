"""Keeps a process's long-running parts going, and stops them in order."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from rtcc_bridge.errors import BridgeError, IntegrityError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """One long-running part. `stop` asks it to finish; a part without it is cancelled."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
    stop: Callable[[], Awaitable[None] | None] | None = None
    stop_seconds: float = 15.0


class PartDiedError(BridgeError):
    """A part ended by itself. The process stops, so that whoever supervises it starts it anew in a known state."""


async def supervise(parts: Sequence[Part], stop: asyncio.Event) -> None:
    """Runs the parts until `stop` is set or one of them ends, then stops all, the last of `parts` first.

    Raises IntegrityError as it came, and PartDiedError when a part ended without being asked.
    """
    tasks = {part.name: asyncio.create_task(part.run(), name=part.name) for part in parts}
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([stopping, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        died = [name for name, task in tasks.items() if task.done()]
        for name in died:
            # Said before the others are stopped, which may take a while.
            _log.error("a part of the process ended by itself", part=name, exc_info=_failure(tasks[name]))
        if not died:
            _log.info("asked to stop")
    finally:
        stopping.cancel()
        for part in reversed(parts):
            await _stop(part, tasks[part.name])
    failures = {name: _failure(task) for name, task in tasks.items() if name in died or _failure(task) is not None}
    for name in failures.keys() - set(died):
        _log.error("a part of the process failed while it stopped", part=name, exc_info=failures[name])
    for error in failures.values():
        if isinstance(error, IntegrityError):
            raise error
    for name, error in failures.items():
        raise PartDiedError(f"{name} ended by itself: see the log, and start the process again") from error


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


async def _stop(part: Part, task: asyncio.Task[None]) -> None:
    if not task.done() and part.stop is not None:
        try:
            async with asyncio.timeout(part.stop_seconds):
                if (asked := part.stop()) is not None:
                    await asked
                await asyncio.wait([task])
        except TimeoutError:
            _log.warning("a part did not stop in time", part=part.name, seconds=part.stop_seconds)
        except Exception as error:  # noqa: BLE001 - the other parts still have to be stopped
            _log.error("a part could not be asked to stop", part=part.name, exc_info=error)
    if not task.done():
        task.cancel()
    await asyncio.wait([task], timeout=part.stop_seconds)
