"""A cancellation is never lost on the way through the database driver."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancellation_kept() -> Iterator[None]:
    """Raises CancelledError at the end of a block in which this task was cancelled and the block did not raise it.

    The driver clears up while a cancellation passes through it: SQLAlchemy ends the transaction of its ping, say. Where
    the connection breaks at that moment, the clearing up fails, its error takes the place of the cancellation, and
    another connection is tried as if nothing had been. The task would go on, and whoever cancelled it, such as a task
    group that waits for its end, would wait for ever.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    except Exception as error:  # Whatever the driver raised in its place: it is raised again.
        if _cancelled_since(task, before):
            raise asyncio.CancelledError from error
        raise
    if _cancelled_since(task, before):
        raise asyncio.CancelledError


def _cancelled_since(task: "asyncio.Task[object] | None", before: int) -> bool:
    """What a timeout or a task group within the block asked for was taken back by it (`Task.uncancel`)."""
    return task is not None and task.cancelling() > before and task is asyncio.current_task()
