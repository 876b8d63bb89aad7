"""The work of one topic: which of its records are in work, which wait, and in what order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final

from rtcc_bridge.consumers.offsets import OffsetTracker
from rtcc_bridge.consumers.records import ConsumedRecord

_CANCEL_SECONDS: Final = 5.0
"""How long a cancelled handler may take to let go, for example to roll its transaction back."""


class PartitionWork:
    """What was taken from one partition since it was assigned."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.offsets = OffsetTracker()
        self.committed: int | None = None
        self.waiting: deque[ConsumedRecord] = deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.last_of_key: dict[bytes | None, asyncio.Task[None]] = {}


class TopicLane:
    """The records of one topic, at most `window` of them in work.

    What was polled beyond the window waits here (one poll's worth at most, since the lane then wants no more). With
    `ordered`, the records of one key are done one after the other in their order, those without a key as if they had
    one in common; a record that waits for its forerunner takes a place in the window.
    """

    def __init__(
        self, topic: str, *, ordered: bool, window: int, finish: Callable[[ConsumedRecord], Awaitable[None]]
    ) -> None:
        """`finish` handles the record or puts it to the dead letters, and returns when either is durable."""
        self.topic = topic
        self.paused = False
        self.partitions: dict[int, PartitionWork] = {}
        self._ordered = ordered
        self._window = window
        self._finish = finish
        self._in_work = 0

    @property
    def wants_more(self) -> bool:
        """Whether the topic's partitions should be fetched from."""
        return not self.paused and not any(work.waiting for work in self.partitions.values())

    def open(self, partition: int) -> None:
        """Begins with a partition that was assigned."""
        self.partitions.setdefault(partition, PartitionWork(partition))

    def deliver(self, partition: int, records: Iterable[ConsumedRecord]) -> None:
        """Takes polled records; `hand_over` starts the work on them."""
        work = self.partitions[partition]
        for record in records:
            work.offsets.deliver(record.offset)
            work.waiting.append(record)

    def hand_over(self, on_done: Callable[[asyncio.Task[None]], None]) -> None:
        """Starts as many waiting records as the window has places, taking turns between partitions.

        on_done: called after each record, with its task; a task that ended with an exception was not finished.
        """
        while not self.paused and self._in_work < self._window:
            works = [work for work in self.partitions.values() if work.waiting]
            if not works:
                return
            for work in works[: self._window - self._in_work]:
                self._start(work, work.waiting.popleft(), on_done)

    async def close(self, partitions: Collection[int], seconds: float) -> list[PartitionWork]:
        """Ends the work on partitions: drops what waits, gives what is in work `seconds`, cancels the rest.

        Returns what may still be committed. Records that were not finished will be delivered again to whoever gets
        the partition.
        """
        closed = [self.partitions.pop(partition) for partition in partitions if partition in self.partitions]
        for work in closed:
            work.waiting.clear()
        tasks = {task for work in closed for task in work.tasks}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CANCEL_SECONDS)
        return closed

    def _start(
        self, work: PartitionWork, record: ConsumedRecord, on_done: Callable[[asyncio.Task[None]], None]
    ) -> None:
        before = work.last_of_key.get(record.key) if self._ordered else None
        task = asyncio.create_task(self._work(work, record, before), name=f"{self.topic}-{record.partition}")
        self._in_work += 1
        work.tasks.add(task)
        if self._ordered:
            work.last_of_key[record.key] = task

        def ended(task: asyncio.Task[None]) -> None:
            self._in_work -= 1
            work.tasks.discard(task)
            if work.last_of_key.get(record.key) is task:
                del work.last_of_key[record.key]
            on_done(task)

        task.add_done_callback(ended)

    async def _work(self, work: PartitionWork, record: ConsumedRecord, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
            if before.cancelled() or before.exception() is not None:
                raise asyncio.CancelledError  # the partition is given up: overtaking would break the key's order
        await self._finish(record)
        work.offsets.finish(record.offset)
