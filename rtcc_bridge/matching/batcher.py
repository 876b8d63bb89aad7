"""Batches work across requests: one batch at a time, and everyone is answered."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from rtcc_bridge.matching.batch_policy import BatchPolicy
from rtcc_bridge.matching.errors import BatcherClosedError, DeviceError, InferenceError, QueueFullError
from rtcc_bridge.matching.types import Lane

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

ROUTINE_PATIENCE_BATCHES = 8
"""After so many batches in a row that held no routine item while one waited, the next keeps a place for it."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What was batched: of each item the lane, how long it waited from being submitted until its batch started, and the
    context variables of who submitted it."""

    lanes: tuple[Lane, ...]
    wait_seconds: tuple[float, ...]
    contexts: tuple[Context, ...]

    @property
    def size(self) -> int:
        return len(self.lanes)


@dataclass(slots=True, eq=False)
class _Waiter(Generic[ItemT, ResultT]):
    """alone: its batch failed, so that it runs once more, in a batch of its own."""

    item: ItemT
    lane: Lane
    submitted_at: float
    result: asyncio.Future[ResultT]
    context: Context
    alone: bool = False


class Batcher(Generic[ItemT, ResultT]):
    """Gathers items from many callers and hands them to `process` in batches, one batch at a time.

    When a batch starts: at once when an imminent item waits, since a threat does not wait for company; when as many
    wait as the policy lets a batch hold; or when the policy expects nobody for whom it would pay to wait. While a batch
    runs, items gather for the next one.

    Who is in it: imminent items first, each lane in the order of submission, and as many routine ones as the policy
    lets join them. So that a flood of threats cannot starve the routine lane, one place of a batch goes to the oldest
    routine item after ROUTINE_PATIENCE_BATCHES batches that had none: with batches of one, every ninth at most.

    When `process` raises, or gives the wrong number of results, each item of the batch runs once more, alone and before
    the others of its lane: one that breaks the model fails by itself, whoever was beside it, and an error that passes
    costs nobody the answer. A failed batch of n costs n more batches of one at most, between which imminent items take
    their turn. When `process` does not return at all its thread is lost, and maybe the device: the batcher ends, and
    its owner has to end or to replace what the model runs on.

    Every waiter is answered, whatever happens: with its result, QueueFullError, InferenceError or BatcherClosedError.
    An async context manager; leaving it finishes what is queued.
    """

    def __init__(
        self,
        process: Callable[[list[ItemT]], Sequence[ResultT]],
        *,
        policy: BatchPolicy,
        queue_limit: int,
        batch_timeout_seconds: float = 30.0,
        close_timeout_seconds: float = 30.0,
        on_batch: Callable[[BatchReport], None] | None = None,
        around_batch: Callable[[BatchReport], AbstractContextManager[None]] | None = None,
    ) -> None:
        """process: runs in this batcher's own thread, one call at a time; gives one result per item, in their order.

        queue_limit: items that may wait in each lane, so that a full routine lane takes nothing from the imminent one.
        batch_timeout_seconds: a call of `process` that takes longer never returns, as far as this batcher is concerned.
        close_timeout_seconds: how long closing waits for what is queued and running. on_batch: called on the event
        loop when a batch starts; it must not block or raise. around_batch: entered in the thread, around `process`.
        """
        if queue_limit < 1:
            raise ValueError("a queue holds at least one item")
        self._process = process
        self._policy = policy
        self._queue_limit = queue_limit
        self._batch_timeout_seconds = batch_timeout_seconds
        self._close_timeout_seconds = close_timeout_seconds
        self._on_batch = on_batch
        self._around_batch = around_batch
        self._queues: dict[Lane, deque[_Waiter[ItemT, ResultT]]] = {lane: deque() for lane in Lane}
        self._running: list[_Waiter[ItemT, ResultT]] = []
        self._batches_without_routine = 0
        self._changed = asyncio.Event()
        self._closing = False
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="batcher")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise RuntimeError("a batcher is opened once")
        self._task = asyncio.create_task(self._run(), name="batcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_open(self) -> bool:
        """Whether items are worked on."""
        return self._task is not None and not self._closing and not self._task.done()

    async def wait(self) -> None:
        """Returns when the batcher has closed. Raises what made it die: DeviceError when `process` did not return."""
        assert self._task is not None
        await asyncio.shield(self._task)

    def waiting(self, lane: Lane) -> int:
        """Items of this lane that wait for a batch."""
        return len(self._queues[lane])

    async def submit(self, item: ItemT, lane: Lane = Lane.ROUTINE) -> ResultT:
        """The item's result. Cancelling the call takes the item out of the queue; in a running batch it is computed
        and thrown away.

        QueueFullError at once when the lane is full: try again later. InferenceError: `process` raised (the cause is
        chained) or gave the wrong number of results, the second time for this item alone; or it did not return.
        BatcherClosedError: the batcher is closed, or was before the item's turn.
        """
        if not self.is_open:
            raise BatcherClosedError("the batcher is not open: nothing is taken on any more")
        queue = self._queues[lane]
        if len(queue) >= self._queue_limit:
            raise QueueFullError(f"{len(queue)} items wait in the {lane} lane already; try again later")
        loop = asyncio.get_running_loop()
        waiter: _Waiter[ItemT, ResultT] = _Waiter(item, lane, loop.time(), loop.create_future(), copy_context())
        queue.append(waiter)
        if lane is Lane.ROUTINE:
            self._policy.arrived(waiter.submitted_at)
        self._changed.set()
        try:
            return await waiter.result
        except asyncio.CancelledError:
            if waiter in queue:
                queue.remove(waiter)
            raise

    async def aside(self, work: Callable[[], None]) -> None:
        """Runs `work` in the thread in which `process` runs, between two batches; does nothing once it is closed."""
        if self.is_open:
            await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def close(self) -> None:
        """Take nothing more, finish what is queued, answer everyone. Waits at most `close_timeout_seconds`; who is left
        then gets BatcherClosedError, and a `process` that hangs keeps its thread until it returns.

        Raises what made the batcher die, if it did. Closing twice is closing once.
        """
        self._closing = True
        self._changed.set()
        task = self._task
        if task is None:
            self._executor.shutdown(wait=False)
            return
        try:
            await asyncio.wait({task}, timeout=self._close_timeout_seconds)
        finally:
            task.cancel()
            self._fail_all()
            self._executor.shutdown(wait=False, cancel_futures=True)
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()):
            raise error

    async def _run(self) -> None:
        try:
            while await self._batch_is_due():
                await self._run_batch(self._take_batch())
        finally:
            self._fail_all()

    async def _batch_is_due(self) -> bool:
        """Waits until a batch has to start: True; or until the batcher closes with nothing left: False."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            remaining = self._seconds_until_due(loop.time())
            if remaining is None and self._closing:
                return False
            if remaining is not None and remaining <= 0:
                return True
            with suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await self._changed.wait()

    def _seconds_until_due(self, now: float) -> float | None:
        """None when nothing waits."""
        imminent, routine = self._queues[Lane.IMMINENT], self._queues[Lane.ROUTINE]
        if not (imminent or routine):
            return None
        if imminent or self._closing or routine[0].alone or len(routine) >= self._policy.size(len(routine)):
            return 0.0
        return self._policy.start_at(len(routine), routine[0].submitted_at, now) - now

    def _take_batch(self) -> list[_Waiter[ItemT, ResultT]]:
        imminent, routine = self._queues[Lane.IMMINENT], self._queues[Lane.ROUTINE]
        limit = self._policy.size(len(imminent) + len(routine))
        kept = 1 if routine and self._batches_without_routine >= ROUTINE_PATIENCE_BATCHES else 0
        if kept and (routine[0].alone or (imminent and imminent[0].alone)):
            batch = _pop(routine, 1)
        else:
            batch = _pop(imminent, limit - kept)
            joining = max(kept, self._policy.company(len(batch))) if batch else limit
            batch += _pop(routine, min(joining, limit - len(batch)), beside=batch)
        has_routine = batch[-1].lane is Lane.ROUTINE
        self._batches_without_routine = self._batches_without_routine + 1 if routine and not has_routine else 0
        return batch

    async def _run_batch(self, batch: list[_Waiter[ItemT, ResultT]]) -> None:
        batch = [waiter for waiter in batch if not waiter.result.done()]
        if not batch:
            return
        self._running = batch
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        report = BatchReport(
            tuple(waiter.lane for waiter in batch),
            tuple(started_at - waiter.submitted_at for waiter in batch),
            tuple(waiter.context for waiter in batch),
        )
        if self._on_batch is not None:
            self._on_batch(report)
        try:
            async with asyncio.timeout(self._batch_timeout_seconds):
                results = await loop.run_in_executor(
                    self._executor, self._call, [waiter.item for waiter in batch], report
                )
        except InferenceError as error:
            self._take_back(batch, error)
        except TimeoutError:
            message = f"a batch of {len(batch)} gave no answer within {self._batch_timeout_seconds:g} s"
            for waiter in batch:
                _fail(waiter, InferenceError(message), None)
            raise DeviceError(f"{message}: the model, or what it runs on, hangs") from None
        else:
            self._policy.ran(len(batch), loop.time() - started_at)
            for waiter, result in zip(batch, results, strict=True):
                if not waiter.result.done():
                    waiter.result.set_result(result)
        self._running = []

    def _take_back(self, batch: list[_Waiter[ItemT, ResultT]], error: InferenceError) -> None:
        """Of a batch that failed: who was alone has failed, the others run again, each alone."""
        for waiter in reversed(batch):
            if waiter.alone:
                _fail(waiter, InferenceError(str(error)), error.__cause__)
            elif not waiter.result.done():
                waiter.alone = True
                self._queues[waiter.lane].appendleft(waiter)

    def _call(self, items: list[ItemT], report: BatchReport) -> list[ResultT]:
        """Runs in the thread. Whatever a model raises has to reach the waiters, so everything is caught here."""
        try:
            with nullcontext() if self._around_batch is None else self._around_batch(report):
                results = list(self._process(items))
        except BaseException as error:
            raise InferenceError(f"a batch of {len(items)} failed: {error}") from error
        if len(results) != len(items):
            raise InferenceError(f"a batch of {len(items)} gave {len(results)} results")
        return results

    def _fail_all(self) -> None:
        waiting = [waiter for queue in self._queues.values() for waiter in queue]
        for waiter in [*self._running, *waiting]:
            _fail(waiter, BatcherClosedError("the batcher closed before this item was finished"), None)
        for queue in self._queues.values():
            queue.clear()


def _pop(
    queue: deque[_Waiter[ItemT, ResultT]], count: int, beside: Sequence[_Waiter[ItemT, ResultT]] = ()
) -> list[_Waiter[ItemT, ResultT]]:
    """Takes the first `count`, as far as they may share a batch with each other and with those in `beside`."""
    taken: list[_Waiter[ItemT, ResultT]] = []
    while queue and len(taken) < count:
        others = beside or taken
        if others and (queue[0].alone or others[0].alone):
            break
        taken.append(queue.popleft())
    return taken


def _fail(waiter: _Waiter[ItemT, ResultT], error: Exception, cause: BaseException | None) -> None:
    """Each waiter gets an exception of its own: a raised exception collects the traceback of who raises it."""
    if not waiter.result.done():
        error.__cause__ = cause
        waiter.result.set_exception(error)
