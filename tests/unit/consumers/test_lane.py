"""The work of one topic: order, window, batches, giving up."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from rtcc_bridge.consumers.lane import BatchLane, TopicLane, WindowLane
from rtcc_bridge.consumers.records import ConsumedRecord

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LARGE = b"x" * 1_000_000


def records(partition: int, *keyed: tuple[int, bytes | None], value: bytes = b"") -> list[ConsumedRecord]:
    return [ConsumedRecord("topic", partition, offset, key, value, (), NOW) for offset, key in keyed]


def unkeyed(partition: int, count: int, value: bytes = b"") -> list[ConsumedRecord]:
    return records(partition, *((offset, None) for offset in range(count)), value=value)


async def settle(condition: Callable[[], bool]) -> None:
    """Lets every task run until it has to wait, and then until the condition holds: a small batch gathers first."""
    for _ in range(30):
        await asyncio.sleep(0)
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    assert condition()


def wants_more(lane: TopicLane) -> bool:
    """What the property says now; a type checker takes it for a constant."""
    return lane.wants_more


class Work:
    """Finishes a record when the test says so."""

    def __init__(self, *, window: int = 100) -> None:
        self.started: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []
        self.gates: dict[tuple[int, int], asyncio.Event] = {}
        self.lane: TopicLane = WindowLane("topic", window=window, finish=self._finish)

    async def _finish(self, record: ConsumedRecord) -> None:
        place = (record.partition, record.offset)
        self.started.append(place)
        await self.gates.setdefault(place, asyncio.Event()).wait()
        self.ended.append(place)

    def hand_over(self) -> None:
        self.lane.hand_over(lambda _task: self.hand_over())

    async def finish(self, partition: int, *offsets: int) -> None:
        for offset in offsets:
            self.gates.setdefault((partition, offset), asyncio.Event()).set()
        await settle(lambda: all((partition, offset) in self.ended for offset in offsets))


class Batches:
    """Finishes a batch when the test says so."""

    def __init__(self, *, limit: int = 100, window: int = 100) -> None:
        self.started: list[list[tuple[int, int]]] = []
        self.release = asyncio.Event()
        self.error: Exception | None = None
        self.errors: list[BaseException] = []
        self.lane = BatchLane("topic", limit=limit, window=window, finish=self._finish)

    async def _finish(self, batch: Sequence[ConsumedRecord]) -> None:
        self.started.append([(record.partition, record.offset) for record in batch])
        await self.release.wait()
        if self.error is not None:
            raise self.error

    def hand_over(self) -> None:
        self.lane.hand_over(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append(error)
            return
        self.hand_over()


async def test_records_start_at_once_whatever_their_key() -> None:
    work = Work()
    work.lane.open(0)
    work.lane.deliver(0, records(0, (1, b"a"), (2, b"a")))
    work.hand_over()
    await settle(lambda: len(work.started) == 2)
    await work.finish(0, 1, 2)


async def test_the_window_is_shared_fairly_and_never_passed() -> None:
    work = Work(window=4)
    for partition in (0, 1):
        work.lane.open(partition)
        work.lane.deliver(partition, unkeyed(partition, 5))
    work.hand_over()
    await settle(lambda: len(work.started) == 4)
    assert sorted(work.started) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert not work.lane.wants_more
    await work.finish(0, 0)
    assert len(work.started) == 5
    for partition in (0, 1):
        await work.finish(partition, *range(5))
    assert work.lane.wants_more


async def test_a_paused_topic_starts_nothing_more() -> None:
    work = Work(window=1)
    work.lane.open(0)
    work.lane.deliver(0, records(0, (1, None), (2, None)))
    work.hand_over()
    work.lane.paused = True
    await work.finish(0, 1)
    assert work.started == [(0, 1)]
    assert not work.lane.wants_more
    work.lane.paused = False
    work.hand_over()
    await work.finish(0, 2)


async def test_giving_a_partition_up_drops_what_waits_and_finishes_what_is_in_work() -> None:
    work = Work(window=2)
    work.lane.open(0)
    work.lane.deliver(0, records(0, (1, None), (2, None), (3, None)))
    work.hand_over()
    await settle(lambda: len(work.started) == 2)
    closing = asyncio.create_task(work.lane.close([0], 5))
    await work.finish(0, 1, 2)
    (closed,) = await closing
    assert closed.offsets.committable == 3
    assert work.started == [(0, 1), (0, 2)]
    assert work.lane.partitions == {}


async def test_a_batch_holds_what_waits_of_all_partitions_and_the_next_waits_for_its_end() -> None:
    batches = Batches()
    for partition in (0, 1):
        batches.lane.open(partition)
    batches.lane.deliver(0, records(0, (1, b"a")))
    batches.hand_over()
    await settle(lambda: batches.started == [[(0, 1)]])
    batches.lane.deliver(0, records(0, (2, b"a"), (3, b"b")))
    batches.lane.deliver(1, records(1, (7, b"c")))
    batches.hand_over()
    await settle(lambda: len(batches.started) == 1)
    batches.release.set()
    await settle(lambda: len(batches.started) == 2)
    assert batches.started[1] == [(0, 2), (1, 7), (0, 3)]
    committable = {number: work.offsets.committable for number, work in batches.lane.partitions.items()}
    assert committable == {0: 4, 1: 8}


async def test_a_batch_holds_no_more_than_its_limit_and_one_more_may_wait() -> None:
    batches = Batches(limit=4, window=4)
    batches.lane.open(0)
    batches.lane.deliver(0, unkeyed(0, 8))
    batches.hand_over()
    await settle(lambda: batches.started == [[(0, offset) for offset in range(4)]])
    assert wants_more(batches.lane)
    batches.lane.deliver(0, records(0, (8, None)))
    assert not wants_more(batches.lane)
    batches.release.set()
    await settle(lambda: [len(batch) for batch in batches.started] == [4, 4, 1])
    assert batches.lane.wants_more


async def test_the_first_record_begins_at_once_and_what_follows_it_gathers() -> None:
    batches = Batches(limit=3)
    batches.release.set()
    batches.lane.open(0)
    for offset in range(3):
        batches.lane.deliver(0, records(0, (offset, None)))
        batches.hand_over()
        await settle(lambda: batches.started[:1] == [[(0, 0)]])
    assert len(batches.started) == 1
    await settle(lambda: batches.started == [[(0, 0)], [(0, 1), (0, 2)]])


async def test_a_full_batch_gathers_no_longer() -> None:
    batches = Batches(limit=2)
    batches.release.set()
    batches.lane.open(0)
    batches.lane.deliver(0, records(0, (0, None)))
    batches.hand_over()
    batches.lane.deliver(0, records(0, (1, None), (2, None)))
    for _ in range(30):
        await asyncio.sleep(0)
    assert batches.started == [[(0, 0)], [(0, 1), (0, 2)]]


async def test_large_records_go_in_small_batches_and_few_of_them_wait() -> None:
    batches = Batches(limit=100)
    batches.lane.open(0)
    batches.lane.deliver(0, unkeyed(0, 20, value=LARGE))
    assert not wants_more(batches.lane), "too many bytes wait, though few records"
    batches.hand_over()
    await settle(lambda: [len(batch) for batch in batches.started] == [4])
    assert wants_more(batches.lane)
    batches.release.set()
    await settle(lambda: [len(batch) for batch in batches.started] == [4] * 5)


async def test_a_batch_that_is_cancelled_for_one_partition_is_done_anew_for_the_others() -> None:
    batches = Batches(limit=2)
    for partition in (0, 1):
        batches.lane.open(partition)
        batches.lane.deliver(partition, unkeyed(partition, 2))
    batches.hand_over()
    await settle(lambda: batches.started == [[(0, 0), (1, 0)]])
    (closed,) = await batches.lane.close([0], 0.01)
    assert closed.offsets.committable is None
    batches.release.set()
    await settle(lambda: batches.started[1:] == [[(1, 0), (1, 1)]])
    assert batches.lane.partitions[1].offsets.committable == 2


async def test_a_batch_that_failed_for_good_is_not_finished() -> None:
    batches = Batches()
    batches.error = RuntimeError("unsafe")
    batches.lane.open(0)
    batches.lane.deliver(0, unkeyed(0, 3))
    batches.hand_over()
    batches.release.set()
    await settle(lambda: [str(error) for error in batches.errors] == ["unsafe"])
    (closed,) = await batches.lane.close([0], 5)
    assert closed.offsets.committable is None


async def test_more_records_may_wait_than_a_batch_takes() -> None:
    """So that the next batch is there when one has ended, and the broker need not be asked for it then."""
    batches = Batches(limit=2, window=5)
    batches.lane.open(0)
    batches.lane.deliver(0, unkeyed(0, 7))
    batches.hand_over()
    await settle(lambda: batches.started == [[(0, 0), (0, 1)]])
    assert wants_more(batches.lane)
    batches.lane.deliver(0, unkeyed(0, 8)[7:])
    assert not wants_more(batches.lane)
    batches.release.set()
    await settle(lambda: batches.started[1:] == [[(0, 2), (0, 3)], [(0, 4), (0, 5)], [(0, 6), (0, 7)]])
