"""Turns a face so that its five landmarks lie on the model's template: the chip that the network sees."""

import math
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np

from rtcc_bridge.matching.types import FaceCrop, Float32Array, Float64Array, GreyImage, RgbImage

_Image = TypeVar("_Image", RgbImage, GreyImage)

_SHRINK_BELOW = 0.75
"""Bilinear sampling skips pixels when a picture shrinks; below this scale it is shrunk by area first."""


def similarity_transform(source: Float32Array | Float64Array, target: Float64Array) -> Float64Array:
    """The rotation, uniform scale and shift, float64 (2, 3), that bring `source` (N, 2) closest to `target` (N, 2).

    Least squares, of which Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991, equations 40 to 43, is the general case. In a plane a scaled rotation has two numbers, in
    which the error is a quadratic form, so that its minimum needs no decomposition. Mirroring is excluded. ValueError
    when all source points coincide.
    """
    points = source.astype(np.float64)
    source_mean, target_mean = points.mean(0), target.mean(0)
    source_centred, target_centred = points - source_mean, target - target_mean
    variance = float((source_centred**2).sum() / len(points))
    if variance <= 0 or not math.isfinite(variance):
        raise ValueError("landmarks that coincide or are not finite give no alignment")
    along = float((source_centred * target_centred).sum() / len(points)) / variance
    across = float((source_centred * target_centred[:, ::-1] * (1, -1)).sum() / len(points)) / variance
    scaled_rotation = np.array([[along, -across], [across, along]])
    shift = target_mean - scaled_rotation @ source_mean
    return np.column_stack([scaled_rotation, shift])


def extract_chip(pixels: RgbImage, landmarks: Float32Array, template: Float64Array, size: int) -> RgbImage:
    """The face as uint8 (size, size, 3), black outside the picture. Whole coordinates are the centres of pixels."""
    transform = similarity_transform(landmarks, template)
    scale = _scale_of(transform)
    if scale < _SHRINK_BELOW:
        pixels, transform = _shrunk(*_needed(pixels, transform, size), scale)
    return _turned(pixels, transform, size)


def extract_grey_chip(pixels: RgbImage, landmarks: Float32Array, template: Float64Array, size: int) -> GreyImage:
    """As `extract_chip`, in grey, uint8 (size, size): made grey before it is shrunk, which takes a third less time."""
    needed, transform = _needed(pixels, similarity_transform(landmarks, template), size)
    grey: GreyImage = np.asarray(cv2.cvtColor(needed, cv2.COLOR_RGB2GRAY), np.uint8)
    scale = _scale_of(transform)
    if scale < _SHRINK_BELOW:
        grey, transform = _shrunk(grey, transform, scale)
    return _turned(grey, transform, size)


def extract_chips(crops: Sequence[FaceCrop], template: Float64Array, size: int) -> RgbImage:
    """The chips of several faces, uint8 (N, size, size, 3)."""
    chips = np.empty((len(crops), size, size, 3), np.uint8)
    aligned = template.astype(np.float32)
    for index, crop in enumerate(crops):
        is_chip = crop.pixels.shape == chips.shape[1:] and np.array_equal(crop.landmarks, aligned)
        chips[index] = crop.pixels if is_chip else extract_chip(crop.pixels, crop.landmarks, template, size)
    return chips


def aligned_crop(crop: FaceCrop, template: Float64Array, size: int) -> FaceCrop:
    """The face's chip as a crop of its own, with the template as landmarks: aligned again it stays the same chip.

    A small thing to hand on in place of a large one. ValueError: landmarks coincide.
    """
    return FaceCrop(extract_chip(crop.pixels, crop.landmarks, template, size), template.astype(np.float32))


def _scale_of(transform: Float64Array) -> float:
    return math.hypot(transform[0, 0], transform[1, 0])


def _turned(pixels: _Image, transform: Float64Array, size: int) -> _Image:
    return np.asarray(cv2.warpAffine(pixels, transform, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _needed(pixels: RgbImage, transform: Float64Array, size: int) -> tuple[RgbImage, Float64Array]:
    """The part of the picture that the chip needs, neighbours of its pixels among it, with its transform.

    ValueError: the landmarks agree with the template so little that the face is of no size there.
    """
    height, width = pixels.shape[:2]
    # Four corners: NumPy would take several times as long.
    (along, _, right_by), (across, _, down_by) = transform.tolist()
    scale = _scale_of(transform)
    square = scale**2
    if not square:
        raise ValueError("landmarks that lie like no face's give no alignment")
    corners = [(x - right_by, y - down_by) for x in (-0.5, size - 0.5) for y in (-0.5, size - 0.5)]
    columns = [(along * x + across * y) / square for x, y in corners]
    rows = [(along * y - across * x) / square for x, y in corners]
    margin = 2 / min(1.0, scale)
    left = min(max(math.floor(min(columns) - margin), 0), width - 1)
    top = min(max(math.floor(min(rows) - margin), 0), height - 1)
    right = min(max(math.ceil(max(columns) + margin), left + 1), width)
    bottom = min(max(math.ceil(max(rows) + margin), top + 1), height)
    shift = transform[:, :2] @ (left, top) + transform[:, 2]
    return pixels[top:bottom, left:right], np.column_stack([transform[:, :2], shift])


def _shrunk(pixels: _Image, transform: Float64Array, scale: float) -> tuple[_Image, Float64Array]:
    """Shrinks it by area to the chip's own scale; returns it with its transform."""
    height, width = pixels.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    growth = np.array([width / size[0], height / size[1]])
    # A pixel centre p of the shrunk copy lies at (p + 0.5) * growth - 0.5 in the picture.
    linear = transform[:, :2] * growth
    shift = transform[:, :2] @ (0.5 * growth - 0.5) + transform[:, 2]
    shrunk = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return shrunk, np.column_stack([linear, shift])
