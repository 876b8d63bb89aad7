"""The batcher against a model of it, in virtual time, on a network that fails in every way.

Whatever is submitted, cancelled, waited for and closed, in whichever order: everyone is answered, with what the rules
say. The loop knows when nobody can go on any more, so a caller that hangs is an error and not a test that never ends.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rtcc_bridge.matching.batch_policy import AdaptiveBatches, BatchPolicy
from rtcc_bridge.matching.batcher import ROUTINE_PATIENCE_BATCHES, Batcher
from rtcc_bridge.matching.errors import BatcherClosedError, DeviceError, InferenceError, QueueFullError
from rtcc_bridge.matching.types import Lane
from tests.fixed_window import FixedWindow
from tests.virtual_time import VirtualTimeLoop

BATCH_TIMEOUT_SECONDS = 1000.0
EPSILON = 1e-6


class Fault(Enum):
    """What an item does to the batch that it is in."""

    NONE = auto()
    RAISES = auto()
    RAISES_ONCE = auto()
    DIES = auto()
    ONE_RESULT_LESS = auto()
    HANGS = auto()


RUINOUS = {Fault.RAISES, Fault.DIES, Fault.ONE_RESULT_LESS}


@dataclass(eq=False)
class Item:
    number: int
    lane: Lane
    fault: Fault
    submitted_at: float
    runs: list[int] = field(default_factory=list)
    """The sizes of the batches that it was in."""
    call: asyncio.Task[int] | None = None
    left: bool = False
    refused: bool = False
    hung: bool = False
    """Its batch never came back."""


@dataclass
class Network:
    """Doubles numbers, takes its time, and looks at what it is given as the batcher's rules have it."""

    loop: VirtualTimeLoop
    max_batch_size: int
    max_wait_seconds: float
    fixed_seconds: float
    item_seconds: float
    pending: list[Item] = field(default_factory=list)
    free_at: float = 0.0
    without_routine: int = 0
    is_lost: bool = False
    is_closing: bool = False
    somebody_left: bool = False

    def __call__(self, items: Sequence[Item]) -> list[int]:
        self._look_at(items)
        for item in items:
            item.runs.append(len(items))
            self.pending.remove(item)
        faults = {item.fault for item in items}
        if Fault.HANGS in faults:
            self.is_lost = True
            for item in items:
                item.hung = True
            self.loop.takes(math.inf)
            return []
        seconds = self.fixed_seconds + self.item_seconds * len(items)
        self.loop.takes(seconds)
        self.free_at = self.loop.time() + seconds
        if faults & RUINOUS or any(item.fault is Fault.RAISES_ONCE and len(item.runs) == 1 for item in items):
            self._take_back(items)
        if Fault.DIES in faults:
            raise SystemExit(3)
        if Fault.ONE_RESULT_LESS in faults:
            return [0] * (len(items) - 1)
        if Fault.RAISES in faults or any(item.fault is Fault.RAISES_ONCE and len(item.runs) == 1 for item in items):
            raise MemoryError("out of device memory")
        return [2 * item.number for item in items]

    def _take_back(self, items: Sequence[Item]) -> None:
        """Those that ran for the first time run again, before the others."""
        self.pending[:0] = [item for item in items if len(item.runs) == 1]

    def _look_at(self, items: Sequence[Item]) -> None:
        now = self.loop.time()
        assert not self.is_lost, "nothing runs on what hangs"
        assert now >= self.free_at - EPSILON, "one batch at a time"
        assert 1 <= len(items) <= self.max_batch_size
        assert not any(item.left for item in items), "who left is not computed"
        for item in items:
            assert len(item.runs) <= 1
            assert not item.runs or len(items) == 1, "the second run is alone"
        for lane in Lane:
            of_lane = [item for item in self.pending if item.lane is lane]
            taken = [item for item in items if item.lane is lane]
            assert taken == of_lane[: len(taken)], "each lane in its order"
        self._look_at_lanes(items)
        self._look_at_the_wait(items, now)

    def _look_at_lanes(self, items: Sequence[Item]) -> None:
        routine = [item for item in items if item.lane is Lane.ROUTINE]
        passed_over = [item for item in self.pending if item.lane is Lane.IMMINENT and item not in items]
        waits = any(item.lane is Lane.ROUTINE and item not in items for item in self.pending)
        if routine and passed_over and not self.somebody_left:
            assert len(routine) == 1, "imminent before routine, but for the one place"
            assert self.without_routine >= ROUTINE_PATIENCE_BATCHES
        self.without_routine = self.without_routine + 1 if waits and not routine else 0
        assert self.without_routine <= ROUTINE_PATIENCE_BATCHES, "nobody is starved"

    def _look_at_the_wait(self, items: Sequence[Item], now: float) -> None:
        if any(item.runs for item in items) or any(item.lane is Lane.IMMINENT for item in items) or self.is_closing:
            return
        oldest_at = min(item.submitted_at for item in items)
        assert now <= max(self.free_at, oldest_at + self.max_wait_seconds) + EPSILON, "the deadline holds"


class BatcherMachine(RuleBasedStateMachine):
    """Rules act, time passes, and at the end everybody's answer is judged."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.items: list[Item] = []
        self.is_open = False

    @initialize(
        size=st.integers(1, 5),
        limit=st.integers(1, 6),
        adaptive=st.booleans(),
        wait_seconds=st.sampled_from([0.0, 0.5, 5.0]),
        costs=st.sampled_from([(3.0, 0.1), (0.0, 1.0), (0.01, 0.001)]),
    )
    def open(self, size: int, limit: int, adaptive: bool, wait_seconds: float, costs: tuple[float, float]) -> None:
        policy: BatchPolicy = AdaptiveBatches(size, wait_seconds) if adaptive else FixedWindow(size, wait_seconds)
        self.limit = limit
        self.network = Network(self.loop, size, wait_seconds, *costs)
        self.batcher: Batcher[Item, int] = Batcher(
            self.network,
            policy=policy,
            queue_limit=limit,
            batch_timeout_seconds=BATCH_TIMEOUT_SECONDS,
            close_timeout_seconds=10 * BATCH_TIMEOUT_SECONDS,
        )
        self.loop.run_until_complete(self.batcher.__aenter__())
        self.is_open = True

    @precondition(lambda self: self.is_open)
    @rule(
        lane=st.sampled_from(Lane),
        faults=st.lists(st.sampled_from([*[Fault.NONE] * 12, *list(Fault)[1:-1]]), min_size=1, max_size=8),
        at_once=st.booleans(),
    )
    def submit(self, lane: Lane, faults: list[Fault], at_once: bool) -> None:
        for fault in faults:
            self._submit(lane, fault)
            if not at_once:
                self.pass_time(0.3)
        self.pass_time(0.0)

    @precondition(lambda self: self.is_open)
    @rule(lane=st.sampled_from(Lane), dice=st.integers(0, 9))
    def submit_what_hangs(self, lane: Lane, dice: int) -> None:
        if dice == 0:
            self._submit(lane, Fault.HANGS)
            self.pass_time(0.0)

    @precondition(lambda self: self.items)
    @rule(which=st.integers(0, 100))
    def cancel(self, which: int) -> None:
        item = self.items[which % len(self.items)]
        assert item.call is not None
        if item.call.cancel():
            item.left = self.network.somebody_left = True
            if item in self.network.pending:
                self.network.pending.remove(item)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @precondition(lambda self: self.is_open)
    @rule(dice=st.integers(0, 9))
    def close(self, dice: int) -> None:
        if dice == 0:
            self._close()

    @invariant()
    def queues_are_bounded(self) -> None:
        """What is run again comes on top of the limit: a batch at most."""
        if self.is_open:
            for lane in Lane:
                assert self.batcher.waiting(lane) <= self.limit + self.network.max_batch_size

    def teardown(self) -> None:
        try:
            if self.is_open:
                self._close()
            calls = [item.call for item in self.items if item.call is not None]
            if calls:
                self.loop.run_until_complete(asyncio.wait(calls))
            for item in self.items:
                self._judge(item)
        finally:
            self.loop.close()

    def _submit(self, lane: Lane, fault: Fault) -> None:
        item = Item(len(self.items), lane, fault, self.loop.time())
        self.items.append(item)
        item.call = self.loop.create_task(self._call(item))

    async def _call(self, item: Item) -> int:
        item.refused = self.batcher.waiting(item.lane) >= self.limit
        if not item.refused and self.batcher.is_open:
            self.network.pending.append(item)
        return await self.batcher.submit(item, item.lane)

    def _close(self) -> None:
        self.is_open = False
        self.network.is_closing = True
        if self.network.is_lost or any(self._will_hang(item) for item in self.items):
            with pytest.raises(DeviceError):
                self.loop.run_until_complete(self.batcher.close())
        else:
            self.loop.run_until_complete(self.batcher.close())

    @staticmethod
    def _will_hang(item: Item) -> bool:
        return item.fault is Fault.HANGS and not item.left and not item.refused

    def _judge(self, item: Item) -> None:
        assert item.call is not None
        assert item.call.done(), "everyone is answered"
        if item.call.cancelled():
            assert item.left
            return
        error = item.call.exception()
        if isinstance(error, BatcherClosedError):
            assert self.network.is_lost, "what was submitted before closing is finished, unless the device is lost"
            assert item.fault is not Fault.HANGS or not item.runs, "it is not for another matcher to hang on"
        elif isinstance(error, QueueFullError):
            assert item.refused
            assert not item.runs
        elif item.hung:
            assert isinstance(error, InferenceError)
        elif item.fault in RUINOUS:
            assert isinstance(error, InferenceError)
            assert item.runs[-1] == 1
            assert len(item.runs) == 2
        else:
            assert error is None
            assert item.call.result() == 2 * item.number


BatcherMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestBatcher = BatcherMachine.TestCase
