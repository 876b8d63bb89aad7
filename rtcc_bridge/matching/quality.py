"""How good a face is for comparison, measured in plain terms and said in plain words.

The components are those of ISO/IEC 29794-5 (face image quality) that five landmarks and pixels can give: a first cut.
Thresholds on size follow from rank-1 in a gallery of 500 with the default pack (48 px wide .956, 32 px .888, 24 px
.752, 16 px .380); those on sharpness, luminance and dynamic range from the same faces blurred, darkened and flattened
until rank-1 fell below .9 (warned) and below .5 (refused). Head pose comes from the landmarks alone and is a proxy: it
warns early and refuses only what is nearly a profile.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from rtcc_bridge.matching.align import extract_chip
from rtcc_bridge.matching.types import (
    Box,
    DetectedFace,
    Float64Array,
    Quality,
    QualityComponent,
    RgbImage,
    Verdict,
)

_CHIP_SIZE = 96
_CHIP_TEMPLATE = np.array([[32, 38], [64, 38], [48, 57], [35, 74], [61, 74]], np.float64)
"""A frontal face with its eyes 32 px apart: the scale at which light and sharpness are measured, whatever the model."""

_CHIP_FACE = (slice(20, 88), slice(16, 80))
"""Rows and columns of the chip from the brows to the chin, without hair and background."""

_NOSE_DEPTH = 0.5
"""How far the nose tip stands out, as a share of the eyes' distance (and of eyes to mouth): about 32 of 63 mm."""

_NOSE_HEIGHT = 0.544
"""Where a frontal nose tip lies on the way from the eyes to the mouth."""

_ROUNDING_NOISE = 20 / 12
"""The Laplacian's variance that rounding to whole greys alone gives: 20 (sum of the squared kernel) times 1/12."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps a measured value to a verdict and to a share from 0 (refused) to 1 (ideal).

    `refused` and `ideal` say by their order whether more or less is better; `warned` lies between them.
    """

    refused: float
    warned: float
    ideal: float

    def verdict(self, value: float) -> Verdict:
        sign = math.copysign(1, self.ideal - self.refused)
        if sign * value < sign * self.refused:
            return Verdict.REFUSED
        return Verdict.WARNED if sign * value < sign * self.warned else Verdict.ACCEPTED

    def share(self, value: float) -> float:
        return min(1.0, max(0.0, (value - self.refused) / (self.ideal - self.refused)))


FACE_WIDTH = Scale(24, 40, 120)
EYE_DISTANCE = Scale(11, 18, 54)
CROP = Scale(0.6, 0.9, 1.0)
YAW = Scale(65, 30, 0)
PITCH = Scale(60, 32, 0)
ROLL = Scale(181, 45, 0)
SHARPNESS = Scale(5, 20, 100)
DARKNESS = Scale(8, 45, 90)
BRIGHTNESS = Scale(248, 210, 165)
DYNAMIC_RANGE = Scale(10, 36, 90)
DETECTION = Scale(0, 0.9, 1.0)
"""A detector's own score never refuses: what is a face is for the analyst to say."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """A component with its words: `stated` always, then what the verdict adds."""

    name: str
    value: float
    unit: str
    scale: Scale
    stated: str
    warned: str
    refused: str

    @property
    def component(self) -> QualityComponent:
        verdict = self.scale.verdict(self.value)
        remark = {Verdict.ACCEPTED: "", Verdict.WARNED: f": {self.warned}", Verdict.REFUSED: f": {self.refused}"}
        return QualityComponent(self.name, round(self.value, 3), self.unit, verdict, self.stated + remark[verdict])


def assess(image: RgbImage, face: DetectedFace) -> Quality:
    """Measure one face. `unified_score` = round(100 * sqrt(w * m)), w the worst, m the mean of the components' shares.

    So one bad property pulls the score down however good the others are, and a refused one makes it 0.
    """
    measured = [*_size(image, face), *_pose(face)]
    eye_distance = _eye_distance(face)
    if eye_distance >= 1:
        measured += _light(image, face)
    shares = [item.scale.share(item.value) for item in measured]
    score = round(100 * math.sqrt(min(shares) * sum(shares) / len(shares)))
    return Quality(score, tuple(item.component for item in measured))


def _eye_distance(face: DetectedFace) -> float:
    left, right = face.landmarks[:2].astype(np.float64)
    return float(np.linalg.norm(right - left))


def _size(image: RgbImage, face: DetectedFace) -> list[_Measured]:
    width, eyes = face.box.width, _eye_distance(face)
    inside = _share_inside(face.box, image)
    return [
        _Measured(
            "face_width", width, "px", FACE_WIDTH, f"face {width:.0f} px wide",
            "small, candidates are less reliable", "too small to compare",
        ),
        _Measured(
            "inter_eye_distance", eyes, "px", EYE_DISTANCE, f"eyes {eyes:.0f} px apart",
            "small, candidates are less reliable", "too small to compare",
        ),
        _Measured(
            "crop_of_the_face", inside, "share", CROP, f"{inside:.0%} of the face is in the picture",
            "part of it is cut off", "too much of it is cut off",
        ),
        _Measured(
            "detection_confidence", face.detection_score, "share", DETECTION,
            f"detected with {face.detection_score:.0%} confidence", "it may not be a face", "it is not a face",
        ),
    ]  # fmt: skip


def _pose(face: DetectedFace) -> list[_Measured]:
    yaw, pitch, roll = pose_angles(face.landmarks.astype(np.float64))
    side = "left" if yaw < 0 else "right"
    direction = "down" if pitch > 0 else "up"
    return [
        _Measured(
            "head_pose_yaw", abs(yaw), "degrees", YAW, f"head turned about {abs(yaw):.0f}\N{DEGREE SIGN} to the {side}",
            "candidates are less reliable", "too far to compare",
        ),
        _Measured(
            "head_pose_pitch", abs(pitch), "degrees", PITCH,
            f"head tilted about {abs(pitch):.0f}\N{DEGREE SIGN} {direction}",
            "candidates are less reliable", "too far to compare",
        ),
        _Measured(
            "head_pose_roll", abs(roll), "degrees", ROLL, f"picture turned about {abs(roll):.0f}\N{DEGREE SIGN}",
            "turn it upright and try again", "turn it upright and try again",
        ),
    ]  # fmt: skip


def pose_angles(landmarks: Float64Array) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from five landmarks (5, 2): a proxy, good to perhaps ten degrees.

    Yaw: how far the nose tip lies beside the middle of eyes and mouth (positive: towards the picture's right). Pitch:
    how far it lies below its place between eyes and mouth (positive: looking down). Both take the nose for a stick of
    known length that points where the head points. Landmarks that coincide give 90 degrees: no pose can be told.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across, down = right_eye - left_eye, mouth - eyes
    eye_distance, eye_to_mouth = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    if min(eye_distance, eye_to_mouth) < 1e-3:
        return 90.0, 90.0, 0.0
    sideways = float((nose - (eyes + mouth) / 2) @ across) / eye_distance**2
    lowered = float((nose - eyes) @ down) / eye_to_mouth**2 - _NOSE_HEIGHT
    roll = math.degrees(math.atan2(across[1], across[0]))
    return math.degrees(math.atan(sideways / _NOSE_DEPTH)), math.degrees(math.atan(lowered / _NOSE_DEPTH)), roll


def _light(image: RgbImage, face: DetectedFace) -> list[_Measured]:
    chip = extract_chip(image, face.landmarks, _CHIP_TEMPLATE, _CHIP_SIZE)
    grey = np.asarray(cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY), np.float64)[_CHIP_FACE]
    luminance = float(grey.mean())
    low, high = np.quantile(grey, (0.05, 0.95))
    dynamic_range = float(high - low)
    sharpness = relative_sharpness(grey)
    too_dark = luminance < (DARKNESS.warned + BRIGHTNESS.warned) / 2
    return [
        _Measured(
            "luminance_mean", luminance, "grey levels", DARKNESS if too_dark else BRIGHTNESS,
            f"brightness {luminance:.0f} of 255",
            "dark" if too_dark else "very bright", "too dark to compare" if too_dark else "too bright to compare",
        ),
        _Measured(
            "dynamic_range", dynamic_range, "grey levels", DYNAMIC_RANGE, f"contrast {dynamic_range:.0f} of 255",
            "flat", "too flat to compare",
        ),
        _Measured(
            "sharpness", sharpness, "per mille", SHARPNESS, f"sharpness {sharpness:.0f}",
            "blurred, candidates are less reliable", "too blurred to compare",
        ),
    ]  # fmt: skip


def relative_sharpness(grey: Float64Array) -> float:
    """The Laplacian's variance, without what rounding adds, in thousandths of the grey values' own variance.

    Relative, so that a dark or flat picture does not pass for a blurred one.
    """
    edges = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    return 1000 * max(0.0, edges - _ROUNDING_NOISE) / max(1.0, float(grey.var()))


def _share_inside(box: Box, image: RgbImage) -> float:
    height, width = image.shape[:2]
    across = max(0.0, min(box.right, width) - max(box.left, 0))
    down = max(0.0, min(box.bottom, height) - max(box.top, 0))
    area = box.width * box.height
    return across * down / area if area > 0 else 0.0
