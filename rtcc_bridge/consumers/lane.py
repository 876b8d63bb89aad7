"""The work of one topic: which of its records are in work, which wait, and in what order."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final, TypeAlias

from rtcc_bridge.consumers.offsets import OffsetTracker
from rtcc_bridge.consumers.records import ConsumedRecord

_CANCEL_SECONDS: Final = 5.0
"""How long a cancelled handler may take to let go, for example to roll its transaction back."""
_MOST_WAITING_BYTES: Final = 16_000_000
"""With more of one topic in memory no more of it is fetched, however few records they are."""
_MOST_BATCH_BYTES: Final = 4_000_000
"""A batch is one transaction: large records go into small batches."""
_GATHER_SECONDS: Final = 0.02
"""A batch that would not be full begins so long after the one before: each costs as much as several more records in it,
and nobody on the floor sees the difference."""

OnDone: TypeAlias = Callable[[asyncio.Task[None]], None]
"""Called when work has ended, with its task; a task that ended with an exception was not finished."""


class PartitionWork:
    """What was taken from one partition since it was assigned."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.offsets = OffsetTracker()
        self.committed: int | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.waiting: deque[ConsumedRecord] = deque()
        self.waiting_bytes = 0

    def deliver(self, records: Iterable[ConsumedRecord]) -> None:
        """Lets records wait that came after all others. A tombstone has nothing to do: it is finished at once."""
        for record in records:
            self.offsets.deliver(record.offset)
            if record.value is None:
                self.offsets.finish(record.offset)
                continue
            self.waiting.append(record)
            self.waiting_bytes += record.size_bytes

    def take(self) -> ConsumedRecord:
        """The record that waits for longest."""
        record = self.waiting.popleft()
        self.waiting_bytes -= record.size_bytes
        return record

    def put_back(self, record: ConsumedRecord) -> None:
        """Lets a record that was taken wait again, before all others."""
        self.waiting.appendleft(record)
        self.waiting_bytes += record.size_bytes

    def drop_waiting(self) -> None:
        self.waiting.clear()
        self.waiting_bytes = 0


class TopicLane(ABC):
    """The records of one topic. What was polled and cannot start yet waits here, bounded by `wants_more`."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.paused = False
        self.partitions: dict[int, PartitionWork] = {}

    @property
    def wants_more(self) -> bool:
        """Whether the topic's partitions should be fetched from. One more poll may come after it said no."""
        return (
            not self.paused and self._waiting_bytes() <= _MOST_WAITING_BYTES and self._waiting() <= self._most_waiting()
        )

    def open(self, partition: int) -> None:
        """Begins with a partition that was assigned."""
        self.partitions.setdefault(partition, PartitionWork(partition))

    def deliver(self, partition: int, records: Iterable[ConsumedRecord]) -> None:
        """Takes polled records; `hand_over` starts the work on them."""
        self.partitions[partition].deliver(records)

    @abstractmethod
    def hand_over(self, on_done: OnDone) -> None:
        """Starts as much of the waiting work as there is room for, taking turns between partitions."""

    async def close(self, partitions: Collection[int], seconds: float) -> list[PartitionWork]:
        """Ends the work on partitions: drops what waits, gives what is in work `seconds`, cancels the rest.

        Returns what may still be committed. Records that were not finished will be delivered again to whoever gets
        the partition.
        """
        closed = [self.partitions.pop(partition) for partition in partitions if partition in self.partitions]
        for work in closed:
            work.drop_waiting()
        tasks = {task for work in closed for task in work.tasks}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CANCEL_SECONDS)
        return closed

    @abstractmethod
    def _most_waiting(self) -> int:
        """Records that may wait while more are fetched."""

    def _waiting(self) -> int:
        return sum(len(work.waiting) for work in self.partitions.values())

    def _waiting_bytes(self) -> int:
        return sum(work.waiting_bytes for work in self.partitions.values())

    def _works_with_waiting(self) -> list[PartitionWork]:
        return [work for work in self.partitions.values() if work.waiting]


class WindowLane(TopicLane):
    """Works on many records at the same time, at most `window`, in no particular order."""

    def __init__(self, topic: str, *, window: int, finish: Callable[[ConsumedRecord], Awaitable[None]]) -> None:
        """`finish` handles the record or puts it to the dead letters, and returns when either is durable."""
        super().__init__(topic)
        self._window = window
        self._finish = finish
        self._in_work = 0

    def hand_over(self, on_done: OnDone) -> None:
        while not self.paused and self._in_work < self._window:
            works = self._works_with_waiting()
            if not works:
                return
            for work in works[: self._window - self._in_work]:
                self._start(work, work.take(), on_done)

    def _most_waiting(self) -> int:
        return 0

    def _start(self, work: PartitionWork, record: ConsumedRecord, on_done: OnDone) -> None:
        task = asyncio.create_task(self._work(work, record), name=f"{self.topic}-{record.partition}")
        self._in_work += 1
        work.tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._in_work -= 1
            work.tasks.discard(task)
            on_done(task)

        task.add_done_callback(ended)

    async def _work(self, work: PartitionWork, record: ConsumedRecord) -> None:
        await self._finish(record)
        work.offsets.finish(record.offset)


class BatchLane(TopicLane):
    """Works on one batch at a time, of all its partitions, so that the records of a key are done in their order.

    A batch holds what waits when the one before has ended: one record while little comes, `limit` under load. Between
    the two, small batches gather for a moment.
    """

    def __init__(
        self, topic: str, *, limit: int, window: int, finish: Callable[[Sequence[ConsumedRecord]], Awaitable[None]]
    ) -> None:
        """limit: records of a batch. window: records that may wait while more are fetched.

        `finish` handles the records or puts them to the dead letters, and returns when either is durable.
        """
        super().__init__(topic)
        self._limit = limit
        self._window = window
        self._finish = finish
        self._is_in_work = False
        self._gathers_until = 0.0
        self._gathering: asyncio.TimerHandle | None = None

    def hand_over(self, on_done: OnDone) -> None:
        if self.paused or self._is_in_work or self._gathers(on_done) or not (batch := self._take()):
            return
        self._gathers_until = asyncio.get_running_loop().time() + _GATHER_SECONDS
        works = {work for work, _ in batch}
        task = asyncio.create_task(self._work(batch), name=f"{self.topic}-batch")
        self._is_in_work = True
        for work in works:
            work.tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._is_in_work = False
            for work in works:
                work.tasks.discard(task)
            if task.cancelled():
                self._put_back(batch)
            on_done(task)

        task.add_done_callback(ended)

    def _most_waiting(self) -> int:
        """The next batches gather while one is in work."""
        return self._window

    def _gathers(self, on_done: OnDone) -> bool:
        """Says whether the next batch should wait for more; it is then handed over when its time has come."""
        loop = asyncio.get_running_loop()
        is_full = self._waiting() >= self._limit or self._waiting_bytes() >= _MOST_BATCH_BYTES
        if is_full or loop.time() >= self._gathers_until:
            return False
        if self._gathering is None:
            self._gathering = loop.call_at(self._gathers_until, self._gathered, on_done)
        return True

    def _gathered(self, on_done: OnDone) -> None:
        self._gathering = None
        self.hand_over(on_done)

    def _take(self) -> list[tuple[PartitionWork, ConsumedRecord]]:
        batch: list[tuple[PartitionWork, ConsumedRecord]] = []
        size_bytes = 0
        while works := self._works_with_waiting():
            for work in works:
                if len(batch) == self._limit or size_bytes >= _MOST_BATCH_BYTES:
                    return batch
                record = work.take()
                size_bytes += record.size_bytes
                batch.append((work, record))
        return batch

    def _put_back(self, batch: Sequence[tuple[PartitionWork, ConsumedRecord]]) -> None:
        """A partition that was given up took the batch with it: the records of the others are done anew."""
        for work, record in reversed(batch):
            if self.partitions.get(work.partition) is work:
                work.put_back(record)

    async def _work(self, batch: Sequence[tuple[PartitionWork, ConsumedRecord]]) -> None:
        await self._finish([record for _, record in batch])
        for work, record in batch:
            work.offsets.finish(record.offset)
