"""Work on many items, on as many at the same time as there are turns."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from rtcc_bridge.task_group import task_group

Item = TypeVar("Item")
Result = TypeVar("Result")


async def limited(
    turns: asyncio.Semaphore, work: Callable[[Item], Awaitable[Result]], items: Sequence[Item]
) -> list[Result]:
    """The results, in the order of the items. Turns are given in the order of asking. The first failure ends the
    others.
    """

    async def one(item: Item) -> Result:
        async with turns:
            return await work(item)

    try:
        async with task_group() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
