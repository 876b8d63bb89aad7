"""Reads batches of records that aiokafka cannot: it gives up a whole batch for one header name that is not UTF-8.

Kafka's protocol says that header names are UTF-8, and brokers do not check it. Such a name is kept with its bytes as
escapes (`\\xff`), and the record goes the way of every other one. Of a batch that inflates to too much, or not at all,
one record is made whose value is the batch as it lies on the topic: no handler takes that, so it becomes a dead letter,
and what comes after it is read. Format: "Record Batch" in the documentation of the Kafka protocol.
"""

import struct
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import structlog
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint
from aiokafka.structs import ConsumerRecord, TopicPartition

from rtcc_bridge.consumers.inflation import INFLATE, MOST_INFLATED_BYTES, InflationError

UNREADABLE: Final = (CorruptRecordException, UnsupportedCodecError, UnicodeDecodeError)
"""What aiokafka raises for records that it cannot read."""

_PREFIX: Final = struct.Struct(">qi")
_COUNT: Final = struct.Struct(">i")
_COUNT_AT: Final = 57
_RECORDS_AT: Final = 61

_log = structlog.get_logger(__name__)


class DamagedBatchError(Exception):
    """A batch whose checksum or structure is wrong: not even its records' bounds can be trusted."""


class _Aborted:
    """Which batches belong to transactions that their senders took back.

    As a fetch tells it: by the producer's id and the offset with which the transaction began; it ends with its marker.
    """

    def __init__(self, transactions: Iterable[tuple[int, int]]) -> None:
        self._to_come = deque(sorted(transactions, key=lambda transaction: transaction[1]))
        self._producers: set[int] = set()

    def has(self, parsed: Any) -> bool:
        """Asked of every batch in its order; also true of a marker, which is no record."""
        if parsed.producer_id is None:
            return False  # the older formats of messages know no transactions
        while self._to_come and self._to_come[0][1] <= parsed.base_offset:
            self._producers.add(self._to_come.popleft()[0])
        if not parsed.is_control_batch:
            return parsed.is_transactional and parsed.producer_id in self._producers
        if ControlRecord.parse(next(parsed).key) == ABORT_MARKER:
            self._producers.discard(parsed.producer_id)
        return True


def read_batches(
    tp: TopicPartition, fetched: bytes, position: int, aborted: Collection[tuple[int, int]] = ()
) -> tuple[list[ConsumerRecord], int]:
    """The records from `position` on, of whole batches until they are MOST_INFLATED_BYTES, and the position after them.

    aborted: the transactions that were taken back, each by its producer's id and its first offset; their records are
    left out. Raises DamagedBatchError when the first batch is damaged; the ones before a damaged batch are returned.
    """
    taken_back = _Aborted(aborted)
    records: list[ConsumerRecord] = []
    size = 0
    for batch in _slices(fetched):
        if size >= MOST_INFLATED_BYTES:
            break
        try:
            fresh, after = _batch(tp, batch, taken_back)
        except (struct.error, IndexError, ValueError, *UNREADABLE) as error:
            if records:
                break
            raise DamagedBatchError(f"{type(error).__name__}: {error}") from error
        records += [record for record in fresh if record.offset >= position]
        size += size_bytes(fresh)
        position = max(position, after)
    return records, position


def size_bytes(records: Iterable[ConsumerRecord]) -> int:
    """What their keys and values have."""
    return sum(len(record.key or b"") + len(record.value or b"") for record in records)


def _slices(fetched: bytes) -> Iterator[bytes]:
    """A fetch may end in the middle of a batch, which is left for the next one."""
    start = 0
    while start + _PREFIX.size <= len(fetched):
        _, length = _PREFIX.unpack_from(fetched, start)
        end = start + _PREFIX.size + length
        if length <= 0 or end > len(fetched):
            return
        yield fetched[start:end]
        start = end


def _batch(tp: TopicPartition, batch: bytes, taken_back: _Aborted) -> tuple[list[ConsumerRecord], int]:
    parsed = MemoryRecords(batch).next_batch()
    if parsed is None or not parsed.validate_crc():
        raise CorruptRecordException("wrong checksum")
    if taken_back.has(parsed):
        return [], parsed.next_offset
    try:
        return [_record(tp, each) for each in parsed], parsed.next_offset
    except UnicodeDecodeError:
        pass
    except InflationError as error:
        return [_stand_in(tp, batch, parsed, error)], parsed.next_offset
    except CorruptRecordException as error:  # how aiokafka's slow half, without its extension, says the same
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
    return list(_tolerantly(tp, batch, parsed)), parsed.next_offset


def _stand_in(tp: TopicPartition, batch: bytes, parsed: Any, error: InflationError) -> ConsumerRecord:
    last = parsed.next_offset - 1
    _log.error(
        "a batch is not read: a record with its bytes stands for it",
        topic=tp.topic,
        partition=tp.partition,
        first_offset=parsed.base_offset,
        last_offset=last,
        error=str(error),
    )
    return _consumer_record(tp, last, parsed.max_timestamp, parsed.timestamp_type, None, batch, ())


def _record(tp: TopicPartition, each: Any) -> ConsumerRecord:
    return _consumer_record(tp, each.offset, each.timestamp, each.timestamp_type, each.key, each.value, each.headers)


def _tolerantly(tp: TopicPartition, batch: bytes, parsed: Any) -> Iterator[ConsumerRecord]:
    (count,) = _COUNT.unpack_from(batch, _COUNT_AT)
    packed = batch[_RECORDS_AT:]
    content = bytearray(INFLATE[parsed.compression_type](packed) if parsed.compression_type else packed)
    at = 0
    for _ in range(count):
        length, at = decode_varint(content, at)
        fields = _Fields(content, at + 1)  # after one byte of attributes, which no record uses
        age, step = fields.number(), fields.number()
        key, value = fields.content(), fields.content()
        headers = [(_name(fields.content()), fields.content()) for _ in range(fields.number())]
        is_append_time = parsed.timestamp_type == 1
        timestamp = parsed.max_timestamp if is_append_time else parsed.first_timestamp + age
        yield _consumer_record(tp, parsed.base_offset + step, timestamp, parsed.timestamp_type, key, value, headers)
        at += length


class _Fields:
    """The fields of one record, one after the other."""

    def __init__(self, content: bytearray, at: int) -> None:
        self._content = content
        self._at = at

    def number(self) -> int:
        number: int
        number, self._at = decode_varint(self._content, self._at)
        return number

    def content(self) -> bytes | None:
        length = self.number()
        if length < 0:
            return None
        start, self._at = self._at, self._at + length
        return bytes(self._content[start : self._at])


def _name(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", errors="backslashreplace")


def _consumer_record(
    tp: TopicPartition, offset: int, timestamp: int, kind: int, key: bytes | None, value: bytes | None, headers: Any
) -> ConsumerRecord:
    sizes = (-1 if key is None else len(key), -1 if value is None else len(value))
    return ConsumerRecord(tp.topic, tp.partition, offset, timestamp, kind, key, value, None, *sizes, tuple(headers))
