"""The quality gate measures what it names, and says it so that a person knows what to do."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.quality import Scale, assess, pose_angles, relative_sharpness
from rtcc_bridge.matching.types import (
    Box,
    DetectedFace,
    Float32Array,
    Quality,
    QualityComponent,
    RgbImage,
    Verdict,
)
from tests.unit.matching.pictures import PORTRAIT_LANDMARKS, face_at, portrait


def _component(quality: Quality, name: str) -> QualityComponent:
    (found,) = (component for component in quality.components if component.name == name)
    return found


def _assessed(image: RgbImage, landmarks: Float32Array = PORTRAIT_LANDMARKS, width: float = 86) -> Quality:
    return assess(image, face_at(landmarks, width))


def _shrunk(scale: float) -> Quality:
    small = cv2.resize(portrait(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return _assessed(np.asarray(small, np.uint8), (PORTRAIT_LANDMARKS * scale).astype(np.float32), 86 * scale)


def test_a_good_portrait_is_accepted() -> None:
    quality = _assessed(portrait())
    assert quality.verdict is Verdict.ACCEPTED, quality.sentences
    assert quality.unified_score >= 60
    assert quality.sentences == ()


def test_the_sentence_for_a_small_face_says_how_small() -> None:
    eyes = _component(_shrunk(0.2), "inter_eye_distance")
    assert eyes.verdict is Verdict.REFUSED
    assert eyes.sentence == "eyes 9 px apart: too small to compare"
    assert eyes.unit == "px"


@pytest.mark.parametrize(
    ("width", "verdict"),
    [(23.9, Verdict.REFUSED), (24.0, Verdict.WARNED), (39.9, Verdict.WARNED), (40.0, Verdict.ACCEPTED)],
)
def test_width_is_refused_below_24_and_warned_below_40(width: float, verdict: Verdict) -> None:
    assert _component(_assessed(portrait(), width=width), "face_width").verdict is verdict


def test_refusals_come_before_warnings() -> None:
    quality = _shrunk(0.25)
    assert quality.verdict is Verdict.REFUSED
    assert "too small to compare" in quality.sentences[0]
    assert quality.unified_score == 0


def test_smaller_is_never_better() -> None:
    scores = [_shrunk(scale).unified_score for scale in (1.0, 0.7, 0.5, 0.35, 0.2)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]


def _blurred(share_of_eye_distance: float) -> Quality:
    return _assessed(np.asarray(cv2.GaussianBlur(portrait(), (0, 0), 43 * share_of_eye_distance), np.uint8))


def test_blur_is_warned_and_then_refused() -> None:
    verdicts = [_component(_blurred(sigma), "sharpness").verdict for sigma in (0.01, 0.12, 0.3)]
    assert verdicts == [Verdict.ACCEPTED, Verdict.WARNED, Verdict.REFUSED]


@pytest.mark.parametrize("contrast", [0.5, 0.25])
def test_a_flat_picture_is_not_taken_for_a_blurred_one(contrast: float) -> None:
    flat = (128 + (portrait().astype(float) - 128) * contrast).astype(np.uint8)
    assert _component(_assessed(flat), "sharpness").verdict is Verdict.ACCEPTED


def test_rounding_noise_is_not_taken_for_sharpness() -> None:
    ramp = np.tile(np.linspace(0, 30, 64), (64, 1)).round()
    assert relative_sharpness(ramp) < 30
    noisy = ramp + np.random.default_rng(10).normal(size=ramp.shape) * 10
    assert relative_sharpness(noisy) > 1000


@pytest.mark.parametrize(
    ("brightness", "word"), [(0.25, "dark"), (0.02, "too dark to compare"), (2.2, "very bright"), (30, "too bright")]
)
def test_wrong_exposure_is_named(brightness: float, word: str) -> None:
    exposed = np.clip(portrait().astype(float) * brightness, 0, 255).astype(np.uint8)
    light = _component(_assessed(exposed), "luminance_mean")
    assert light.verdict is (Verdict.REFUSED if word.startswith("too") else Verdict.WARNED)
    assert word in light.sentence


def test_no_contrast_is_refused() -> None:
    grey = np.full_like(portrait(), 128)
    contrast = _component(_assessed(grey), "dynamic_range")
    assert (contrast.verdict, contrast.value) == (Verdict.REFUSED, 0)


def test_a_face_cut_off_by_the_edge_is_warned_and_then_refused() -> None:
    verdicts = []
    for left in (150, 195, 240):
        face = DetectedFace(
            Box(183 - left, 70, 269 - left, 182), PORTRAIT_LANDMARKS - np.array([left, 0], np.float32), 0.99
        )
        verdicts.append(_component(assess(portrait()[:, left:], face), "crop_of_the_face").verdict)
    assert verdicts == [Verdict.ACCEPTED, Verdict.WARNED, Verdict.REFUSED]


def _head(yaw: float, pitch: float, roll: float) -> Float32Array:
    """Landmarks of a head of points in space, turned and seen from far away."""
    points = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0, 0.044, 0.5], [-0.4, 0.5, 0], [0.4, 0.5, 0]])
    a, b, c = np.radians([yaw, pitch, roll])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    lean = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    seen = points @ (lean @ tilt @ turn).T
    return np.asarray(seen[:, :2] * 60 + 256, np.float32)


@pytest.mark.parametrize("angle", [-60, -35, -10, 0, 10, 35, 60])
def test_head_pose_is_recovered_from_a_head_of_that_shape(angle: float) -> None:
    yaw, _, _ = pose_angles(_head(angle, 0, 0).astype(np.float64))
    _, pitch, _ = pose_angles(_head(0, angle, 0).astype(np.float64))
    _, _, roll = pose_angles(_head(0, 0, angle).astype(np.float64))
    assert (yaw, pitch, roll) == pytest.approx((angle, angle, angle), abs=2)


def test_a_turned_head_is_warned_and_a_profile_refused() -> None:
    verdicts = [_component(_assessed(portrait(), _head(yaw, 0, 0)), "head_pose_yaw").verdict for yaw in (10, -40, 75)]
    assert verdicts == [Verdict.ACCEPTED, Verdict.WARNED, Verdict.REFUSED]
    sentence = _component(_assessed(portrait(), _head(-40, 0, 0)), "head_pose_yaw").sentence
    assert sentence.startswith("head turned about 40\N{DEGREE SIGN} to the left")


def test_a_picture_on_its_side_is_warned_not_refused() -> None:
    roll = _component(_assessed(portrait(), _head(0, 0, 170)), "head_pose_roll")
    assert roll.verdict is Verdict.WARNED
    assert "turn it upright" in roll.sentence


@pytest.mark.parametrize("landmarks", [np.zeros((5, 2), np.float32), np.full((5, 2), 300, np.float32)])
def test_landmarks_that_coincide_are_refused_and_do_not_crash(landmarks: Float32Array) -> None:
    quality = _assessed(portrait(), landmarks)
    assert quality.verdict is Verdict.REFUSED
    assert quality.unified_score == 0


@given(st.floats(-1e3, 1e3), st.sampled_from([Scale(24, 40, 120), Scale(65, 30, 0)]))
def test_verdict_and_share_agree(value: float, scale: Scale) -> None:
    share = scale.share(value)
    assert 0 <= share <= 1
    if scale.verdict(value) is Verdict.REFUSED:
        assert share == 0
    if share == 1:
        assert scale.verdict(value) is Verdict.ACCEPTED


def test_every_sentence_is_one_a_person_can_read() -> None:
    for quality in (_assessed(portrait()), _shrunk(0.2), _blurred(0.3)):
        for component in quality.components:
            assert component.sentence
            assert component.sentence.isprintable()
            assert component.unit
