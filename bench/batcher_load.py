"""Arrivals for a batcher, and what came of them."""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from rtcc_bridge.matching.batch_policy import BatchPolicy
from rtcc_bridge.matching.batcher import Batcher, BatchReport
from rtcc_bridge.matching.errors import QueueFullError
from rtcc_bridge.matching.types import Lane
from tests.virtual_time import VirtualTimeLoop

QUEUE = 512
"""As `matching.queue_size`."""
BURST = 8
BURST_GAP_SECONDS = 0.0001
"""As a poll of the broker brings them: some at once, from records that were sent apart."""

Process = Callable[[list[Any]], list[Any]]


@dataclass(frozen=True)
class Outcome:
    """What the items of one run went through, in milliseconds; those of the warming up are not in it.

    other_batch: mean size of the batches that held none of them.
    """

    wait_p50_ms: float
    wait_p99_ms: float
    answer_p50_ms: float
    answer_p99_ms: float
    throughput: float
    mean_batch: float
    other_batch: float
    refused: float


@dataclass
class _Log:
    warm_at: float
    submitted: int = 0
    refused: int = 0
    waits: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    other_sizes: list[int] = field(default_factory=list)
    first_at: float = 0.0
    last_at: float = 0.0

    def outcome(self) -> Outcome:
        waits, answers = (np.round(np.percentile(all_of, [50, 99]) * 1000, 2) for all_of in (self.waits, self.answers))
        return Outcome(
            wait_p50_ms=float(waits[0]),
            wait_p99_ms=float(waits[1]),
            answer_p50_ms=float(answers[0]),
            answer_p99_ms=float(answers[1]),
            throughput=round(len(self.answers) / (self.last_at - self.first_at), 1),
            mean_batch=round(float(np.mean(self.sizes)), 2),
            other_batch=round(float(np.mean(self.other_sizes or [0])), 2),
            refused=round(self.refused / self.submitted, 4),
        )


def arrival_times(rate: float, count: int, *, in_bursts: bool, seed: int) -> list[float]:
    """Poisson arrivals; or bursts of BURST that arrive so."""
    source = random.Random(seed)
    together = BURST if in_bursts else 1
    starts = accumulate(source.expovariate(rate / together) for _ in range(math.ceil(count / together)))
    return sorted(start + place * BURST_GAP_SECONDS for start in starts for place in range(together))[:count]


async def drive(
    process: Process,
    policy: BatchPolicy,
    item: Any,
    times: list[float],
    *,
    warm: int,
    lane: Lane = Lane.ROUTINE,
    beside: int = 0,
) -> Outcome:
    """Submits the item at each of the times and measures. beside: routine items that wait all along in other calls."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    log = _Log(start + times[warm], first_at=start + times[warm])

    def note(report: BatchReport) -> None:
        if loop.time() >= log.warm_at:
            (log.sizes if lane in report.lanes else log.other_sizes).append(report.size)
            log.waits += [wait for each, wait in zip(report.lanes, report.wait_seconds, strict=True) if each is lane]

    async def one() -> None:
        begun = loop.time()
        counted = begun >= log.warm_at
        log.submitted += counted
        try:
            await batcher.submit(item, lane)
        except QueueFullError:
            log.refused += counted
            return
        log.last_at = loop.time()
        if counted:
            log.answers.append(log.last_at - begun)

    async def again_and_again() -> None:
        while True:
            await batcher.submit(item)

    async with Batcher(process, policy=policy, queue_limit=QUEUE, on_batch=note) as batcher:
        crowd = [asyncio.create_task(again_and_again()) for _ in range(beside)]
        async with asyncio.TaskGroup() as group:
            for at in times:
                await asyncio.sleep(start + at - loop.time())
                group.create_task(one())
        for call in crowd:
            call.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
    return log.outcome()


def in_virtual_time(seconds: Callable[[int], float], run: Callable[[Process], Coroutine[Any, Any, Outcome]]) -> Outcome:
    """The run with a model that takes so many seconds for a batch of a size, in no time."""
    loop = VirtualTimeLoop()

    def process(items: list[Any]) -> list[Any]:
        loop.takes(seconds(len(items)))
        return items

    try:
        return loop.run_until_complete(run(process))
    finally:
        loop.close()
