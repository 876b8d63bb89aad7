"""Clips that tests make themselves: moving synthetic pictures, with a face in them where a test composes one in."""

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np

from rtcc_bridge.matching.types import RgbImage

GROUND = (30, 60, 90)
CORNER = (250, 20, 20)
"""The colour of the upper left corner: tells which way up a frame is."""
CORNER_PX = 40
TOLERANCE = 12
"""What a codec may do to a plain colour."""


def ground(width: int = 320, height: int = 240) -> RgbImage:
    """A plain picture whose upper left corner is red."""
    picture = np.full((height, width, 3), GROUND, np.uint8)
    picture[:CORNER_PX, :CORNER_PX] = CORNER
    return picture


@cache
def _texture() -> RgbImage:
    return np.random.default_rng(7).integers(0, 255, (60, 60, 3), dtype=np.uint8)


def moving(frames: int, width: int = 320, height: int = 240) -> list[RgbImage]:
    """A textured square that wanders to the right, two pixels a frame: no two frames are alike."""
    pictures = []
    for number in range(frames):
        picture = ground(width, height)
        left = CORNER_PX + 2 * number % (width - 60 - CORNER_PX)
        picture[100:160, left : left + 60] = _texture()
        pictures.append(picture)
    return pictures


def clip(
    pictures: Sequence[RgbImage],
    container: str = "mp4",
    codec: str = "libx264",
    *,
    shown_at: Sequence[int] | None = None,
    clockwise: int = 0,
    aspect: tuple[int, int] | None = None,
    key_every: int = 12,
) -> bytes:
    """The pictures as a clip of 30 frames a second. shown_at: for each the thirtieth of a second in which it is shown.
    clockwise: degrees that the camera notes. aspect: of a pixel."""
    buffer = io.BytesIO()
    height, width = pictures[0].shape[:2]
    with av.open(buffer, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=30)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = key_every
        stream.thread_count = 1
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none"}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number if shown_at is None else shown_at[number]
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return turned(buffer.getvalue(), clockwise) if clockwise else buffer.getvalue()


def turned(mp4: bytes, clockwise: int) -> bytes:
    """The MP4 with the matrix that a phone writes when it is held on its side (ISO/IEC 14496-12, 8.3.2), and with no
    help of the library that is to read it."""
    one = 0x10000
    rows = {90: (0, one, 0, -one, 0, 0), 180: (-one, 0, 0, 0, -one, 0), 270: (0, -one, 0, one, 0, 0)}
    header = mp4.index(b"tkhd") + 4
    matrix = header + 40  # version, times, track, duration, layer, group, volume: version 0
    assert mp4[header] == 0
    assert mp4[matrix : matrix + 4] == struct.pack(">i", one)
    return mp4[:matrix] + struct.pack(">9i", *rows[clockwise], 0, 0, 0x40000000) + mp4[matrix + 36 :]


def sound(container: str = "mp4") -> bytes:
    """A file with sound and no picture."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream: Any = output.add_stream("aac", rate=44_100)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for number in range(20):
            frame.pts = 1024 * number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()
