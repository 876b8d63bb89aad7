"""Work on many items takes turns."""

import asyncio

import pytest

from rtcc_bridge.turns import limited


async def test_the_results_are_in_the_order_of_the_items_whichever_is_done_first() -> None:
    done = [asyncio.Event() for _ in range(3)]

    async def after_the_next(item: int) -> int:
        if item + 1 < len(done):
            await done[item + 1].wait()
        done[item].set()
        return item * 10

    async with asyncio.timeout(10):
        assert await limited(asyncio.Semaphore(3), after_the_next, [0, 1, 2]) == [0, 10, 20]


async def test_the_first_failure_ends_the_others_and_gives_the_turns_back() -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        if item == 1:
            raise LookupError(item)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    turns = asyncio.Semaphore(2)
    async with asyncio.timeout(10):
        with pytest.raises(LookupError):
            await limited(turns, work, [0, 1, 2])
        assert 0 in ended
        await turns.acquire()
        await turns.acquire()
