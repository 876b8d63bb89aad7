"""Turns an uploaded file into pixels, upright, in RGB, and into nothing else: no metadata survives.

This is where hostile bytes meet a decoder. Uploads are decoded in a sandboxed process only; what is done here is to
keep the number of decoders at three and to say no before they start.
"""

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rtcc_bridge.matching.errors import UnreadableImageError
from rtcc_bridge.matching.image_header import ImageHeader, read_header
from rtcc_bridge.matching.types import RgbImage

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_NEUTRAL_GREY = (128, 128, 128)
"""What shows through transparent pixels; black or white would pass for wrong exposure."""

_EXIF_START = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_SHORT = 3


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What is refused before decoding begins."""

    max_bytes: int = 25_000_000
    max_pixels: int = 50_000_000


def decode(data: bytes, limits: DecodeLimits = DecodeLimits()) -> RgbImage:
    """The picture as uint8 (height, width, 3), turned as its EXIF orientation says. Blocks.

    JPEG, PNG and WebP, told by content and not by name. Of a JPEG that holds several pictures (MPO, as some phones
    write) the first is taken. Greyscale, palette, 16-bit and CMYK pictures become RGB; transparent pixels show a
    neutral grey; colour profiles are not applied.

    UnreadableImageError with the reason too_large (bytes), too_many_pixels, not_an_image, unsupported_format, animated,
    truncated or corrupt. Nothing is ever filled in for missing data.
    """
    if len(data) > limits.max_bytes:
        megabytes = limits.max_bytes / 1e6
        raise UnreadableImageError("too_large", f"the file has more than {megabytes:.0f} MB: send a smaller one")
    header = read_header(data)
    if header.width * header.height > limits.max_pixels:
        raise UnreadableImageError(
            "too_many_pixels",
            f"the picture has {header.width} x {header.height} pixels, over {limits.max_pixels / 1e6:.0f} million: "
            "cut out the part with the face and send that",
        )
    if header.animated:
        raise UnreadableImageError("animated", "the picture moves: choose one frame and send that")
    try:
        with _open(data, header) as picture:
            picture.load()
            pixels = _to_rgb(picture)
            orientation = exif_orientation(picture.info.get("exif", b""))
    except (UnreadableImageError, MemoryError):
        raise
    except Exception as error:  # on damaged bytes Pillow's decoders raise almost anything
        raise _refusal(error, header) from error
    return _upright(pixels, orientation)


def _open(data: bytes, header: ImageHeader) -> "ImageFile":
    """Open with the one decoder that the content calls for, past Pillow's registry with its dozens of formats."""
    from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415 (only those who decode need Pillow)
    from PIL.PngImagePlugin import PngImageFile  # noqa: PLC0415
    from PIL.WebPImagePlugin import WebPImageFile  # noqa: PLC0415

    openers: dict[str, type[ImageFile]] = {"JPEG": JpegImageFile, "PNG": PngImageFile, "WEBP": WebPImageFile}
    picture = openers[header.format](io.BytesIO(data))
    if picture.size != (header.width, header.height):
        raise UnreadableImageError(
            "corrupt", f"the {header.format} gives two different sizes for itself: export it again"
        )
    return picture


def _refusal(error: Exception, header: ImageHeader) -> UnreadableImageError:
    if "truncated" in str(error).lower():
        return UnreadableImageError("truncated", "the picture's end is missing: send it again")
    return UnreadableImageError("corrupt", f"the {header.format} is damaged: export it again from where it came from")


def _to_rgb(picture: "ImageFile") -> RgbImage:
    if picture.mode.startswith("I"):
        deep = np.asarray(picture).astype(np.int64)
        return np.repeat((deep.clip(0, 65_535) // 257).astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode == "CMYK":
        return _cmyk_to_rgb(picture)
    if picture.mode in {"LA", "PA", "RGBA", "RGBa", "La"} or "transparency" in picture.info:
        return _without_alpha(picture)
    return np.array(picture.convert("RGB"))


def _cmyk_to_rgb(picture: "ImageFile") -> RgbImage:
    """Adobe's programs store ink inverted, and Pillow assumes that of every CMYK JPEG; undo it for the others."""
    from PIL import ImageChops  # noqa: PLC0415 (only those who decode need Pillow)

    inks: Any = picture if "adobe" in picture.info else ImageChops.invert(picture)
    return np.array(inks.convert("RGB"))


def _without_alpha(picture: "ImageFile") -> RgbImage:
    from PIL import Image  # noqa: PLC0415 (only those who decode need Pillow)

    with_alpha = picture.convert("RGBA")
    background = Image.new("RGBA", with_alpha.size, (*_NEUTRAL_GREY, 255))
    return np.array(Image.alpha_composite(background, with_alpha).convert("RGB"))


def exif_orientation(exif: bytes) -> int:
    """The orientation 1 to 8 of an EXIF block (TIFF 6.0, tag 274), 1 where it gives none or is damaged.

    Read here because all else in EXIF, such as where the picture was taken, is nobody's business.
    """
    tiff = exif.removeprefix(_EXIF_START)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION_TAG and kind == _SHORT:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _upright(pixels: RgbImage, orientation: int) -> RgbImage:
    """Undo the camera's position: 2 to 4 mirror or turn by 180 degrees, 5 to 8 exchange rows and columns as well."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    rows_reversed = orientation in {3, 4, 7, 8}
    columns_reversed = orientation in {2, 3, 6, 7}
    return np.ascontiguousarray(pixels[:: -1 if rows_reversed else 1, :: -1 if columns_reversed else 1])
