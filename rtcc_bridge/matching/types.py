"""The values that travel through the face work. Plain frozen data; arrays are never written to after creation.

What comes by the thousand in one search is a named tuple, which is made in a quarter of a dataclass's time.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

RgbImage: TypeAlias = npt.NDArray[np.uint8]
"""uint8, shape (height, width, 3), channels in the order red, green, blue."""

GreyImage: TypeAlias = npt.NDArray[np.uint8]
"""uint8, shape (height, width): luma, ITU-R BT.601."""

Float16Array: TypeAlias = npt.NDArray[np.float16]
Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Int8Array: TypeAlias = npt.NDArray[np.int8]
WholeScores: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.float64]
"""Whole numbers below 2^31, in either type."""

Int32Array: TypeAlias = npt.NDArray[np.int32]
Int64Array: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in pixels; may reach over the image's edge. right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True, eq=False)
class DetectedFace:
    """One face as the detector reports it, in pixels of the image that was given to the pipeline.

    landmarks: float32 (5, 2), x and y of the left eye, right eye, nose tip, left and right mouth corner
    as they appear in the picture (the left eye is the one nearer to the picture's left edge in a frontal face).
    """

    box: Box
    landmarks: Float32Array
    detection_score: float


class Verdict(StrEnum):
    """What the quality gate says of a face: a refusal is a result, not an error."""

    ACCEPTED = "accepted"
    WARNED = "warned"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class QualityComponent:
    """One measured property of a face (ISO/IEC 29794-5 component name where it has one)."""

    name: str
    value: float
    unit: str
    verdict: Verdict
    sentence: str
    """What a person reads, for example: "eyes 14 px apart: too small to compare"."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of one face.

    unified_score: the share of rank-1 that the worst component leaves, in hundredths; 0 where one is refused. How it
    was learnt: docs/quality.md.
    """

    unified_score: int
    components: tuple[QualityComponent, ...]

    @property
    def verdict(self) -> Verdict:
        found = {component.verdict for component in self.components}
        for verdict in (Verdict.REFUSED, Verdict.WARNED):
            if verdict in found:
                return verdict
        return Verdict.ACCEPTED

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is wrong, in plain words, the refusals first."""
        return tuple(
            component.sentence
            for verdict in (Verdict.REFUSED, Verdict.WARNED)
            for component in self.components
            if component.verdict is verdict
        )


@dataclass(frozen=True, slots=True, eq=False)
class NumberedFace:
    """A face as it is offered to the analyst; numbers run from 1, left to right."""

    number: int
    face: DetectedFace
    quality: Quality


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """The cut-out of the one chosen face that travels on to the matcher.

    pixels: uint8 (height, width, 3) RGB, those of the picture as they are unless the longer side would be over
    `crop.MAX_SIDE_PX`; then shrunk to that, and never compressed. landmarks: float32 (5, 2) in pixels of the crop.
    """

    pixels: RgbImage
    landmarks: Float32Array


class Lane(StrEnum):
    """The two priority lanes. Imminent work is always served before routine work."""

    IMMINENT = "imminent"
    ROUTINE = "routine"


class ScoredImage(NamedTuple):
    """One gallery image with its similarity score to the probe (higher is more alike)."""

    image_id: int
    similarity_score: float


class Candidate(NamedTuple):
    """One person of a candidate list: the best photo decides the place, the others are listed after it."""

    subject_id: int
    best: ScoredImage
    others: tuple[ScoredImage, ...]

    @property
    def similarity_score(self) -> float:
        return self.best.similarity_score


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval (95 % unless said otherwise)."""

    value: float
    low: float
    high: float
