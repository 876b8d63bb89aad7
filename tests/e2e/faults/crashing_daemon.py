"""Run as a module: the ordinary `rtcc-bridge`, which kills itself at a chosen point of its work.

    python -m tests.e2e.faults.crashing_daemon --point "records read" --pass 2 --note FILE -- serve --config FILE

The product has no hooks for it: the boundaries are those of the libraries that it stands on (the Kafka client, the
database driver) and of its object store. `--clock FILE` shifts the wall clock by the seconds that stand in the file.
"""

import argparse
import asyncio
import functools
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

from rtcc_bridge import clock
from rtcc_bridge.cli import main as rtcc_bridge_main
from rtcc_bridge.storage.objects import ObjectVault
from tests.e2e.faults import crash_points as points


class Trap:
    """Kills the process the n-th time that a point is passed. It says so in a file first."""

    def __init__(self, point: str, passes: int, note: Path) -> None:
        self._point = point
        self._left = passes
        self._note = note

    def passed(self, point: str) -> None:
        if point != self._point:
            return
        self._left -= 1
        if self._left <= 0:
            self._note.write_text(point, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)


def set_traps(trap: Trap) -> None:
    """Puts the trap's points around the boundaries. Call it before the daemon is built."""
    _trap_consumer(trap)
    _trap_producer(trap)
    _trap_objects(trap)
    _trap_database(trap)


def _trap_consumer(trap: Trap) -> None:
    def read(batches: Any) -> None:
        if batches:
            trap.passed(points.READ)

    _around(AIOKafkaConsumer, "getmany", after=read)
    _around(
        AIOKafkaConsumer,
        "commit",
        before=lambda: trap.passed(points.BEFORE_OFFSETS),
        after=lambda _: trap.passed(points.AFTER_OFFSETS),
    )
    # A first join revokes nothing: only what was consumed before can be taken away.
    prepare = GroupCoordinator._on_join_prepare

    @functools.wraps(prepare)
    async def on_join_prepare(self: Any, previous_assignment: Any) -> Any:
        if previous_assignment is not None and previous_assignment.tps:
            trap.passed(points.revoked(self.group_id))
        return await prepare(self, previous_assignment)

    complete = GroupCoordinator._on_join_complete

    @functools.wraps(complete)
    async def on_join_complete(self: Any, *arguments: Any) -> Any:
        result = await complete(self, *arguments)
        trap.passed(points.assigned(self.group_id))
        return result

    GroupCoordinator._on_join_prepare = on_join_prepare
    GroupCoordinator._on_join_complete = on_join_complete


def _trap_producer(trap: Trap) -> None:
    send = AIOKafkaProducer.send

    @functools.wraps(send)
    async def trapped(self: Any, *arguments: Any, **named: Any) -> Any:
        trap.passed(points.BEFORE_SEND)
        acknowledgement: asyncio.Future[Any] = await send(self, *arguments, **named)
        acknowledgement.add_done_callback(acknowledged)
        return acknowledgement

    def acknowledged(result: asyncio.Future[Any]) -> None:
        if not result.cancelled() and result.exception() is None:
            trap.passed(points.ACKNOWLEDGED)

    AIOKafkaProducer.send = trapped


def _trap_objects(trap: Trap) -> None:
    _around(ObjectVault, "seal", after=lambda _: trap.passed(points.SEALED))


def _trap_database(trap: Trap) -> None:
    """What a transaction does is told from its statements, so that it does not matter which code wrote them."""
    in_transaction: dict[int, set[str]] = {}

    def executed(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        for name, beginning in points.STATEMENTS.items():
            if statement.startswith(beginning):
                in_transaction.setdefault(_identity(connection.connection), set()).add(name)
                trap.passed(name)

    commit: Any = DefaultDialect.do_commit
    rollback: Any = DefaultDialect.do_rollback

    def do_commit(self: Any, connection: Any) -> None:
        done = in_transaction.pop(_identity(connection), set())
        for name in done:
            trap.passed(points.before_commit(name))
        commit(self, connection)
        for name in done:
            trap.passed(points.after_commit(name))

    def do_rollback(self: Any, connection: Any) -> None:
        in_transaction.pop(_identity(connection), None)
        rollback(self, connection)

    event.listen(Engine, "after_cursor_execute", executed)
    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]  # the boundary lies inside the library
    DefaultDialect.do_rollback = do_rollback  # type: ignore[method-assign]  # as above


def _identity(connection: Any) -> int:
    """Of the driver's connection, which the pool sometimes hands over in its wrapping and sometimes bare."""
    return id(getattr(connection, "dbapi_connection", connection))


def _around(
    owner: type,
    name: str,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[Any], None] = lambda _: None,
) -> None:
    """Wraps a coroutine function of a class."""
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @functools.wraps(original)
    async def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        before()
        result = await original(self, *arguments, **named)
        after(result)
        return result

    setattr(owner, name, wrapped)


def shift_clock(file: Path) -> None:
    """Lets the wall clock of this process go wrong by the seconds that the file holds at each moment."""
    true_time = time.time

    def shift_seconds() -> float:
        try:
            return float(file.read_text(encoding="utf-8") or 0)
        except (OSError, ValueError):
            return 0.0  # not there, or being written at this very moment

    def now(_self: clock.SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=shift_seconds())

    setattr(clock.SystemClock, "now", now)  # noqa: B010 - the one place that tells the time
    time.time = lambda: true_time() + shift_seconds()


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--point")
    parser.add_argument("--pass", dest="passes", type=int, default=1)
    parser.add_argument("--note", type=Path)
    parser.add_argument("--clock", type=Path)
    options = parser.parse_args(arguments[:split])
    if options.point is not None:
        set_traps(Trap(options.point, options.passes, options.note))
    if options.clock is not None:
        shift_clock(options.clock)
    sys.argv = ["rtcc-bridge", *arguments[split + 1 :]]
    rtcc_bridge_main()


if __name__ == "__main__":
    main(sys.argv[1:])
