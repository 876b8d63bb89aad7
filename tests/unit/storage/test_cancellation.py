"""A block that swallows a cancellation, as a driver does that fails while it clears up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rtcc_bridge.storage.cancellation import cancellation_kept
from rtcc_bridge.storage.engine import Database


async def _swallowing(*, error: Exception | None) -> None:
    with cancellation_kept():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None


@pytest.mark.parametrize("error", [None, OSError("the connection broke")])
async def test_a_cancellation_that_is_swallowed_is_raised_after_all(error: Exception | None) -> None:
    task = asyncio.create_task(_swallowing(error=error))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_time_limit_around_the_block_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await _swallowing(error=OSError("the connection broke"))


async def _timed_out() -> None:
    async with asyncio.timeout(0.01):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("the connection broke") from None


async def test_a_time_limit_within_the_block_is_no_cancellation() -> None:
    with pytest.raises(OSError, match="broke"), cancellation_kept():
        await _timed_out()


async def test_what_was_asked_before_the_block_does_not_count() -> None:
    """A task that clears up after its cancellation works with the database once more."""

    async def clearing_up() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with cancellation_kept():
                return "done"
        return "never"

    task = asyncio.create_task(clearing_up())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "done"


async def test_errors_of_a_block_that_nobody_cancelled_pass() -> None:
    with pytest.raises(OSError, match="broke"), cancellation_kept():
        raise OSError("the connection broke")


async def test_who_is_cancelled_while_the_driver_connects_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def connect(_engine: object) -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("no server takes writes") from None
        yield

    async def read() -> None:
        async with database.read():
            pass

    monkeypatch.setattr(type(database.engine), "connect", connect)
    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
