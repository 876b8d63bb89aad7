"""A task group that failed leaves nothing behind in the task that waited for it."""

import asyncio

import pytest

from rtcc_bridge.task_group import task_group


async def fail() -> None:
    raise OSError("the database is away")


async def test_a_timeout_after_a_group_that_failed_is_a_timeout() -> None:
    with pytest.RaisesGroup(OSError):
        async with task_group() as group:
            group.create_task(fail())
            group.create_task(asyncio.Event().wait())
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_a_group_that_fails_under_its_body_ends_the_body() -> None:
    with pytest.RaisesGroup(OSError):
        async with task_group() as group:
            group.create_task(fail())
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_cancellation_from_outside_stays_one() -> None:
    waiting = asyncio.Event()

    async def work() -> None:
        async with task_group() as group:
            group.create_task(asyncio.Event().wait())
            waiting.set()

    task = asyncio.create_task(work())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1
