"""Cuts the one chosen face out of a picture, with every other face in it painted over (P04)."""

from collections.abc import Sequence

import cv2
import numpy as np

from rtcc_bridge.matching.align import similarity_transform
from rtcc_bridge.matching.types import Box, DetectedFace, FaceCrop, Float32Array, RgbImage

MAX_SIDE_PX = 1024
"""A larger crop is shrunk by area to this; a smaller one keeps every pixel. The eyes are then still over 180 px apart,
three times what models use: docs/decisions/0022."""

_REFERENCE = np.array([[-0.5, -0.53], [0.5, -0.53], [0, 0.06], [-0.41, 0.59], [0.41, 0.59]], np.float64)
"""A frontal face around its middle, in units of the eyes' distance."""

_REACH = 2.8
"""How far around the middle of the face the crop reaches, in the same units: the corners of the usual chips lie 2.0
(dlib, 150 px) to 2.6 (ArcFace, 112 px) away, at any rotation."""

_BYSTANDER_MARGIN = 0.15
"""A detector's box cuts off chin and hair: boxes are painted over with this share of their size added on each side."""

_MASK_COLOUR = (128, 128, 128)


def crop_face(image: RgbImage, face: DetectedFace, others: Sequence[DetectedFace]) -> FaceCrop:
    """The chosen face with all that alignment will read around it, clipped to the picture.

    The boxes of `others` are painted grey, save what lies inside the chosen face's own box. Pixels are copied as they
    are unless the crop's longer side is over MAX_SIDE_PX. ValueError: the landmarks coincide, so there is no face to
    cut out, or the face lies outside the picture.
    """
    left, top, right, bottom = _region(image, face)
    pixels = image[top:bottom, left:right].copy()
    origin = np.array([left, top], np.float32)
    mask_bystanders(pixels, origin, face.box, [other.box for other in others if other is not face])
    return _bounded(pixels, face.landmarks - origin)


def _region(image: RgbImage, face: DetectedFace) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a square around the face that holds its chip at any rotation, inside the picture."""
    height, width = image.shape[:2]
    to_picture = similarity_transform(_REFERENCE, face.landmarks.astype(np.float64))
    middle = to_picture[:, 2]
    reach = _REACH * float(np.hypot(*to_picture[:, 0]))
    left, top = np.floor(np.clip(middle - reach, 0, (width, height))).astype(int).tolist()
    right, bottom = np.ceil(np.clip(middle + reach, 0, (width, height))).astype(int).tolist()
    if left >= right or top >= bottom:
        raise ValueError("the face lies outside the picture")
    return left, top, right, bottom


def mask_bystanders(pixels: RgbImage, origin: Float32Array, chosen: Box, bystanders: Sequence[Box]) -> None:
    """Paint over, in place, what lies inside the bystanders' boxes and not inside the chosen face's own.

    `origin` is where the first pixel of `pixels` lies in the picture that the boxes are given in.
    """
    if not bystanders:
        return
    painted = np.zeros(pixels.shape[:2], bool)
    for box in bystanders:
        across, down = _BYSTANDER_MARGIN * box.width, _BYSTANDER_MARGIN * box.height
        grown = Box(box.left - across, box.top - down, box.right + across, box.bottom + down)
        painted[_pixels_of(grown, origin)] = True
    painted[_pixels_of(chosen, origin)] = False
    pixels[painted] = _MASK_COLOUR


def _pixels_of(box: Box, origin: Float32Array) -> tuple[slice, slice]:
    """Rows and columns of the crop that the box touches."""
    left, top = (max(0, int(np.floor(edge))) for edge in (box.left - origin[0], box.top - origin[1]))
    right, bottom = (max(0, int(np.ceil(edge))) for edge in (box.right - origin[0], box.bottom - origin[1]))
    return slice(top, bottom), slice(left, right)


def _bounded(pixels: RgbImage, landmarks: Float32Array) -> FaceCrop:
    height, width = pixels.shape[:2]
    if max(height, width) <= MAX_SIDE_PX:
        return FaceCrop(pixels, landmarks)
    scale = MAX_SIDE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    growth = np.array([size[0] / width, size[1] / height], np.float32)
    return FaceCrop(shrunk, ((landmarks + 0.5) * growth - 0.5).astype(np.float32))
