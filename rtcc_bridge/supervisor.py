"""Keeps a process's long-running parts going, and stops them in stages within one time limit."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import structlog

from rtcc_bridge.errors import BridgeError, IntegrityError

_CANCEL_SECONDS: Final = 2.0
"""How long a cancelled part may take to let go, for example to roll its transaction back."""

_log = structlog.get_logger(__name__)


class Stage(IntEnum):
    """When a part is stopped: all of a stage at once, and the next stage when they are done."""

    INTAKE = 1
    """Takes requests from people: nothing new is begun from here on."""
    WORK = 2
    """Takes records from the broker: what is in work is finished and committed."""
    RELAY = 3
    """Publishes what the stages before have committed."""
    BACKGROUND = 4
    """What the others need until they are done, and what can be left at any time."""


@dataclass(frozen=True, slots=True)
class Part:
    """One long-running part. `stop` asks it to finish; a part without it is cancelled."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
    stop: Callable[[], Awaitable[None] | None] | None = None
    stage: Stage = Stage.BACKGROUND


class PartDiedError(BridgeError):
    """A part ended by itself. The process stops, so that whoever supervises it starts it anew in a known state."""


async def supervise(
    parts: Sequence[Part],
    stop: asyncio.Event,
    shutdown_seconds: float,
    on_stopping: Callable[[], None] = lambda: None,
) -> None:
    """Runs the parts until `stop` is set or one of them ends, then stops all, stage by stage.

    That takes at most `shutdown_seconds`: a stage may use half of what is left of them, so that one that hangs leaves
    time for those after it, and its parts are cancelled then. on_stopping: called when the stopping begins.

    Raises IntegrityError as it came, and PartDiedError when a part ended without being asked.
    """
    tasks = {part.name: asyncio.create_task(part.run(), name=part.name) for part in parts}
    stopping = asyncio.create_task(stop.wait(), name="stop")
    died: list[str] = []
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
        on_stopping()
        await _stop_all(parts, tasks, shutdown_seconds)
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


async def _stop_all(parts: Sequence[Part], tasks: dict[str, asyncio.Task[None]], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    for stage in Stage:
        of_stage = [part for part in parts if part.stage is stage]
        stage_seconds = (deadline - loop.time()) / 2
        await asyncio.gather(*(_stop(part, tasks[part.name], stage_seconds) for part in of_stage))


async def _stop(part: Part, task: asyncio.Task[None], seconds: float) -> None:
    if not task.done() and part.stop is not None:
        try:
            async with asyncio.timeout(seconds):
                if (asked := part.stop()) is not None:
                    await asked
                await asyncio.wait([task])
        except TimeoutError:
            _log.warning("a part did not stop in time", part=part.name, seconds=round(seconds, 1))
        except Exception as error:  # noqa: BLE001 - the other parts still have to be stopped
            _log.error("a part could not be asked to stop", part=part.name, exc_info=error)
    task.cancel()
    await asyncio.wait([task], timeout=min(_CANCEL_SECONDS, seconds))
