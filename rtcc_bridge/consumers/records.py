"""What a handler gets and what it has to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from rtcc_bridge.errors import RejectedError


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """One record as it lies on the topic. `timestamp` is the broker's or the producer's, aware, in UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: datetime

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, roughly: its key, value and headers."""
        headers = sum(len(name) + len(content) for name, content in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


class Handler(Protocol):
    """Does the work of one topic's records, many at the same time and in no particular order.

    `handle` returns when the effect is durable. It may be called again for the same record (after a restart, a
    rebalance or a failure to commit the offset), so it has to have its effect once only. It may be cancelled at any
    point. It raises RejectedError for a record that can never succeed (it goes to the dead letters) and TransientError
    for what may pass (it is called again). Any other exception is a defect: logged, tried again, then a dead letter.
    IntegrityError stops the process.
    """

    async def handle(self, record: ConsumedRecord) -> None: ...


@runtime_checkable
class BatchHandler(Protocol):
    """Does the work of one topic's records in their order, a batch at a time.

    `handle_batch` gives one answer for each record: None when its effect is durable, or why this record can never
    succeed. When it raises, it is unknown which records had their effect. Otherwise as `Handler`; a batch that fails
    for another reason than an outage is taken apart until the record is found that is to blame.

    most_at_once: records of a batch at most, where the topic would take more (`kafka.window`).
    """

    @property
    def most_at_once(self) -> int: ...

    async def handle_batch(self, records: Sequence[ConsumedRecord]) -> Sequence[RejectedError | None]: ...
