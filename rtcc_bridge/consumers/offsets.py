"""Which offset of a partition may be committed while its records finish in any order."""

from collections import deque


class OffsetTracker:
    """Records in the order of their delivery, each finished or not.

    Offsets have gaps (transaction markers, compaction), so the order of delivery counts and not the arithmetic.
    """

    def __init__(self) -> None:
        self._delivered: deque[int] = deque()
        self._finished: set[int] = set()
        self._next: int | None = None

    def deliver(self, offset: int) -> None:
        """Notes a record that was taken from the topic."""
        self._delivered.append(offset)

    def finish(self, offset: int) -> None:
        """Notes that a delivered record needs no more work."""
        self._finished.add(offset)
        while self._delivered and self._delivered[0] in self._finished:
            done = self._delivered.popleft()
            self._finished.remove(done)
            self._next = done + 1

    @property
    def is_settled(self) -> bool:
        """Whether nothing that was delivered is unfinished."""
        return not self._delivered

    @property
    def committable(self) -> int | None:
        """The offset after the last record before the first unfinished one; None while nothing is finished."""
        return self._next
