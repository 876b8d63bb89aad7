"""An event with where and when it came."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

EventT = TypeVar("EventT")


@dataclass(frozen=True, slots=True)
class Arrival(Generic[EventT]):
    """An event, the topic that it came on, and the time of its record (for the metric `event_to_floor_seconds`).

    traceparent: the place in its trace of the work on it.
    """

    event: EventT
    topic: str
    since: datetime
    traceparent: str | None = None
