"""What a handler gets and what it has to be."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


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


class Handler(Protocol):
    """Does the work of one topic's records.

    `handle` returns when the effect is durable. It may be called again for the same record (after a restart, a
    rebalance or a failure to commit the offset), so it has to have its effect once only. It may be cancelled at any
    point. It raises RejectedError for a record that can never succeed (it goes to the dead letters) and TransientError
    for what may pass (it is called again). Any other exception is a defect: logged, tried again, then a dead letter.
    IntegrityError stops the process.
    """

    @property
    def ordered(self) -> bool:
        """Whether records of one key are handled one after the other, in their order."""
        ...

    async def handle(self, record: ConsumedRecord) -> None: ...
