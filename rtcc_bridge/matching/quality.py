"""How good a face is for comparison, measured in plain terms and said in plain words.

The components are those of ISO/IEC 29794-5 (face image quality) that a box, five landmarks and pixels can give. Each
has two limits, warned and refused. Those on size follow from rank-1 in a gallery of 500 with the default pack (48 px
wide .956, 32 px .888, 24 px .752, 16 px .380). Those on
exposure, light from one side and compression are about where rank-1 of degraded copies fell below .9 (warned) and .5
(refused) of that of the pictures themselves, see docs/quality.md; those on sharpness, brightness and dynamic range come
from an earlier measurement of that kind. Head pose comes from the landmarks alone: it warns early and refuses only what
is nearly a profile.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rtcc_bridge.matching import quality_measures as measures
from rtcc_bridge.matching.quality_curves import CURVES
from rtcc_bridge.matching.types import DetectedFace, Quality, QualityComponent, RgbImage, Verdict


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a component is warned of and where it is refused; their order says whether more or less is better.

    A value at a limit is still on its better side. An infinite `refused` never refuses.
    """

    warned: float
    refused: float

    def verdict(self, value: float) -> Verdict:
        sign = 1 if self.warned > self.refused else -1
        if sign * value < sign * self.refused:
            return Verdict.REFUSED
        return Verdict.WARNED if sign * value < sign * self.warned else Verdict.ACCEPTED


_NEVER_LOW, _NEVER_HIGH = -math.inf, math.inf

LIMITS = {
    "face_width": Limits(40, 24),
    "inter_eye_distance": Limits(18, 11),
    "crop_of_the_face": Limits(0.9, 0.6),
    "detection_confidence": Limits(0.9, _NEVER_LOW),
    "single_face_present": Limits(0.15, _NEVER_HIGH),
    "head_pose_yaw": Limits(30, 65),
    "head_pose_pitch": Limits(32, 60),
    "head_pose_roll": Limits(45, _NEVER_HIGH),
    "luminance_mean": Limits(45, 8),
    "under_exposure": Limits(0.5, _NEVER_HIGH),
    "over_exposure": Limits(0.5, 0.77),
    "dynamic_range": Limits(36, 10),
    "illumination_uniformity": Limits(0.16, _NEVER_LOW),
    "sharpness": Limits(20, 5),
    "compression_artifacts": Limits(1.7, 4.0),
    "occlusion": Limits(0.5, _NEVER_LOW),
}
"""By component, in its unit. A detector's own score, a hidden eye and a second face never refuse: what is a face, and
whose, is for the analyst to say."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """A component with its words: `stated` always, then what the verdict adds."""

    name: str
    value: float
    unit: str
    stated: str
    warned: str
    refused: str = "too poor to compare"

    @property
    def component(self) -> QualityComponent:
        verdict = LIMITS[self.name].verdict(self.value)
        remark = {Verdict.ACCEPTED: "", Verdict.WARNED: self.warned, Verdict.REFUSED: self.refused}[verdict]
        sentence = f"{self.stated}: {remark}" if remark else self.stated
        return QualityComponent(self.name, round(self.value, 3), self.unit, verdict, sentence)

    @property
    def share(self) -> float:
        """What is left of rank-1 at this value; 1 where nothing was learnt of it."""
        curve = CURVES.get(self.name)
        return curve.share(self.value) if curve else 1.0


def assess(image: RgbImage, face: DetectedFace, others: Sequence[DetectedFace] = ()) -> Quality:
    """Measure one face; `others` are the other faces of the picture.

    `unified_score` is 100 times the share of rank-1 that the worst of the measured properties leaves; 0 when one of
    them is refused. Takes about a millisecond.
    """
    measured = [*_size(image, face), _alone(face, others), *_pose(face)]
    if measures.eye_distance(face) >= 1:
        measured += _light(image, face)
    components = tuple(item.component for item in measured)
    refused = any(component.verdict is Verdict.REFUSED for component in components)
    return Quality(0 if refused else unified_score([item.share for item in measured]), components)


def unified_score(shares: Sequence[float]) -> int:
    """From 0 to 100. The worst share alone counts: docs/quality.md has how the product and other ways fared."""
    return round(100 * min(shares))


def _size(image: RgbImage, face: DetectedFace) -> list[_Measured]:
    width, eyes = face.box.width, measures.eye_distance(face)
    inside = measures.share_inside(face.box, image)
    return [
        _Measured(
            "face_width", width, "px", f"face {width:.0f} px wide",
            "small, candidates are less reliable", "too small to compare",
        ),
        _Measured(
            "inter_eye_distance", eyes, "px", f"eyes {eyes:.0f} px apart",
            "small, candidates are less reliable", "too small to compare",
        ),
        _Measured(
            "crop_of_the_face", inside, "share", f"{inside:.0%} of the face is in the picture",
            "part of it is cut off", "too much of it is cut off",
        ),
        _Measured(
            "detection_confidence", face.detection_score, "share",
            f"detected with {face.detection_score:.0%} confidence", "it may not be a face",
        ),
    ]  # fmt: skip


def _alone(face: DetectedFace, others: Sequence[DetectedFace]) -> _Measured:
    covered = measures.share_covered(face.box, [other.box for other in others if other is not face])
    stated = f"{covered:.0%} of the face lies in another face's box" if covered else "no other face overlaps this one"
    return _Measured("single_face_present", covered, "share", stated, "make sure that it is the right one")


def _pose(face: DetectedFace) -> list[_Measured]:
    yaw, pitch, roll = measures.pose_angles(face.landmarks)
    side = "left" if yaw < 0 else "right"
    direction = "down" if pitch > 0 else "up"
    return [
        _Measured(
            "head_pose_yaw", abs(yaw), "degrees", f"head turned about {abs(yaw):.0f}\N{DEGREE SIGN} to the {side}",
            "candidates are less reliable", "too far to compare",
        ),
        _Measured(
            "head_pose_pitch", abs(pitch), "degrees", f"head tilted about {abs(pitch):.0f}\N{DEGREE SIGN} {direction}",
            "candidates are less reliable", "too far to compare",
        ),
        _Measured(
            "head_pose_roll", abs(roll), "degrees", f"picture turned about {abs(roll):.0f}\N{DEGREE SIGN}",
            "turn it upright and try again",
        ),
    ]  # fmt: skip


def _light(image: RgbImage, face: DetectedFace) -> list[_Measured]:
    chip = measures.grey_chip(image, face.landmarks)
    grey = measures.face_of(chip)
    luminance, contrast = float(grey.mean()), measures.dynamic_range(grey)
    black, white = measures.shares_at_the_ends(grey)
    alike, sharpness = measures.light_agreement(grey), measures.relative_sharpness(grey)
    blocks, detail = measures.blockiness(image, face.box), measures.least_detail(chip)
    return [
        _Measured(
            "luminance_mean", luminance, "grey levels", f"brightness {luminance:.0f} of 255",
            "dark", "too dark to compare",
        ),
        _Measured(
            "under_exposure", black, "share", f"{black:.0%} of the face is nearly black",
            "details are lost in the dark",
        ),
        _Measured(
            "over_exposure", white, "share", f"{white:.0%} of the face is nearly white",
            "details are lost in the light", "too bright to compare",
        ),
        _Measured(
            "dynamic_range", contrast, "grey levels", f"contrast {contrast:.0f} of 255", "flat", "too flat to compare",
        ),
        _Measured(
            "illumination_uniformity", alike, "share", f"both sides of the face are lit alike to {alike:.0%}",
            "lit from one side, candidates are less reliable",
        ),
        _Measured(
            "sharpness", sharpness, "per mille", f"sharpness {sharpness:.0f}",
            "blurred, candidates are less reliable", "too blurred to compare",
        ),
        _Measured(
            "compression_artifacts", blocks, "ratio", f"compression blocks stand out by {blocks:.2f}",
            "much compressed, ask for the original file", "too much compressed to compare",
        ),
        _Measured(
            "occlusion", detail, "ratio", f"the plainest of eyes and mouth has {detail:.2f} of the face's detail",
            "an eye or the mouth may be hidden",
        ),
    ]  # fmt: skip
