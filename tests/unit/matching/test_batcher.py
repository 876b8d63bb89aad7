"""The batcher: when a batch starts, who is in it, and that everyone is answered."""

import asyncio
import math
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rtcc_bridge.matching.batcher import ROUTINE_PATIENCE_BATCHES, Batcher, BatchReport
from rtcc_bridge.matching.errors import BatcherClosedError, DeviceError, InferenceError, QueueFullError
from rtcc_bridge.matching.types import Lane
from tests.fixed_window import FixedWindow
from tests.virtual_time import VirtualTimeLoop

LONG_SECONDS = 60.0
"""Longer than any test: a batch that starts did so for another reason than this deadline."""


class GatedModel:
    """Doubles numbers, one batch per opened gate, so that a test decides what waits while a batch runs.

    poison: a number that it fails on.
    """

    def __init__(self, poison: int | None = None) -> None:
        self.batches: list[list[int]] = []
        self._poison = poison
        self._gates = threading.Semaphore(0)
        self._started = asyncio.Semaphore(0)
        self._loop = asyncio.get_running_loop()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self._loop.call_soon_threadsafe(self._started.release)
        assert self._gates.acquire(timeout=20)
        if self._poison in items:
            raise ValueError("poisoned")
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
    batch_timeout_seconds: float = 60.0,
    close_timeout_seconds: float = 20.0,
    on_batch: Callable[[BatchReport], None] | None = None,
) -> Batcher[int, int]:
    return Batcher(
        process,
        policy=FixedWindow(size, wait_seconds),
        queue_limit=limit,
        batch_timeout_seconds=batch_timeout_seconds,
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


async def test_a_model_that_goes_on_raising_fails_everyone_after_a_second_run_alone() -> None:
    batches: list[list[int]] = []

    def broken(items: list[int]) -> list[int]:
        batches.append(items)
        raise MemoryError("out of device memory")

    async with batcher_of(broken, size=2, wait_seconds=LONG_SECONDS) as batcher:
        outcomes = await asyncio.gather(batcher.submit(12), batcher.submit(13), return_exceptions=True)
    assert batches == [[12, 13], [12], [13]]
    for error in outcomes:
        assert isinstance(error, InferenceError)
        assert isinstance(error.__cause__, MemoryError)
        assert "out of device memory" in str(error)
    assert outcomes[0] is not outcomes[1]


async def test_a_poisoned_item_fails_alone() -> None:
    batches: list[list[int]] = []

    def fragile(items: list[int]) -> list[int]:
        batches.append(items)
        if 13 in items:
            raise ValueError("the landmarks coincide")
        return doubled(items)

    async with batcher_of(fragile, size=4, wait_seconds=LONG_SECONDS) as batcher:
        outcomes = await asyncio.gather(*(batcher.submit(item) for item in (11, 12, 13, 14)), return_exceptions=True)
        assert await asyncio.gather(*(batcher.submit(item) for item in (1, 2, 3, 4))) == [2, 4, 6, 8]
    assert [outcomes[0], outcomes[1], outcomes[3]] == [22, 24, 28]
    assert isinstance(outcomes[2], InferenceError)
    assert batches == [[11, 12, 13, 14], [11], [12], [13], [14], [1, 2, 3, 4]]


async def test_an_error_that_passes_costs_nobody_the_answer() -> None:
    raised: list[int] = []

    def shaken(items: list[int]) -> list[int]:
        if not raised:
            raised.extend(items)
            raise RuntimeError("the device was reset")
        return doubled(items)

    async with batcher_of(shaken, size=3, wait_seconds=LONG_SECONDS) as batcher:
        assert await asyncio.gather(*(batcher.submit(item) for item in (1, 2, 3))) == [2, 4, 6]
        raised.clear()
        assert await batcher.submit(4, Lane.IMMINENT) == 8


async def test_second_runs_give_way_to_imminent_items_and_are_not_starved_by_them() -> None:
    model = GatedModel(poison=1)
    async with batcher_of(model, size=2, wait_seconds=LONG_SECONDS) as batcher:
        failing = await queued(batcher, 2, batcher.submit(1), batcher.submit(2))
        await model.batch_started()
        threats = await queued(batcher, 20, *(batcher.submit(item, Lane.IMMINENT) for item in range(10, 30)))
        model.open_gate(100)
        outcomes = await asyncio.gather(*failing, *threats, return_exceptions=True)
    patience = ROUTINE_PATIENCE_BATCHES
    assert model.batches[: patience + 2] == [[1, 2], *([10 + 2 * i, 11 + 2 * i] for i in range(patience)), [1]]
    assert isinstance(outcomes[0], InferenceError)
    assert outcomes[1:] == [4, *(2 * item for item in range(10, 30))]


async def test_a_caller_that_left_meanwhile_is_not_run_a_second_time() -> None:
    model = GatedModel(poison=1)
    async with batcher_of(model, size=2, wait_seconds=LONG_SECONDS) as batcher:
        leaves, stays = await queued(batcher, 2, batcher.submit(2), batcher.submit(1))
        await model.batch_started()
        leaves.cancel()
        model.open_gate(10)
        with pytest.raises(InferenceError):
            await stays
    assert model.batches == [[2, 1], [1]]


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


def test_a_model_that_does_not_return_ends_the_batcher_and_leaves_nobody_waiting() -> None:
    """In virtual time, in which half a minute is over at once and a wait without end is an error."""
    loop = VirtualTimeLoop()

    def hangs(items: list[int]) -> list[int]:
        loop.takes(math.inf)
        return items

    async def play() -> tuple[int | BaseException, ...]:
        batcher = await batcher_of(hangs, size=1, batch_timeout_seconds=30.0).__aenter__()
        first, second = await queued(batcher, 2, batcher.submit(1), batcher.submit(2, Lane.IMMINENT))
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        assert loop.time() == pytest.approx(30.0)
        with pytest.raises(DeviceError, match=r"no answer within 30 s: the model, or what it runs on, hangs"):
            await batcher.wait()
        assert not batcher.is_open
        with pytest.raises(BatcherClosedError):
            await batcher.submit(3)
        with pytest.raises(DeviceError):
            await batcher.close()
        return outcomes

    waited_for_turn, hung = loop.run_until_complete(play())
    loop.close()
    assert isinstance(hung, InferenceError), "it may be the reason, and is not run again"
    assert isinstance(waited_for_turn, BatcherClosedError), "another matcher may take it"


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


def test_a_queue_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        batcher_of(doubled, limit=0)
