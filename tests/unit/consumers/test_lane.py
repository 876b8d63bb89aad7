"""The work of one topic: order, window, giving up."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from rtcc_bridge.consumers.lane import TopicLane
from rtcc_bridge.consumers.records import ConsumedRecord

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def records(partition: int, *keyed: tuple[int, bytes | None]) -> list[ConsumedRecord]:
    return [ConsumedRecord("topic", partition, offset, key, b"", (), NOW) for offset, key in keyed]


class Work:
    """Finishes a record when the test says so."""

    def __init__(self, *, ordered: bool = False, window: int = 100) -> None:
        self.started: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []
        self.gates: dict[tuple[int, int], asyncio.Event] = {}
        self.lane = TopicLane("topic", ordered=ordered, window=window, finish=self._finish)

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
        await self.settle(lambda: all((partition, offset) in self.ended for offset in offsets))

    async def settle(self, condition: Callable[[], bool]) -> None:
        """Lets every task run until it has to wait, and checks that this brought the condition about."""
        for _ in range(30):
            await asyncio.sleep(0)
        assert condition()


async def test_records_of_one_key_wait_for_each_other_and_others_do_not() -> None:
    work = Work(ordered=True)
    work.lane.open(0)
    work.lane.deliver(0, records(0, (1, b"a"), (2, b"a"), (3, b"b"), (4, None), (5, None)))
    work.hand_over()
    await work.settle(lambda: len(work.started) == 3)
    assert work.started == [(0, 1), (0, 3), (0, 4)]
    await work.finish(0, 1)
    assert (0, 2) in work.started
    await work.finish(0, 2, 3, 4, 5)
    assert work.lane.partitions[0].offsets.committable == 6
    assert work.lane.partitions[0].last_of_key == {}


async def test_without_order_all_start_at_once() -> None:
    work = Work()
    work.lane.open(0)
    work.lane.deliver(0, records(0, (1, b"a"), (2, b"a")))
    work.hand_over()
    await work.settle(lambda: len(work.started) == 2)
    await work.finish(0, 1, 2)


async def test_the_window_is_shared_fairly_and_never_passed() -> None:
    work = Work(window=4)
    for partition in (0, 1):
        work.lane.open(partition)
        work.lane.deliver(partition, records(partition, *((offset, None) for offset in range(5))))
    work.hand_over()
    await work.settle(lambda: len(work.started) == 4)
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
    await work.settle(lambda: len(work.started) == 2)
    closing = asyncio.create_task(work.lane.close([0], 5))
    await work.finish(0, 1, 2)
    (closed,) = await closing
    assert closed.offsets.committable == 3
    assert work.started == [(0, 1), (0, 2)]
    assert work.lane.partitions == {}


async def test_giving_up_cancels_what_is_late_and_nothing_overtakes_it() -> None:
    work = Work(ordered=True)
    work.lane.open(0)
    work.lane.deliver(0, records(0, (1, b"a"), (2, b"a"), (3, b"a")))
    work.hand_over()
    await work.settle(lambda: len(work.started) == 1)
    (closed,) = await work.lane.close([0], 0.01)
    assert closed.offsets.committable is None
    assert work.started == [(0, 1)]
    assert work.ended == []


async def test_a_record_that_failed_for_good_lets_none_of_its_key_overtake() -> None:
    failed: list[BaseException] = []

    async def breach(record: ConsumedRecord) -> None:
        if record.offset == 1:
            raise RuntimeError("unsafe")
        raise AssertionError("it overtook")

    def on_done(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed.append(error)

    lane = TopicLane("topic", ordered=True, window=10, finish=breach)
    lane.open(0)
    lane.deliver(0, records(0, (1, b"a"), (2, b"a"), (3, b"a")))
    lane.hand_over(on_done)
    (closed,) = await lane.close([0], 5)
    assert [str(error) for error in failed] == ["unsafe"]
    assert closed.offsets.committable is None
