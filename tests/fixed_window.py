"""The common batching rule, for tests that have to know a batch's members and as the benchmark's peer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """A batch starts when it is full or when its oldest item has waited for so long; batches of 1 are no batching."""

    max_batch_size: int
    wait_seconds: float = 0.0

    def arrived(self, now: float) -> None:
        pass

    def ran(self, size: int, seconds: float) -> None:
        pass

    def size(self, waiting: int) -> int:
        return self.max_batch_size

    def company(self, urgent: int) -> int:
        return self.max_batch_size

    def start_at(self, waiting: int, oldest_at: float, now: float) -> float:
        return oldest_at + self.wait_seconds
