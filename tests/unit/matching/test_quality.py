"""The quality gate measures what it names, and says it so that a person knows what to do."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.quality import LIMITS, assess, unified_score
from rtcc_bridge.matching.types import (
    Box,
    DetectedFace,
    Float32Array,
    Quality,
    QualityComponent,
    RgbImage,
    Verdict,
)
from tests.unit.matching.pictures import PORTRAIT_LANDMARKS, face_at, head, portrait


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


@pytest.mark.parametrize(
    ("brightness", "name", "word"),
    [
        (0.25, "luminance_mean", "dark"),
        (0.02, "luminance_mean", "too dark to compare"),
        (0.02, "under_exposure", "lost in the dark"),
        (1.7, "over_exposure", "lost in the light"),
        (30, "over_exposure", "too bright to compare"),
    ],
)
def test_wrong_exposure_is_named(brightness: float, name: str, word: str) -> None:
    exposed = np.clip(portrait().astype(float) * brightness, 0, 255).astype(np.uint8)
    light = _component(_assessed(exposed), name)
    assert light.verdict is (Verdict.REFUSED if word.startswith("too") else Verdict.WARNED)
    assert word in light.sentence


def test_light_from_one_side_is_warned() -> None:
    ramp = np.clip((np.arange(512) - 215) / 20, 0.1, 1)[None, :, None]
    light = _component(_assessed((portrait() * ramp).astype(np.uint8)), "illumination_uniformity")
    assert light.verdict is Verdict.WARNED
    assert light.sentence.endswith("lit from one side, candidates are less reliable")


def test_much_compression_is_warned_and_then_refused() -> None:
    verdicts = []
    for quality in (90, 5, 2):
        _, data = cv2.imencode(".jpg", portrait(), [cv2.IMWRITE_JPEG_QUALITY, quality])
        again = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        verdicts.append(_component(_assessed(again), "compression_artifacts").verdict)
    assert verdicts == [Verdict.ACCEPTED, Verdict.WARNED, Verdict.REFUSED]


def test_a_hidden_mouth_is_warned_not_refused() -> None:
    masked = portrait().copy()
    masked[128:165, 190:260] = (170, 200, 215)
    occlusion = _component(_assessed(masked), "occlusion")
    assert occlusion.verdict is Verdict.WARNED
    assert "may be hidden" in occlusion.sentence


def test_another_face_in_front_is_warned() -> None:
    face = face_at(PORTRAIT_LANDMARKS, 86)
    beside, before = (
        face_at((PORTRAIT_LANDMARKS + np.array([away, 0], np.float32)).astype(np.float32), 86) for away in (90, 50)
    )
    assert _component(assess(portrait(), face, [face, beside]), "single_face_present").verdict is Verdict.ACCEPTED
    covered = _component(assess(portrait(), face, [face, beside, before]), "single_face_present")
    assert covered.verdict is Verdict.WARNED
    assert covered.value == pytest.approx(1 - 50 / 86, abs=0.01)


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


def test_a_turned_head_is_warned_and_a_profile_refused() -> None:
    verdicts = [_component(_assessed(portrait(), head(yaw, 0, 0)), "head_pose_yaw").verdict for yaw in (10, -40, 75)]
    assert verdicts == [Verdict.ACCEPTED, Verdict.WARNED, Verdict.REFUSED]
    sentence = _component(_assessed(portrait(), head(-40, 0, 0)), "head_pose_yaw").sentence
    assert sentence.startswith("head turned about 40\N{DEGREE SIGN} to the left")


def test_a_picture_on_its_side_is_warned_not_refused() -> None:
    roll = _component(_assessed(portrait(), head(0, 0, 170)), "head_pose_roll")
    assert roll.verdict is Verdict.WARNED
    assert "turn it upright" in roll.sentence


@pytest.mark.parametrize("landmarks", [np.zeros((5, 2), np.float32), np.full((5, 2), 300, np.float32)])
def test_landmarks_that_coincide_are_refused_and_do_not_crash(landmarks: Float32Array) -> None:
    quality = _assessed(portrait(), landmarks)
    assert quality.verdict is Verdict.REFUSED
    assert quality.unified_score == 0


@given(st.sampled_from(sorted(LIMITS)), st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_verdicts_go_one_way(name: str, value: float, more: float) -> None:
    order = [Verdict.ACCEPTED, Verdict.WARNED, Verdict.REFUSED]
    limits = LIMITS[name]
    worse = value - more if limits.warned > limits.refused else value + more
    assert order.index(limits.verdict(worse)) >= order.index(limits.verdict(value))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.floats(0, 1))
def test_one_worse_share_never_makes_the_score_better(shares: list[float], another: float) -> None:
    assert unified_score([*shares, another]) <= unified_score(shares)
    assert 0 <= unified_score(shares) <= 100


def test_every_sentence_is_one_a_person_can_read() -> None:
    for quality in (_assessed(portrait()), _shrunk(0.2), _blurred(0.3)):
        for component in quality.components:
            assert component.sentence
            assert component.sentence.isprintable()
            assert component.unit
