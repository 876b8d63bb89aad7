"""Makes a picture of a face worse in one known way, in steps from slight to hopeless."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np

from rtcc_bridge.matching.types import DetectedFace, Float32Array, Float64Array, RgbImage

_SENSOR_NOISE = 2.0
"""Standard deviation, in grey levels, of what a camera adds in the dark."""

_GLASS, _MASK = (15, 15, 15), (170, 200, 215)


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A picture, where the face's middle now is and how wide its box is, in pixels.

    face: as it was found in the picture before anything was done to it. random: for what is left to chance.
    """

    pixels: RgbImage
    middle: tuple[float, float]
    face_width: float
    face: DetectedFace
    random: np.random.Generator

    @property
    def scale(self) -> float:
        return self.face_width / self.face.box.width

    @property
    def landmarks(self) -> Float32Array:
        """The face's landmarks after what was done to the picture so far."""
        box = self.face.box
        middle = np.array([(box.left + box.right) / 2, (box.top + box.bottom) / 2])
        return np.asarray((self.face.landmarks - middle) * self.scale + self.middle, np.float32)

    @property
    def eye_distance(self) -> float:
        return float(np.linalg.norm(self.face.landmarks[1] - self.face.landmarks[0])) * self.scale

    def noise(self) -> Float64Array:
        return self.random.normal(0, _SENSOR_NOISE, self.pixels.shape)

    def showing(self, values: Float32Array | Float64Array) -> "Still":
        return replace(self, pixels=values.round().clip(0, 255).astype(np.uint8))


Degradation: TypeAlias = Callable[[Still, float], Still]


def _shrunk(still: Still, width_px: float) -> Still:
    scale = min(1.0, width_px / still.face_width)
    pixels = cv2.resize(still.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    middle = (still.middle[0] * scale, still.middle[1] * scale)
    return replace(still, pixels=np.asarray(pixels, np.uint8), middle=middle, face_width=still.face_width * scale)


def _blurred(still: Still, share: float) -> Still:
    """Gaussian, its sigma a share of the eyes' distance."""
    return still.showing(np.asarray(cv2.GaussianBlur(still.pixels, (0, 0), share * still.eye_distance), np.float32))


def _dark(still: Still, gain: float) -> Still:
    return still.showing(still.pixels * gain + still.noise())


def _bright(still: Still, gain: float) -> Still:
    return still.showing(still.pixels * gain)


def _flat(still: Still, contrast: float) -> Still:
    return still.showing(128 + (still.pixels.astype(np.float32) - 128) * contrast)


def _side_lit(still: Still, lost: float) -> Still:
    """Light that falls off across the face until so large a share of it is lost."""
    columns = np.arange(still.pixels.shape[1])
    across = np.clip((columns - still.middle[0]) / (0.8 * still.face_width) + 0.5, 0, 1)
    ramp = across if still.random.uniform() < 0.5 else 1 - across
    return still.showing(still.pixels * (1 - lost * ramp)[None, :, None] + still.noise())


def _compressed(still: Still, quality: float) -> Still:
    bgr = cv2.cvtColor(still.pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return still.showing(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.float32))


def _cut(still: Still, kept: float) -> Still:
    """The picture's edge goes through the face, from the left, the right or below, so that a share of it is kept."""
    width, height = still.face_width, still.face_width * still.face.box.height / still.face.box.width
    x, y = still.middle
    side = still.random.integers(3)
    if side == 0:
        start = max(0, round(x - width / 2 + (1 - kept) * width))
        return replace(still, pixels=np.ascontiguousarray(still.pixels[:, start:]), middle=(x - start, y))
    if side == 1:
        return replace(still, pixels=np.ascontiguousarray(still.pixels[:, : round(x - width / 2 + kept * width)]))
    return replace(still, pixels=np.ascontiguousarray(still.pixels[: round(y - height / 2 + kept * height)]))


def _glasses(still: Still, reach: float) -> Still:
    """Dark glasses; `reach` is half a glass's width in distances of the eyes."""
    pixels = still.pixels.copy()
    axes = (max(1, round(reach * still.eye_distance)), max(1, round(0.8 * reach * still.eye_distance)))
    for eye in still.landmarks[:2].round().astype(int).tolist():
        cv2.ellipse(pixels, eye, axes, 0, 0, 360, _GLASS, -1)
    return replace(still, pixels=pixels)


def _masked(still: Still, reach: float) -> Still:
    """A mask from the nose to below the mouth by `reach` distances of the eyes."""
    points = still.landmarks
    middle = points[3:].mean(axis=0)
    return _painted(still, points[2, 1], middle[1] + reach * still.eye_distance, float(middle[0]), _MASK)


def _barred(still: Still, reach: float) -> Still:
    """A bar of the face's own colour over the eyes, `reach` distances of the eyes up and down."""
    points = still.landmarks
    middle, half = points[:2].mean(axis=0), reach * still.eye_distance
    x, y = np.clip(points[2].round().astype(int), 0, np.array(still.pixels.shape[1::-1]) - 1).tolist()
    return _painted(still, middle[1] - half, middle[1] + half, float(middle[0]), still.pixels[y, x].tolist())


def _painted(still: Still, top: float, bottom: float, middle: float, colour: Sequence[int]) -> Still:
    pixels, half = still.pixels.copy(), 0.9 * still.eye_distance
    cv2.rectangle(
        pixels, (round(middle - half), round(float(top))), (round(middle + half), round(float(bottom))), colour, -1
    )
    return replace(still, pixels=pixels)


DEGRADATIONS: Mapping[str, tuple[Degradation, Sequence[float]]] = {
    "shrunk": (_shrunk, (64, 48, 40, 32, 24, 20, 16)),
    "blurred": (_blurred, (0.06, 0.1, 0.14, 0.2, 0.3)),
    "dark": (_dark, (0.25, 0.12, 0.06, 0.03, 0.015)),
    "bright": (_bright, (2.4, 4.0, 8.0, 16.0)),
    "flat": (_flat, (0.2, 0.1, 0.05, 0.025)),
    "side-lit": (_side_lit, (0.9, 1.0)),
    "compressed": (_compressed, (20, 10, 5, 2)),
    "cut": (_cut, (0.85, 0.7, 0.6)),
    "dark glasses": (_glasses, (0.33,)),
    "masked": (_masked, (0.7,)),
    "bar over the eyes": (_barred, (0.25,)),
}
"""By name: how, and the steps from slight to hopeless."""
