"""Keeps the sandboxed workers of this process alive and lends them out: for imminent threats first, then in order."""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextvars import Context
from typing import Any

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from rtcc_bridge.errors import BridgeError, BusyError, UnavailableError
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_process import WorkerLimits, WorkerProcess, WorkerStartError

_log = structlog.get_logger(__name__)

_STOPPING = "the service is shutting down: send the picture again later"


class WorkerSlots:
    """As many places as there are workers. A place is never given up: a worker that cannot be used again is replaced.

    A replacement is tried a few times in a row, then again after a pause; meanwhile callers are refused, not kept.
    """

    def __init__(self, command: Sequence[str], limits: WorkerLimits, metrics: Metrics) -> None:
        self._command = tuple(command)
        self._limits = limits
        self._metrics = metrics
        self._idle: collections.deque[WorkerProcess] = collections.deque()
        self._promised: set[WorkerProcess] = set()
        """Given to somebody who waited and has not run since."""
        self._borrowed: dict[WorkerProcess, asyncio.Timeout] = {}
        self._waiting: dict[Lane, collections.deque[asyncio.Future[WorkerProcess]]] = {
            lane: collections.deque() for lane in (Lane.IMMINENT, Lane.ROUTINE)
        }
        self._starting = 0
        self._last_start_failed = False
        self._starts: set[asyncio.Task[None]] = set()
        self._reaps: set[asyncio.Task[None]] = set()
        self._returned = asyncio.Event()
        self._closing = False
        self._problem = "the picture workers are not started yet"

    @property
    def ready(self) -> bool:
        """Whether a picture sent now would be read: there is a worker, or one that seems able to start."""
        return not self._closing and self._present > 0

    @property
    def problem(self) -> str:
        """Why it is not ready, for a person; empty when it is."""
        return "" if self.ready else self._problem

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The workers that are up, lent out or not."""
        return tuple(worker.pid for worker in (*self._idle, *self._borrowed))

    @property
    def _present(self) -> int:
        # When workers cannot start, a start under way promises nothing.
        expected = 0 if self._last_start_failed else self._starting
        return len(self._idle) + len(self._promised) + len(self._borrowed) + expected

    async def open(self) -> None:
        """Start all workers. ConfigurationError when one refuses, UnavailableError when one does not become ready."""
        self._starting = self._limits.workers
        starts = [self._start() for _ in range(self._limits.workers)]
        outcomes = await asyncio.gather(*starts, return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        if failures:
            await self.close()
            raise failures[0]

    async def close(self) -> None:
        """Stop: who waits is refused, jobs under way fail, no process is left. May be called twice."""
        self._closing, self._problem = True, _STOPPING
        self._refuse_waiting()
        for limit in self._borrowed.values():
            limit.reschedule(asyncio.get_running_loop().time())
        for task in self._starts:
            task.cancel()
        while self._idle:
            self._retire(self._idle.popleft())
        await self._wait_for_borrowers()
        while tasks := [*self._starts, *self._reaps]:
            await asyncio.wait(tasks)

    async def _wait_for_borrowers(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stop_timeout_seconds):
                while self._borrowed:
                    self._returned.clear()
                    await self._returned.wait()
        # A caller whose upload does not end when it is told to keeps nothing alive either.
        for worker in self._borrowed:
            worker.kill()

    @contextlib.asynccontextmanager
    async def borrow(self, lane: Lane) -> AsyncIterator[WorkerProcess]:
        """Lend a worker; it is replaced afterwards unless it says that it is usable.

        Raises BusyError when the lane's queue is full or moves too slowly, UnavailableError without workers or at
        shutdown.
        """
        worker = await self._take(self._waiting[lane])
        self._promised.discard(worker)
        try:
            async with asyncio.timeout(None) as until_close:
                self._borrowed[worker] = until_close
                yield worker
        except TimeoutError:
            if not until_close.expired():
                raise
            raise UnavailableError(_STOPPING) from None
        finally:
            del self._borrowed[worker]
            self._returned.set()
            self._put_back(worker)

    async def _take(self, waiting: collections.deque[asyncio.Future[WorkerProcess]]) -> WorkerProcess:
        while self._idle:
            worker = self._idle.popleft()
            if not worker.ended:
                return worker
            self._replace(worker, "ended")
        if not self.ready:
            raise UnavailableError(self._problem)
        if len(waiting) >= self._limits.max_waiting:
            raise BusyError("too many pictures are waiting to be read: try again shortly", self._limits.timeout_seconds)
        turn: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(self._limits.wait_timeout_seconds):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Lent to a caller that had just been cancelled.
                self._put_back(turn.result())
            if isinstance(error, TimeoutError):
                message = "the pictures before this one take too long: try again later"
                raise BusyError(message, self._limits.timeout_seconds) from None
            raise
        finally:
            if turn in waiting:
                waiting.remove(turn)

    def _put_back(self, worker: WorkerProcess) -> None:
        self._promised.discard(worker)
        if self._closing:
            self._retire(worker)
        elif worker.ended or not worker.usable:
            self._replace(worker, "unusable")
        elif worker.jobs >= self._limits.jobs_per_worker:
            self._replace(worker, "jobs done")
        else:
            self._offer(worker)

    def _offer(self, worker: WorkerProcess) -> None:
        for waiting in self._waiting.values():
            while waiting:
                turn = waiting.popleft()
                if not turn.done():
                    self._promised.add(worker)
                    turn.set_result(worker)
                    return
        self._idle.append(worker)
        if worker.jobs:
            loop = asyncio.get_running_loop()
            loop.call_later(self._limits.rest_seconds, self._end_rest, worker, worker.jobs)

    def _end_rest(self, worker: WorkerProcess, jobs: int) -> None:
        """What a worker has read stays in its memory, so one that nobody needs any more goes with it (P24)."""
        if worker in self._idle and worker.jobs == jobs:
            self._idle.remove(worker)
            self._replace(worker, "rested")

    def _replace(self, worker: WorkerProcess, why: str) -> None:
        _log.info("picture worker replaced", pid=worker.pid, why=why, jobs=worker.jobs)
        self._retire(worker)
        self._begin_start()

    def _retire(self, worker: WorkerProcess) -> None:
        grace_seconds = self._limits.stop_timeout_seconds if worker.usable else 0.0
        _track(self._reaps, worker.stop(grace_seconds))

    def _begin_start(self) -> None:
        # Counted at once, so that the pool stays ready between a worker and its replacement.
        self._starting += 1
        _track(self._starts, self._start_until_it_works())

    async def _start_until_it_works(self) -> None:
        while True:
            try:
                await self._start()
            except BridgeError as error:
                _log.error("picture worker cannot be replaced", problem=str(error))
                if not self.ready:
                    self._refuse_waiting()
            else:
                return
            await asyncio.sleep(self._limits.restart_pause_seconds)
            self._starting += 1

    async def _start(self) -> None:
        """Start one worker, already counted in `_starting`, with a few attempts; raises what the last one raised."""
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._limits.start_attempts),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0),
            retry=retry_if_exception_type(WorkerStartError),
            reraise=True,
        )
        try:
            worker: WorkerProcess = await attempts(self._start_once)
        finally:
            self._starting -= 1
        _log.info("picture worker ready", pid=worker.pid, **worker.report.for_log())
        self._offer(worker)

    async def _start_once(self) -> WorkerProcess:
        try:
            worker = await WorkerProcess.start(self._command, self._limits)
        except BridgeError as error:
            self._last_start_failed, self._problem = True, str(error)
            self._metrics.worker_restarts_total.labels("start").inc()
            raise
        self._last_start_failed = False
        return worker

    def _refuse_waiting(self) -> None:
        for waiting in self._waiting.values():
            while waiting:
                turn = waiting.popleft()
                if not turn.done():
                    turn.set_exception(UnavailableError(self._problem))


def _track(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Run `work` in the background; the set keeps it alive until it is done.

    It belongs to no request, so its log lines do not tell of the one that it began in.
    """
    task = asyncio.create_task(work, context=Context())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
