"""The plain content of a gallery segment: a header that says whose rows these are, then their stored templates."""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.matching.stored_templates import StoredTemplates, TemplateRoom

OBJECT_KIND: Final = "gallery-segment"
_MAGIC: Final = b"RTCCTMPL"
_LENGTH: Final = struct.Struct("<I")
_SCALE: Final = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """Whose rows these are. A segment read under another header than it was written with is refused."""

    gallery: str
    segment_id: str
    template_hash: str
    rows: int
    template_length: int

    def encode(self) -> bytes:
        """Magic word, length, canonical JSON."""
        fields = json.dumps({"format": 2, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode()
        return _MAGIC + _LENGTH.pack(len(fields)) + fields


def encode_segment(header: SegmentHeader, templates: StoredTemplates) -> bytes:
    """The bytes to seal: the header, the scales, the high plane, the low plane."""
    if templates.high.shape != (header.rows, header.template_length):
        raise ValueError(f"templates {templates.high.shape} are not what the header says")
    scales = templates.scales.astype(_SCALE, copy=False)
    return b"".join((header.encode(), scales.data, templates.high.data, templates.low.data))


def decode_segment(header: SegmentHeader, data: bytes) -> StoredTemplates:
    """The rows; their planes share the memory of `data`. Rows that were taken out are zeros.

    The header is known from the database, so it is compared and not parsed. Raises IntegrityError when the segment is
    not the one that the header describes, to the byte.
    """
    start = header.encode()
    if not data.startswith(start):
        raise _other_rows(header)
    rows, length = header.rows, header.template_length
    if len(data) != len(start) + rows * (_SCALE.itemsize + 2 * length):
        raise IntegrityError(f"segment {header.segment_id} of gallery {header.gallery} has the wrong length")
    scales = np.frombuffer(data, _SCALE, rows, len(start)).astype(np.float32)
    planes = np.frombuffer(data, np.int8, offset=len(start) + scales.nbytes).reshape(2, rows, length)
    return StoredTemplates(planes[0], planes[1], scales)


class SegmentPlaces:
    """Where the bytes of a segment belong that are unsealed straight into `room`, which has as many rows."""

    def __init__(self, header: SegmentHeader, room: TemplateRoom, size_bytes: int) -> None:
        """size_bytes: of the segment. IntegrityError: it cannot be the one that the header describes."""
        self._header = header
        self._room = room
        self._start = bytearray(len(header.encode()))
        self._scales = np.empty(header.rows, _SCALE)
        if size_bytes != sum(place.nbytes for place in self.in_order):
            raise _other_rows(header)

    @property
    def in_order(self) -> Sequence[memoryview]:
        """As `encode_segment` writes them."""
        arrays = (self._scales, self._room.high, self._room.low)
        return [memoryview(self._start), *(array.data for array in arrays)]

    def settle(self) -> None:
        """To be called when the bytes are there. Raises IntegrityError when they are those of another segment."""
        if self._start != self._header.encode():
            raise _other_rows(self._header)
        self._room.scales[:] = self._scales


def _other_rows(header: SegmentHeader) -> IntegrityError:
    return IntegrityError(
        f"segment {header.segment_id} of gallery {header.gallery} holds other rows than the database says"
    )
