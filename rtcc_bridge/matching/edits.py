"""Edits of a still: steps that can be taken back, since each time they are applied to the original (P05)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.types import RgbImage

MOST_EDITS: Final = 16
MIN_SIDE_PX: Final = 16
_FILL: Final = (128, 128, 128)
"""Of the corners that a rotation adds."""


@dataclass(frozen=True, slots=True)
class Crop:
    """Keep this rectangle, in pixels of the picture as the steps before have left it; right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Rotate:
    """Turn clockwise around the middle; the picture grows, so that nothing is cut off."""

    degrees: float


@dataclass(frozen=True, slots=True)
class Brightness:
    """Add this share of the full range to each value: -100 to 100."""

    percent: int


@dataclass(frozen=True, slots=True)
class Contrast:
    """Stretch the values around the middle grey: 100 changes nothing."""

    percent: int


Edit: TypeAlias = Crop | Rotate | Brightness | Contrast


def apply_edits(image: RgbImage, edits: Sequence[Edit], max_pixels: int) -> RgbImage:
    """The edited picture, a new array; `image` itself when there is no step. Blocks.

    ValueError, in words for the person who edits: a crop that leaves too little, a picture that grows too large.
    """
    for edit in edits:
        image = _applied(image, edit, max_pixels)
    return image


def _applied(image: RgbImage, edit: Edit, max_pixels: int) -> RgbImage:
    match edit:
        case Crop():
            return _cropped(image, edit)
        case Rotate(degrees=degrees):
            return _rotated(image, degrees, max_pixels)
        case Brightness(percent=percent):
            return _mapped(image, np.arange(256) + 2.55 * percent)
        case Contrast(percent=percent):
            return _mapped(image, 128 + (np.arange(256) - 128) * (percent / 100))


def _cropped(image: RgbImage, crop: Crop) -> RgbImage:
    height, width = image.shape[:2]
    left, top = max(0, crop.left), max(0, crop.top)
    right, bottom = min(width, crop.right), min(height, crop.bottom)
    if right - left < MIN_SIDE_PX or bottom - top < MIN_SIDE_PX:
        raise ValueError(f"the crop leaves less than {MIN_SIDE_PX} by {MIN_SIDE_PX} pixels of the picture")
    return image[top:bottom, left:right].copy()


def _rotated(image: RgbImage, degrees: float, max_pixels: int) -> RgbImage:
    height, width = image.shape[:2]
    quarters, rest = divmod(degrees, 90)
    if rest == 0:
        return np.ascontiguousarray(np.rot90(image, -int(quarters) % 4))  # exact: no pixel is made up
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size = (int(np.ceil(width * cosine + height * sine)), int(np.ceil(width * sine + height * cosine)))
    if size[0] * size[1] > max_pixels:
        raise ValueError(f"turned, the picture has more than {max_pixels} pixels: crop it first")
    turn[:, 2] += ((size[0] - width) / 2, (size[1] - height) / 2)
    turned = cv2.warpAffine(
        image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_FILL
    )
    return np.asarray(turned, np.uint8)


def _mapped(image: RgbImage, values: npt.NDArray[np.floating[Any]]) -> RgbImage:
    """Every value of the picture by a table of 256."""
    table = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)
