"""What can be measured of a face from its box, five landmarks and pixels, each as one number. Nothing is judged here.

Names and ideas are those of ISO/IEC 29794-5 (face image quality) where it has them; it measures on more landmarks than
five, so the figures are not comparable with those of its reference software.
"""

import cmath
import math
from collections.abc import Sequence

import cv2
import numpy as np

from rtcc_bridge.matching.align import extract_grey_chip
from rtcc_bridge.matching.types import Box, DetectedFace, Float32Array, Float64Array, GreyImage, Int64Array, RgbImage

_CHIP_SIZE = 96
_CHIP_TEMPLATE = np.array([[32, 38], [64, 38], [48, 57], [35, 74], [61, 74]], np.float64)
"""A frontal face with its eyes 32 px apart: the scale at which light and sharpness are measured, whatever the model."""

_FACE = (slice(20, 88), slice(16, 80))
"""Rows and columns of the chip from the brows to the chin, without hair and background."""
_PARTS = ((slice(33, 43), slice(26, 38)), (slice(33, 43), slice(58, 70)), (slice(69, 79), slice(38, 58)))
"""Of the chip: the two eyes and the mouth, narrowly, so that what covers them covers all of the part."""

_NOSE_DEPTH = 0.5
"""How far the nose tip stands out, as a share of the eyes' distance (and of eyes to mouth): about 32 of 63 mm."""
_NOSE_HEIGHT = 0.544
"""Where a frontal nose tip lies on the way from the eyes to the mouth."""

_ROUNDING_NOISE = 20 / 12
"""The Laplacian's variance that rounding to whole greys alone gives: 20 (sum of the squared kernel) times 1/12."""

_NEARLY_BLACK, _NEARLY_WHITE = 25, 247
"""ISO/IEC 29794-5 counts what is at most 25, and at least 247, as exposed too little and too much."""
_LIGHT_BINS = 32

_BLOCK = 8
"""Side of a JPEG's blocks (ITU-T T.81)."""
_BLOCK_REACH = 0.25
_MOST_BLOCK_PIXELS = 512
_LEAST_STEP = 0.5
"""A mean difference between neighbours, in grey levels, that rounding alone can give."""


def eye_distance(face: DetectedFace) -> float:
    """Pixels between the eyes' middles as they are seen; of a turned head that is less than straight on."""
    return math.dist(*face.landmarks[:2].tolist())


def pose_angles(landmarks: Float32Array | Float64Array) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from five landmarks (5, 2): a proxy, good to perhaps ten degrees.

    Yaw: how far the nose tip lies beside the middle of eyes and mouth (positive: towards the picture's right). Pitch:
    how far it lies below its place between eyes and mouth (positive: looking down). Both take the nose for a stick of
    known length that points where the head points (A. Gee and R. Cipolla, Determining the gaze of faces in images,
    Image and Vision Computing 12(10), 1994). Landmarks that coincide give 90 degrees: no pose can be told.
    """
    # As complex numbers: the real part of a quotient is how far the one points along the other.
    left_eye, right_eye, nose, left_mouth, right_mouth = (complex(*point) for point in landmarks.tolist())
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across, down = right_eye - left_eye, mouth - eyes
    if min(abs(across), abs(down)) < 1e-3:
        return 90.0, 90.0, 0.0
    sideways = ((nose - (eyes + mouth) / 2) / across).real
    lowered = ((nose - eyes) / down).real - _NOSE_HEIGHT
    roll = math.degrees(cmath.phase(across))
    return math.degrees(math.atan(sideways / _NOSE_DEPTH)), math.degrees(math.atan(lowered / _NOSE_DEPTH)), roll


def share_inside(box: Box, image: RgbImage) -> float:
    """Which share of the box's area lies in the picture."""
    height, width = image.shape[:2]
    return _shared(box, Box(0, 0, width, height))


def share_covered(box: Box, others: Sequence[Box]) -> float:
    """The largest share of the box's area that lies in one of the other boxes."""
    return max((_shared(box, other) for other in others), default=0.0)


def _shared(box: Box, other: Box) -> float:
    across = max(0.0, min(box.right, other.right) - max(box.left, other.left))
    down = max(0.0, min(box.bottom, other.bottom) - max(box.top, other.top))
    area = box.width * box.height
    return across * down / area if area > 0 else 0.0


def grey_chip(image: RgbImage, landmarks: Float32Array) -> GreyImage:
    """The face upright with its eyes 32 px apart, uint8 (96, 96). ValueError: landmarks coincide."""
    return extract_grey_chip(image, landmarks, _CHIP_TEMPLATE, _CHIP_SIZE)


def face_of(chip: GreyImage) -> GreyImage:
    """The chip from the brows to the chin, uint8 (68, 64)."""
    return chip[_FACE]


def shares_at_the_ends(grey: GreyImage) -> tuple[float, float]:
    """The shares of pixels that are nearly black and nearly white."""
    black, white = (np.count_nonzero(pixels) for pixels in (grey <= _NEARLY_BLACK, grey >= _NEARLY_WHITE))
    return black / grey.size, white / grey.size


def dynamic_range(grey: GreyImage) -> float:
    """Grey levels between the darkest and the brightest twentieth of the pixels."""
    up_to = np.bincount(grey.ravel(), minlength=256).cumsum()
    return _quantile(up_to, 0.95) - _quantile(up_to, 0.05)


def _quantile(up_to: Int64Array, share: float) -> float:
    """What `numpy.quantile` gives, to the bit, where `up_to[n]` of the numbers are at most n: nothing is sorted."""
    place = (int(up_to[-1]) - 1) * share
    before = math.floor(place)
    low, high = (int(level) for level in np.searchsorted(up_to, (before, before + 1), side="right"))
    after = place - before
    return low + (high - low) * after if after < 0.5 else high - (high - low) * (1 - after)


def light_agreement(grey: GreyImage) -> float:
    """How alike both halves of the face are lit: what their luminance histograms share, from 0 to 1.

    The illumination uniformity of ISO/IEC 29794-5, there measured on two patches of the cheeks.
    """
    half = grey.shape[1] // 2
    left, right = (
        np.bincount(part.ravel() // (256 // _LIGHT_BINS), minlength=_LIGHT_BINS) / part.size
        for part in (grey[:, :half], grey[:, -half:])
    )
    return float(np.minimum(left, right).sum())


def relative_sharpness(grey: GreyImage | Float64Array) -> float:
    """The Laplacian's variance, without what rounding adds, in thousandths of the grey values' own variance.

    The Laplacian's variance: J. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    Relative, so that a dark or flat picture does not pass for a blurred one.
    """
    edges = _variance(np.asarray(cv2.Laplacian(grey, cv2.CV_64F), np.float64))
    return 1000 * max(0.0, edges - _ROUNDING_NOISE) / max(1.0, _variance(grey))


def _variance(values: GreyImage | Float64Array) -> float:
    """`numpy.var` makes copies of it, and takes four times as long."""
    return float(cv2.meanStdDev(values)[1][0, 0]) ** 2


def least_detail(chip: GreyImage) -> float:
    """The detail of the plainest of both eyes and the mouth, as a share of the whole face's.

    Detail is the mean step between neighbouring pixels. Eyes and mouth have more of it than skin; what hides one of
    them (glass, a hand, a mask) mostly has less. A pattern on it may have as much: this cannot prove that nothing is
    hidden.
    """
    down, across = cv2.absdiff(chip[1:, :-1], chip[:-1, :-1]), cv2.absdiff(chip[:-1, 1:], chip[:-1, :-1])
    steps = cv2.add(down, across, dtype=cv2.CV_16U)
    whole, *parts = (cv2.mean(steps[place])[0] for place in (_FACE, *_PARTS))
    return min(parts) / max(_LEAST_STEP, whole)


def blockiness(image: RgbImage, box: Box) -> float:
    """How far the borders of 8 x 8 blocks stand out around the face: 0 where there are none, about 1 in a poor JPEG.

    The mean step between neighbouring pixels is taken for each of the eight places that a border can have, since a
    picture may have been cut after it was compressed; the largest is compared with the next, in units of the others'
    mean. (Cf. Z. Wang, H. Sheikh and A. Bovik, No-reference perceptual quality assessment of JPEG compressed images,
    ICIP 2002, where the place is known.) A picture that was shrunk or enlarged since shows nothing.
    """
    grey = _around(image, box)
    if min(grey.shape) <= 2 * _BLOCK:
        return 0.0
    across: GreyImage = np.asarray(cv2.absdiff(grey[:, 1:], grey[:, :-1]), np.uint8)
    down: GreyImage = np.asarray(cv2.absdiff(grey[1:], grey[:-1]), np.uint8)
    return (_border_strength(across, 0) + _border_strength(down, 1)) / 2


def _around(image: RgbImage, box: Box) -> GreyImage:
    """The picture around the box's middle, at most 512 px a side, in grey."""
    height, width = image.shape[:2]
    bounds = []
    for low, high, side in ((box.top, box.bottom, height), (box.left, box.right, width)):
        half = min((0.5 + _BLOCK_REACH) * (high - low), _MOST_BLOCK_PIXELS / 2)
        middle = (low + high) / 2
        bounds.append(slice(max(0, round(middle - half)), max(0, min(side, round(middle + half)))))
    part = image[bounds[0], bounds[1]]
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8) if part.size else np.empty((0, 0), np.uint8)


def _border_strength(steps: GreyImage, along: int) -> float:
    """steps: between neighbours. along: the axis in which the borders that they cross run."""
    sums = cv2.reduce(steps, along, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    blocks = len(sums) // _BLOCK
    by_place = sums[: blocks * _BLOCK].reshape(blocks, _BLOCK).sum(axis=0).tolist()
    means: list[float] = sorted(total / (blocks * steps.shape[along]) for total in by_place)
    return (means[-1] - means[-2]) / max(_LEAST_STEP, math.fsum(means[:-1]) / (_BLOCK - 1))
