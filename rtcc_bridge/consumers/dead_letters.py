"""Dead letters: records that could not be processed, kept as they came, with where from and why.

Key, value and headers are those of the record, without headers of its own that begin with `dlq-`: those are only this
program's to write, and hold what it knows of the record:

| header | content |
|---|---|
| `dlq-topic`, `dlq-partition`, `dlq-offset`, `dlq-timestamp` | where the record lies, and its time (RFC 3339) |
| `dlq-group` | the consumer group that gave it up |
| `dlq-reason` | a short fixed word, as in the metric `dead_letters_total` |
| `dlq-error-class`, `dlq-message` | the class of the error and its words, without values that a database quotes |
| `dlq-first-failure`, `dlq-last-failure` | when it failed (RFC 3339) |
| `dlq-attempts` | how often it was tried |
| `dlq-value-omitted`, `dlq-value-bytes`, `dlq-value-sha256` | only when the broker refused the value as too large |
| `dlq-headers-omitted`, `dlq-key-bytes`, `dlq-key-sha256` | only when key and headers were too large as well |
"""

import hashlib
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.consumers.attempts import Failure
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import InvalidInputError

PREFIX: Final = "dlq-"
NOT_KEPT: Final = "letter_too_large"
"""In the metric `dead_letters_total`: the record was given up and no letter of it fits the topic."""
_LONGEST_MESSAGE: Final = 2000
_MOST_DIGITS: Final = 19
"""Of an offset, which has 64 bits."""
_LONGEST_KEY: Final = 1000
"""What is kept of a key when only the bare letter fits."""

_log = structlog.get_logger(__name__)


class DeadLetterWriter:
    """Writes dead letters to their topic."""

    def __init__(self, producer: EventProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def put(self, record: ConsumedRecord, failure: Failure, group: str) -> bool:
        """Returns when the broker has acknowledged the letter. Raises UnavailableError.

        What the broker refuses as too large is left out, with its size and sha256: first the value, then the record's
        own headers and all but the beginning of its key. The record itself still lies where the headers say. False
        when even that is refused: then only the log tells of the record, since one record must not stop the others.
        """
        value, key = record.value or b"", record.key or b""
        told = _provenance(record, failure, group)
        own = [header for header in record.headers if not header[0].startswith(PREFIX)]
        without_value = told | {"value-omitted": "too_large"} | _size("value", value)
        bare = without_value | {"headers-omitted": str(len(own))} | _size("key", key)
        if await self._is_taken(record.key, record.value, [*own, *_encoded(told)]):
            return True
        if await self._is_taken(record.key, b"", [*own, *_encoded(without_value)]):
            _log.warning("a dead letter is kept without its value, which is too large", **_place(record))
            return True
        if await self._is_taken(key[:_LONGEST_KEY], b"", _encoded(bare)):
            _log.warning("a dead letter is kept without its value, headers and whole key", **_place(record))
            return True
        _log.error("a dead letter cannot be kept: the topic refuses it as too large", **_logged(bare))
        return False

    async def _is_taken(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> bool:
        try:
            await self._producer.send(self._topic, key=key, value=value, headers=headers)
        except InvalidInputError:
            return False
        return True


class DeadLetterRate:
    """Counts the dead letters of one topic within a moving window."""

    def __init__(self, limit: int, window_seconds: float) -> None:
        self._limit = limit
        self._window = timedelta(seconds=window_seconds)
        self._moments: deque[datetime] = deque(maxlen=limit + 1)

    def add(self, now: datetime) -> bool:
        """Notes one and says whether there are more than the limit by now.

        Moments that are still to come are of a clock that was set back since: how long ago they were cannot be told.
        """
        while self._moments and self._moments[-1] > now:
            self._moments.pop()
        self._moments.append(now)
        return len(self._moments) > self._limit and now - self._moments[0] <= self._window

    def clear(self) -> None:
        self._moments.clear()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A letter as it was read back.

    partition, offset: its own place on the dead-letter topic. size_bytes: of the value, also where that was not kept in
    memory. replayed_at: when its record was put back (RFC 3339).
    """

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    original_headers: tuple[tuple[str, bytes], ...]
    provenance: Mapping[str, str]
    size_bytes: int = 0
    replayed_at: str | None = None

    @property
    def source_topic(self) -> str:
        return self.provenance.get("topic", "")

    @property
    def source_partition(self) -> int | None:
        return natural_number(self.provenance.get("partition", ""))

    @property
    def is_whole(self) -> bool:
        """Whether the letter still holds the record's value."""
        return "value-omitted" not in self.provenance


def read_letter(
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Collection[tuple[str, bytes]],
) -> DeadLetter:
    """Takes the provenance out of the headers again. Anybody may have written the topic: nothing is taken on trust."""
    provenance = {
        name.removeprefix(PREFIX): content.decode("utf-8", errors="replace")
        for name, content in headers
        if name.startswith(PREFIX)
    }
    original = tuple((name, content) for name, content in headers if not name.startswith(PREFIX))
    return DeadLetter(partition, offset, key, value, original, provenance, len(value or b""))


def natural_number(text: str) -> int | None:
    """The number that somebody wrote, where it is one that Kafka could have given to a partition or a record."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


def _provenance(record: ConsumedRecord, failure: Failure, group: str) -> dict[str, str]:
    return {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": rfc3339(record.timestamp),
        "group": group,
        "reason": failure.reason,
        "error-class": type(failure.error).__name__,
        "message": failure.message[:_LONGEST_MESSAGE],
        "first-failure": rfc3339(failure.first_at),
        "last-failure": rfc3339(failure.last_at),
        "attempts": str(failure.attempts),
    }


def _size(what: str, content: bytes) -> dict[str, str]:
    return {f"{what}-bytes": str(len(content)), f"{what}-sha256": hashlib.sha256(content).hexdigest()}


def _encoded(provenance: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [(f"{PREFIX}{name}", text.encode("utf-8", errors="replace")) for name, text in provenance.items()]


def _logged(provenance: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): text for name, text in provenance.items()}


def _place(record: ConsumedRecord) -> dict[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
