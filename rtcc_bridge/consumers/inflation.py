"""Bounds what compressed batches become in memory: one that is small on the wire can stand for gigabytes.

A topic's `max.message.bytes` limits what a batch has on the wire, and aiokafka inflates without a limit. So its
functions for that are replaced, in the modules that call them, by ones with a limit for a batch and for what one poll
inflates.

Rejected: `compression.type: uncompressed` on the topics. The broker refuses such a batch then, but inflates it in its
own heap first, without a limit as well: a node of Apache Kafka 4 with a heap of 320 MB refused 50 MB of zeros as too
large, and ran out of memory with 200 MB (194 kB on the wire). A sender could end brokers instead.
"""

import gzip
import importlib
import io
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

from aiokafka import codec
from aiokafka.errors import CorruptRecordException

MOST_INFLATED_BYTES: Final = 32_000_000
"""Of a batch, and of what one poll inflates. More than any topic of this program takes in one record."""
_READERS: Final = ("aiokafka.record.default_records", "aiokafka.record._crecords.default_records")
"""Where aiokafka reads batches: without and with its extension, which a platform may lack."""
_XERIAL_HEADER_BYTES: Final = 16
_BLOCK_LENGTH: Final = struct.Struct(">i")

_room: ContextVar[int | None] = ContextVar("_room", default=None)


class InflationError(CorruptRecordException):  # type: ignore[misc]  # the library has no types
    """A batch that does not inflate, or to more than MOST_INFLATED_BYTES."""


class FullPollError(CorruptRecordException):  # type: ignore[misc]  # as above
    """One poll has inflated more than MOST_INFLATED_BYTES."""


@contextmanager
def one_poll() -> Iterator[None]:
    """Within it all batches together inflate to MOST_INFLATED_BYTES, and one more; then FullPollError is raised."""
    token = _room.set(MOST_INFLATED_BYTES)
    try:
        yield
    finally:
        _room.reset(token)


def _gzip(payload: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as inflated:
        return inflated.read(MOST_INFLATED_BYTES + 1)


def _snappy(payload: bytes) -> bytes:
    """Each block says how long it becomes."""
    blocks = list(_xerial_blocks(payload)) if codec._detect_xerial_stream(payload) else [payload]
    if sum(codec.cramjam.snappy.decompress_raw_len(block) for block in blocks) > MOST_INFLATED_BYTES:
        raise _too_large()
    return b"".join(bytes(codec.cramjam.snappy.decompress_raw(block)) for block in blocks)


def _xerial_blocks(payload: bytes) -> Iterator[bytes]:
    at = _XERIAL_HEADER_BYTES
    while at < len(payload):
        (length,) = _BLOCK_LENGTH.unpack_from(payload, at)
        if length < 0:
            raise InflationError("a block of negative length")
        at += _BLOCK_LENGTH.size + length
        yield payload[at - length : at]


def _lz4(payload: bytes) -> bytes:
    content = bytearray(MOST_INFLATED_BYTES)
    return bytes(content[: codec.cramjam.lz4.decompress_into(payload, content)])


def _zstd(payload: bytes) -> bytes:
    content = bytearray(MOST_INFLATED_BYTES)
    return bytes(content[: codec.cramjam.zstd.decompress_into(payload, content)])


def _too_large() -> InflationError:
    return InflationError(f"the batch inflates to more than {MOST_INFLATED_BYTES} bytes")


def _bounded(inflate: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def inflated(payload: bytes) -> bytes:
        try:
            content = inflate(bytes(payload))
        except InflationError:
            raise
        except Exception as error:  # each library has errors of its own
            raise InflationError(f"the batch does not inflate: {error}") from error
        if len(content) > MOST_INFLATED_BYTES:
            raise _too_large()
        _take_room(len(content))
        return content

    return inflated


def _take_room(size: int) -> None:
    room = _room.get()
    if room is None:
        return
    if room <= 0:
        raise FullPollError("the poll has inflated enough")
    _room.set(room - size)


INFLATE: Final[Mapping[int, Callable[[bytes], bytes]]] = MappingProxyType(
    {1: _bounded(_gzip), 2: _bounded(_snappy), 3: _bounded(_lz4), 4: _bounded(_zstd)}
)
"""By the number of the codec in a batch's attributes. Each raises InflationError."""


def _replace() -> None:
    for module in _READERS:
        try:
            reader = importlib.import_module(module)
        except ImportError:
            continue
        for number, name in ((1, "gzip_decode"), (2, "snappy_decode"), (3, "lz4_decode"), (4, "zstd_decode")):
            assert hasattr(reader, name), f"aiokafka inflates in another way: {module}.{name} is gone"
            setattr(reader, name, INFLATE[number])


_replace()
