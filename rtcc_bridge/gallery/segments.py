"""The plain content of a gallery segment: a header that says whose rows these are, then float32 rows."""

import json
import struct
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.matching.types import Float32Array

OBJECT_KIND: Final = "gallery-segment"
_MAGIC: Final = b"RTCCTMPL"
_LENGTH: Final = struct.Struct("<I")
_STORED: Final = np.dtype("<f4")


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
        fields = json.dumps({"format": 1, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode()
        return _MAGIC + _LENGTH.pack(len(fields)) + fields


def encode_segment(header: SegmentHeader, templates: Float32Array) -> bytes:
    """The bytes to seal. templates: float32 (rows, template_length)."""
    if templates.dtype != np.float32 or templates.shape != (header.rows, header.template_length):
        raise ValueError(f"{templates.dtype} {templates.shape} is not what the header says")
    return header.encode() + templates.astype(_STORED, copy=False).tobytes()


def decode_segment(header: SegmentHeader, data: bytes) -> Float32Array:
    """The rows, float32 (rows, template_length), read-only and sharing the memory of `data`.

    The header is known from the database, so it is compared and not parsed. Raises IntegrityError when the segment is
    not the one that the header describes, to the byte.
    """
    start = header.encode()
    if not data.startswith(start):
        raise IntegrityError(
            f"segment {header.segment_id} of gallery {header.gallery} holds other rows than the database says"
        )
    if len(data) != len(start) + header.rows * header.template_length * _STORED.itemsize:
        raise IntegrityError(f"segment {header.segment_id} of gallery {header.gallery} has the wrong length")
    rows = np.frombuffer(data, _STORED, offset=len(start))
    return rows.reshape(header.rows, header.template_length).astype(np.float32, copy=False)
