"""A task group after whose failure the task that waited for it can go on, on every Python from 3.11."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """As `asyncio.TaskGroup`, and no request of the group's own to cancel the calling task outlives it.

    When a task fails while the group waits for the others, `TaskGroup` cancels its caller to wake it, and catches that,
    but leaves it counted (`Task.cancelling`) in Python 3.11 and 3.12. Who looks at the count takes it for somebody's
    wish that the caller should end. So does every later `asyncio.timeout` of Python 3.11.2, which is Debian 12's: it
    ends in CancelledError where TimeoutError is due (CPython issue 102780).
    """
    task = asyncio.current_task()
    assert task is not None, "only a task can enter a group"
    when_left: int | None = None
    try:
        async with asyncio.TaskGroup() as group:
            yield group
            when_left = task.cancelling()
    except BaseExceptionGroup:
        # The group's own request and no other: a cancellation from outside comes before it or is counted besides.
        asked = getattr(group, "_parent_cancel_requested", False)
        if asked and when_left is not None and task.cancelling() > when_left:
            task.uncancel()
        raise
