"""Small clips that a worker reads before it locks itself up, so that everything that reads clips is loaded by then."""

import io
from collections.abc import Iterator
from typing import Any, Final

import av
import numpy as np

_KINDS: Final = (("mp4", "mpeg4"), ("matroska", "mpeg4"), ("avi", "mjpeg"))
"""Encoders that FFmpeg's libraries always have."""
_SIDE_PX: Final = 64
_FRAMES: Final = 4


def plain_clips() -> Iterator[bytes]:
    """One clip of a few grey frames for each container."""
    for container, codec in _KINDS:
        yield _clip(container, codec)


def _clip(container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=10)
        stream.width = stream.height = _SIDE_PX
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.thread_count = 1
        for number in range(_FRAMES):
            grey = np.full((_SIDE_PX, _SIDE_PX, 3), 40 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        output.mux(stream.encode(None))
    return buffer.getvalue()
