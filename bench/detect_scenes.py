"""Pictures with known faces for `bench.detect`: faces of one size on plain and on textured ground, and large stills."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rtcc_bridge.matching.detect import Detector
from rtcc_bridge.matching.types import Box, Float32Array, Float64Array, RgbImage

CANVAS = (1280, 960)
_REACH = 1.3
"""What is cut out around a face: this many widths of its box to each side of the middle, faded out towards the edge."""
_GRAIN = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A picture with one face, and the face's box in it as the peer finds it at full size."""

    pixels: RgbImage
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture with the boxes of all its faces."""

    pixels: RgbImage
    boxes: list[Box]


def read_rgb(path: Path) -> RgbImage:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise SystemExit(f"{path} is not a picture")
    return np.asarray(image, np.uint8)


def read_portraits(faces: Path, detector: Detector, count: int) -> list[Portrait]:
    """One picture of each of `count` people, evenly chosen, where the detector finds one face and no other."""
    people = sorted(folder for folder in faces.iterdir() if folder.is_dir())
    found: list[Portrait] = []
    for index in np.linspace(0, len(people) - 1, 2 * count).astype(int):
        pixels = read_rgb(sorted(people[index].iterdir())[0])
        detected = detector.detect(pixels)
        if len(detected) == 1 and len(found) < count:
            found.append(Portrait(pixels, detected[0].box))
    return found


def face_scene(portraits: Sequence[Portrait], ground: RgbImage, width_px: float, random: np.random.Generator) -> Scene:
    """The portraits scaled until each face is `width_px` wide, faded into the ground at places of a jittered grid."""
    cell = 2 * _REACH * width_px * 1.15
    columns, rows = (int(side // cell) for side in CANVAS)
    pixels, boxes = ground.astype(np.float32), []
    for portrait, place in zip(portraits, random.permutation(columns * rows).tolist(), strict=False):
        slack = cell - 2 * _REACH * width_px
        corner = np.array([place % columns, place // columns]) * cell + random.uniform(0, slack, 2)
        boxes.append(_paste(pixels, portrait, corner + _REACH * width_px, width_px))
    return Scene(pixels.round().clip(0, 255).astype(np.uint8), boxes)


def _paste(pixels: Float32Array, portrait: Portrait, middle: Float64Array, width_px: float) -> Box:
    """Paint the portrait's face around `middle`, between pixels; returns where its box came to lie."""
    box, scale = portrait.box, width_px / portrait.box.width
    centre = np.array([(box.left + box.right) / 2, (box.top + box.bottom) / 2])
    small = cv2.resize(portrait.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    growth = np.array(small.shape[1::-1]) / portrait.pixels.shape[1::-1]
    shift = middle - centre * growth
    reach = _REACH * width_px
    left, top = np.floor(middle - reach).astype(int).tolist()
    side = math.ceil(2 * reach) + 1
    to_patch = np.array([[1, 0, shift[0] - left], [0, 1, shift[1] - top]])
    patch = cv2.warpAffine(
        small.astype(np.float32), to_patch, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    rows, columns = np.mgrid[:side, :side]
    away = np.hypot(columns + left + 0.5 - middle[0], rows + top + 0.5 - middle[1]) / reach
    share = np.clip((1 - away) / 0.25, 0, 1)[..., None].astype(np.float32)
    under = pixels[top : top + side, left : left + side]
    height, width = under.shape[:2]
    under += (share * patch)[:height, :width] - share[:height, :width] * under
    half = np.array([box.width, box.height]) * growth / 2
    return Box(*(middle - half).tolist(), *(middle + half).tolist())


def plain_ground(level: int = 128) -> RgbImage:
    return np.full((CANVAS[1], CANVAS[0], 3), level, np.uint8)


def textured_ground(path: Path) -> RgbImage:
    """A picture without faces, mirrored at its edges until it fills the canvas."""
    pixels = read_rgb(path)
    height, width = pixels.shape[:2]
    below, beside = max(0, CANVAS[1] - height), max(0, CANVAS[0] - width)
    return np.asarray(
        cv2.copyMakeBorder(pixels, 0, below, 0, beside, cv2.BORDER_REFLECT)[: CANVAS[1], : CANVAS[0]], np.uint8
    )


def enlarged_still(path: Path, megapixels: float, random: np.random.Generator) -> RgbImage:
    """A photograph enlarged to so many megapixels, with the grain that a camera's own pixels would have."""
    pixels = read_rgb(path)
    scale = float(np.sqrt(megapixels * 1e6 / (pixels.shape[0] * pixels.shape[1])))
    large = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    grain = random.normal(0, _GRAIN, large.shape)
    return np.asarray(np.clip(np.rint(large + grain), 0, 255), np.uint8)


def montage(paths: Sequence[Path], megapixels: float) -> RgbImage:
    """Photographs at their own size, side by side and below one another, until so many megapixels are full: a crowd."""
    width = round(float(np.sqrt(megapixels * 1e6 * 4 / 3)))
    height = round(megapixels * 1e6 / width)
    canvas = np.zeros((height, width, 3), np.uint8)
    left = top = shelf = 0
    for picture in (read_rgb(paths[turn % len(paths)]) for turn in range(10 * len(paths))):
        if left >= width:
            left, top, shelf = 0, top + shelf, 0
        if top >= height:
            break
        part = picture[: height - top, : width - left]
        canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        left, shelf = left + picture.shape[1], max(shelf, picture.shape[0])
    return canvas
