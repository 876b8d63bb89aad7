"""Reads what a picture says of itself, its kind, size and whether it moves, before any decoder sees it.

So that a decompression bomb costs nothing: some decoders set memory for the whole picture aside when they open it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from rtcc_bridge.matching.errors import UnreadableImageError

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "Photoshop",
}
_CONTAINER_FORMATS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers (ITU-T T.81, table B.1): C4, C8 and CC are tables."""
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""
_JPEG_SCAN = 0xDA


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """format: "JPEG", "PNG" or "WEBP"."""

    format: str
    width: int
    height: int
    animated: bool


def read_header(data: bytes) -> ImageHeader:
    """The header of a JPEG, PNG or WebP, told by its content. UnreadableImageError: not_an_image, unsupported_format,
    truncated, corrupt.
    """
    try:
        if data.startswith(_JPEG_START):
            header = _read_jpeg(data)
        elif data.startswith(_PNG_START):
            header = _read_png(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            header = _read_webp(data)
        else:
            raise _refusal_of_other_format(data)
    except (struct.error, IndexError) as error:
        raise UnreadableImageError(
            "truncated", "the picture ends in the middle of its header: send it again"
        ) from error
    if header.width < 1 or header.height < 1:
        raise _corrupt(header.format)
    return header


def _refusal_of_other_format(data: bytes) -> UnreadableImageError:
    name = next((name for start, name in _OTHER_FORMATS.items() if data.startswith(start)), None)
    if data[4:8] == b"ftyp":
        name = _CONTAINER_FORMATS.get(data[8:12], "a video")
    if name is None:
        return UnreadableImageError("not_an_image", "this is not a picture: send a JPEG, PNG or WebP")
    return UnreadableImageError("unsupported_format", f"this is {name}: save it as JPEG, PNG or WebP and send that")


def _corrupt(name: str) -> UnreadableImageError:
    return UnreadableImageError("corrupt", f"the {name} is damaged: export it again from where it came from")


def _read_jpeg(data: bytes) -> ImageHeader:
    position = 2
    while True:
        if data[position] != 0xFF:
            raise _corrupt("JPEG")
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return ImageHeader("JPEG", width, height, animated=False)
        if marker == _JPEG_SCAN:
            raise _corrupt("JPEG")
        if marker not in _JPEG_BARE:
            (length,) = struct.unpack_from(">H", data, position)
            position += max(2, length)


def _read_png(data: bytes) -> ImageHeader:
    width = height = frames = 0
    for kind, start in _png_chunks(data):
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data, start)
        elif kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, start)
        elif kind == b"IDAT":
            break
    return ImageHeader("PNG", width, height, animated=frames > 1)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The kind of each chunk and where its content starts, in order."""
    position = len(_PNG_START)
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position + 8
        position += 12 + length


def _read_webp(data: bytes) -> ImageHeader:
    """Google's "WebP Container Specification" and RFC 9649."""
    (riff_length,) = struct.unpack_from("<I", data, 4)
    if riff_length + 8 > len(data):
        raise UnreadableImageError("truncated", "the picture's end is missing: send it again")
    kind = data[12:16]
    if kind == b"VP8X":
        flags = data[20]
        width, height = (1 + int.from_bytes(data[start : start + 3], "little") for start in (24, 27))
        return ImageHeader("WEBP", width, height, animated=bool(flags & 0x02))
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageHeader("WEBP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), animated=False)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return ImageHeader("WEBP", width & 0x3FFF, height & 0x3FFF, animated=False)
    raise _corrupt("WebP")
