"""The batcher: when a batch starts, who is in it, and that everyone is answered."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge.matching.batcher import ROUTINE_PATIENCE_BATCHES, Batcher, BatchReport
from rtcc_bridge.matching.errors import BatcherClosedError, InferenceError, QueueFullError
from rtcc_bridge.matching.types import Lane

LONG_SECONDS = 60.0
"""Longer than any test: a batch that starts did so for another reason than this deadline."""


class GatedModel:
    """Doubles numbers, one batch per opened gate, so that a test decides what waits while a batch runs."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._gates = threading.Semaphore(0)
        self._started = asyncio.Semaphore(0)
        self._loop = asyncio.get_running_loop()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self._loop.call_soon_threadsafe(self._started.release)
        assert self._gates.acquire(timeout=20)
        return [2 * item for item in items]

    async def batch_started(self) -> None:
        await asyncio.wait_for(self._started.acquire(), 20)

    def open_gate(self, times: int = 1) -> None:
        self._gates.release(times)


def doubled(items: list[int]) -> list[int]:
    return [2 * item for item in items]


def batcher_of(
    process: Callable[[list[int]], list[int]],
    *,
    size: int = 4,
    wait_seconds: float = 0.0,
    limit: int = 100,
    close_timeout_seconds: float = 20.0,
    on_batch: Callable[[BatchReport], None] | None = None,
) -> Batcher[int, int]:
    return Batcher(
        process,
        max_batch_size=size,
        max_wait_seconds=wait_seconds,
        queue_limit=limit,
        close_timeout_seconds=close_timeout_seconds,
        on_batch=on_batch,
    )


async def queued(batcher: Batcher[int, int], count: int, *calls: Coroutine[Any, Any, int]) -> list[asyncio.Task[int]]:
    """Start these calls in this order; `count` items wait in the batcher then, since submitting queues at once."""
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    assert sum(batcher.waiting(lane) for lane in Lane) == count
    return tasks


async def test_each_caller_gets_its_own_result() -> None:
    async with batcher_of(doubled) as batcher:
        assert await asyncio.gather(*(batcher.submit(item) for item in range(50))) == [2 * i for i in range(50)]


async def test_a_full_batch_starts_without_waiting_for_the_deadline() -> None:
    async with batcher_of(doubled, size=3, wait_seconds=LONG_SECONDS) as batcher:
        assert await asyncio.gather(*(batcher.submit(item) for item in range(3))) == [0, 2, 4]


async def test_a_lone_item_starts_at_the_deadline() -> None:
    async with batcher_of(doubled, size=100, wait_seconds=0.01) as batcher:
        assert await batcher.submit(7) == 14


async def test_items_that_come_within_the_deadline_share_a_batch() -> None:
    reports: list[BatchReport] = []
    async with batcher_of(doubled, size=100, wait_seconds=0.2, on_batch=reports.append) as batcher:
        await asyncio.gather(*(batcher.submit(item) for item in range(5)))
    assert [report.size for report in reports] == [5]


async def test_an_imminent_item_does_not_wait_for_company() -> None:
    async with batcher_of(doubled, size=100, wait_seconds=LONG_SECONDS) as batcher:
        assert await batcher.submit(1, Lane.IMMINENT) == 2


async def test_an_imminent_item_takes_waiting_routine_items_along() -> None:
    reports: list[BatchReport] = []
    async with batcher_of(doubled, size=100, wait_seconds=LONG_SECONDS, on_batch=reports.append) as batcher:
        routine = await queued(batcher, 1, batcher.submit(1))
        assert await batcher.submit(2, Lane.IMMINENT) == 4
        assert await asyncio.gather(*routine) == [2]
    assert [report.lanes for report in reports] == [(Lane.IMMINENT, Lane.ROUTINE)]


async def test_imminent_items_overtake_routine_ones() -> None:
    model = GatedModel()
    async with batcher_of(model, size=2) as batcher:
        first = await queued(batcher, 1, batcher.submit(0))
        await model.batch_started()
        rest = await queued(
            batcher,
            5,
            *(batcher.submit(item) for item in (1, 2, 3)),
            *(batcher.submit(item, Lane.IMMINENT) for item in (10, 11)),
        )
        model.open_gate(10)
        await asyncio.gather(*first, *rest)
    assert model.batches == [[0], [10, 11], [1, 2], [3]]


@pytest.mark.parametrize("size", [1, 3])
async def test_a_flood_of_imminent_items_does_not_starve_a_routine_one(size: int) -> None:
    model = GatedModel()
    flood = range(100, 100 + size * 20)
    async with batcher_of(model, size=size) as batcher:
        first = await queued(batcher, 1, batcher.submit(0, Lane.IMMINENT))
        await model.batch_started()
        calls = [batcher.submit(1), *(batcher.submit(item, Lane.IMMINENT) for item in flood)]
        tasks = await queued(batcher, len(calls), *calls)
        model.open_gate(100)
        await asyncio.gather(*first, *tasks)
    served = next(number for number, batch in enumerate(model.batches) if 1 in batch)
    assert served == ROUTINE_PATIENCE_BATCHES + 1
    assert model.batches[served] == [*range(100 + size * 8, 100 + size * 9 - 1), 1]


async def test_a_full_lane_refuses_at_once_and_leaves_the_other_open() -> None:
    model = GatedModel()
    async with batcher_of(model, size=1, limit=2) as batcher:
        tasks = await queued(batcher, 1, batcher.submit(0))
        await model.batch_started()
        tasks += await queued(batcher, 2, batcher.submit(1), batcher.submit(2))
        with pytest.raises(QueueFullError, match="2 items wait in the routine lane"):
            await batcher.submit(3)
        tasks += await queued(batcher, 3, batcher.submit(4, Lane.IMMINENT))
        model.open_gate(10)
        assert await asyncio.gather(*tasks) == [0, 2, 4, 8]


async def test_a_cancelled_caller_frees_its_place_and_is_not_computed() -> None:
    model = GatedModel()
    async with batcher_of(model, size=4, limit=2) as batcher:
        first = await queued(batcher, 1, batcher.submit(0))
        await model.batch_started()
        stays, leaves = await queued(batcher, 2, batcher.submit(1), batcher.submit(2))
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        (late,) = await queued(batcher, 2, batcher.submit(3))
        model.open_gate(10)
        assert await asyncio.gather(*first, stays, late) == [0, 2, 6]
    assert model.batches == [[0], [1, 3]]


async def test_a_caller_cancelled_in_a_running_batch_does_not_disturb_the_others() -> None:
    model = GatedModel()
    async with batcher_of(model, size=2, wait_seconds=LONG_SECONDS) as batcher:
        leaves, stays = await queued(batcher, 2, batcher.submit(1), batcher.submit(2))
        await model.batch_started()
        leaves.cancel()
        model.open_gate()
        assert await stays == 4
        with pytest.raises(asyncio.CancelledError):
            await leaves


async def test_a_model_that_raises_fails_the_whole_batch_and_only_that() -> None:
    def fragile(items: list[int]) -> list[int]:
        if 13 in items:
            raise MemoryError("out of device memory")
        return doubled(items)

    async with batcher_of(fragile, size=2, wait_seconds=LONG_SECONDS) as batcher:
        outcomes = await asyncio.gather(*(batcher.submit(item) for item in (12, 13, 14, 15)), return_exceptions=True)
    assert outcomes[2:] == [28, 30]
    for error in outcomes[:2]:
        assert isinstance(error, InferenceError)
        assert isinstance(error.__cause__, MemoryError)
        assert "out of device memory" in str(error)
    assert outcomes[0] is not outcomes[1]


@pytest.mark.parametrize("raised", [SystemExit(1), StopIteration(), KeyboardInterrupt()], ids=repr)
async def test_no_kind_of_exception_kills_the_batcher(raised: BaseException) -> None:
    def fragile(items: list[int]) -> list[int]:
        if items == [13]:
            raise raised
        return doubled(items)

    async with batcher_of(fragile) as batcher:
        with pytest.raises(InferenceError):
            await batcher.submit(13)
        assert await batcher.submit(1) == 2


@pytest.mark.parametrize("results", [[], [1, 2]], ids=["too few", "too many"])
async def test_a_wrong_number_of_results_fails_the_batch(results: list[int]) -> None:
    async with batcher_of(lambda _: results) as batcher:
        with pytest.raises(InferenceError, match=f"a batch of 1 gave {len(results)} results"):
            await batcher.submit(1)


async def test_closing_finishes_what_is_queued_without_waiting_for_deadlines() -> None:
    batcher = batcher_of(doubled, size=100, wait_seconds=LONG_SECONDS)
    async with batcher:
        tasks = await queued(batcher, 2, batcher.submit(1), batcher.submit(2))
    assert await asyncio.gather(*tasks) == [2, 4]


async def test_a_closed_batcher_takes_nothing() -> None:
    batcher = batcher_of(doubled)
    with pytest.raises(BatcherClosedError):
        await batcher.submit(1)
    async with batcher:
        pass
    with pytest.raises(BatcherClosedError):
        await batcher.submit(1)
    await batcher.close()


async def test_a_batcher_that_dies_says_so_to_whoever_watches_it() -> None:
    def breaks(_report: BatchReport) -> None:
        raise ValueError("a defect")

    batcher = await batcher_of(doubled, on_batch=breaks).__aenter__()
    with pytest.raises(BatcherClosedError):
        await batcher.submit(1)
    with pytest.raises(ValueError, match="a defect"):
        await batcher.wait()
    assert not batcher.is_open
    with pytest.raises(ValueError, match="a defect"):
        await batcher.close()


async def test_watching_a_batcher_ends_when_it_is_closed() -> None:
    batcher = batcher_of(doubled)
    async with batcher:
        watching = asyncio.create_task(batcher.wait())
        await batcher.submit(1)
        assert not watching.done()
    await watching
    assert not batcher.is_open


async def test_a_batcher_that_was_never_opened_can_be_closed() -> None:
    await batcher_of(doubled).close()


async def test_a_batcher_is_opened_once() -> None:
    async with batcher_of(doubled) as batcher:
        with pytest.raises(RuntimeError, match="once"):
            await batcher.__aenter__()


async def test_closing_while_busy_waits_for_the_running_batch() -> None:
    model = GatedModel()
    batcher = batcher_of(model, size=1)
    await batcher.__aenter__()
    tasks = await queued(batcher, 1, batcher.submit(1))
    await model.batch_started()
    tasks += await queued(batcher, 1, batcher.submit(2))
    closing = asyncio.create_task(batcher.close())
    model.open_gate(2)
    await closing
    assert await asyncio.gather(*tasks) == [2, 4]


async def test_a_model_that_hangs_cannot_keep_anyone_waiting_past_the_closing_limit() -> None:
    model = GatedModel()
    batcher = batcher_of(model, size=1, close_timeout_seconds=0.01)
    await batcher.__aenter__()
    tasks = await queued(batcher, 1, batcher.submit(1))
    await model.batch_started()
    tasks += await queued(batcher, 1, batcher.submit(2))
    await batcher.close()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BatcherClosedError, BatcherClosedError]
    model.open_gate()


async def test_an_observer_that_raises_hangs_nobody_and_is_not_silent() -> None:
    def broken(_: BatchReport) -> None:
        raise LookupError("no such metric")

    batcher = batcher_of(doubled, on_batch=broken)
    await batcher.__aenter__()
    with pytest.raises(BatcherClosedError):
        await batcher.submit(1)
    with pytest.raises(BatcherClosedError):
        await batcher.submit(2)
    with pytest.raises(LookupError, match="no such metric"):
        await batcher.close()


async def test_reports_say_the_size_and_how_long_each_item_waited() -> None:
    reports: list[BatchReport] = []
    model = GatedModel()
    async with batcher_of(model, size=2, on_batch=reports.append) as batcher:
        tasks = await queued(batcher, 1, batcher.submit(1))
        await model.batch_started()
        tasks += await queued(batcher, 2, batcher.submit(2), batcher.submit(3, Lane.IMMINENT))
        model.open_gate(2)
        await asyncio.gather(*tasks)
    assert [report.lanes for report in reports] == [(Lane.ROUTINE,), (Lane.IMMINENT, Lane.ROUTINE)]
    assert [report.size for report in reports] == [1, 2]
    imminent_seconds, routine_seconds = reports[1].wait_seconds
    assert 0 <= imminent_seconds <= routine_seconds


@pytest.mark.parametrize(("size", "limit", "wait_seconds"), [(0, 1, 0.0), (1, 0, 0.0), (1, 1, -1.0)])
async def test_limits_that_make_no_sense_are_refused(size: int, limit: int, wait_seconds: float) -> None:
    with pytest.raises(ValueError, match="at least one"):
        batcher_of(doubled, size=size, limit=limit, wait_seconds=wait_seconds)


STEPS = st.lists(
    st.tuples(st.sampled_from(["routine", "imminent", "cancel", "yield", "poison"]), st.integers(0, 30)), max_size=60
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, size=st.integers(1, 5), limit=st.integers(1, 10), wait_milliseconds=st.sampled_from([0, 1]))
def test_everyone_is_answered_whatever_happens(
    steps: list[tuple[str, int]], size: int, limit: int, wait_milliseconds: int
) -> None:
    asyncio.run(_play(steps, size, limit, wait_milliseconds / 1000))


async def _play(steps: list[tuple[str, int]], size: int, limit: int, wait_seconds: float) -> None:
    poison = 1000
    seen: list[int] = []

    def fragile(items: list[int]) -> list[int]:
        assert 1 <= len(items) <= size
        seen.extend(items)
        if any(item >= poison for item in items):
            raise RuntimeError("poisoned")
        return doubled(items)

    tasks: list[tuple[int, asyncio.Task[int]]] = []
    async with batcher_of(fragile, size=size, limit=limit, wait_seconds=wait_seconds) as batcher:
        for number, (step, argument) in enumerate(steps):
            if step == "cancel" and tasks:
                tasks[argument % len(tasks)][1].cancel()
            elif step == "yield":
                await asyncio.sleep(0)
            elif step != "cancel":
                item = number + (poison if step == "poison" else 0)
                lane = Lane.IMMINENT if step == "imminent" else Lane.ROUTINE
                tasks.append((item, asyncio.create_task(batcher.submit(item, lane))))
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
    for (item, _), outcome in zip(tasks, outcomes, strict=True):
        allowed = (InferenceError, QueueFullError, asyncio.CancelledError)
        assert outcome == 2 * item or isinstance(outcome, allowed)
        if isinstance(outcome, QueueFullError):
            assert item not in seen
    assert len(set(seen)) == len(seen)
