"""Each measure changes with what it names, and with little else."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching import quality_measures as measures
from rtcc_bridge.matching.quality_measures import pose_angles, relative_sharpness
from rtcc_bridge.matching.types import Box, GreyImage, RgbImage
from tests.unit.matching.pictures import PORTRAIT_LANDMARKS, head, portrait

_FACE = Box(180, 70, 270, 180)


def _chip(image: RgbImage) -> GreyImage:
    return measures.grey_chip(image, PORTRAIT_LANDMARKS)


def test_rounding_noise_is_not_taken_for_sharpness() -> None:
    ramp = np.tile(np.linspace(0, 30, 64), (64, 1)).round()
    assert relative_sharpness(ramp) < 30
    noisy = ramp + np.random.default_rng(10).normal(size=ramp.shape) * 10
    assert relative_sharpness(noisy) > 1000


@pytest.mark.parametrize("angle", [-60, -35, -10, 0, 10, 35, 60])
def test_head_pose_is_recovered_from_a_head_of_that_shape(angle: float) -> None:
    yaw, _, _ = pose_angles(head(angle, 0, 0).astype(np.float64))
    _, pitch, _ = pose_angles(head(0, angle, 0).astype(np.float64))
    _, _, roll = pose_angles(head(0, 0, angle).astype(np.float64))
    assert (yaw, pitch, roll) == pytest.approx((angle, angle, angle), abs=2)


@given(st.lists(st.floats(0.5, 12), min_size=2, max_size=2).map(sorted))
def test_sharpness_falls_with_blur(sigmas: list[float]) -> None:
    less, more = (
        relative_sharpness(_chip(np.asarray(cv2.GaussianBlur(portrait(), (0, 0), s), np.uint8))) for s in sigmas
    )
    assert more <= less * 1.01 + 0.5


@pytest.mark.parametrize("contrast", [0.6, 0.3])
def test_sharpness_does_not_hang_on_contrast(contrast: float) -> None:
    flat = (128 + (portrait().astype(float) - 128) * contrast).round().astype(np.uint8)
    assert relative_sharpness(_chip(flat)) == pytest.approx(relative_sharpness(_chip(portrait())), rel=0.15)


@given(st.integers(0, 255), st.integers(0, 1000))
def test_exposure_is_symmetric(middle: int, seed: int) -> None:
    """What is black in a picture is white in its negative; ISO's limits are 25 and 247, so up to a few levels."""
    grey = np.random.default_rng(seed).integers(0, 256, (68, 64), np.uint8)
    grey[grey < 20] = 0
    grey[grey > 235] = 255
    grey[:20] = middle if 30 < middle < 220 else 128
    black, white = measures.shares_at_the_ends(grey)
    assert measures.shares_at_the_ends(255 - grey) == pytest.approx((white, black), abs=0.05)
    assert 0 <= black + white <= 1


def test_nothing_is_nearly_black_or_white_in_the_middle() -> None:
    assert measures.shares_at_the_ends(np.full((9, 9), 128, np.uint8)) == (0, 0)
    assert measures.shares_at_the_ends(np.full((9, 9), 25, np.uint8)) == (1, 0)
    assert measures.shares_at_the_ends(np.full((9, 9), 247, np.uint8)) == (0, 1)


@given(st.floats(0.1, 1))
def test_dynamic_range_shrinks_with_contrast(contrast: float) -> None:
    grey = measures.face_of(_chip(portrait()))
    flat = (128 + (grey.astype(float) - 128) * contrast).round().astype(np.uint8)
    assert measures.dynamic_range(flat) == pytest.approx(measures.dynamic_range(grey) * contrast, abs=2)


@given(st.integers(1, 256), st.integers(1, 70), st.integers(0, 1000))
def test_dynamic_range_is_that_of_the_sorted_pixels(levels: int, side: int, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, levels, (side, side)).astype(np.uint8)
    low, high = np.quantile(grey, (0.05, 0.95))
    assert measures.dynamic_range(grey) == high - low


@given(st.integers(1, 256), st.integers(0, 1000))
def test_sharpness_and_detail_are_those_of_their_definitions(levels: int, seed: int) -> None:
    chip = (np.random.default_rng(seed).integers(0, levels, (96, 96)) * (255 // max(1, levels - 1))).astype(np.uint8)
    values = chip.astype(np.float64)
    edges = cv2.Laplacian(values, cv2.CV_64F).var()
    sharpness = 1000 * max(0.0, edges - 20 / 12) / max(1.0, values.var())
    assert relative_sharpness(chip) == pytest.approx(sharpness, rel=1e-9, abs=1e-9)
    steps = np.abs(np.diff(values, axis=0))[:, :-1] + np.abs(np.diff(values, axis=1))[:-1]
    parts = [steps[33:43, 26:38], steps[33:43, 58:70], steps[69:79, 38:58]]  # eyes and mouth
    detail = min(part.mean() for part in parts) / max(0.5, steps[20:88, 16:80].mean())
    assert measures.least_detail(chip) == pytest.approx(detail, rel=1e-9)


def test_light_agrees_on_a_symmetric_face_and_not_on_one_half_lit() -> None:
    grey = measures.face_of(_chip(portrait()))
    symmetric = np.concatenate([grey[:, :32], grey[:, :32][:, ::-1]], axis=1)
    assert measures.light_agreement(symmetric) == pytest.approx(1)
    half_lit = symmetric.copy()
    half_lit[:, :32] //= 8
    assert measures.light_agreement(half_lit) < 0.2


def _compressed(image: RgbImage, quality: int) -> RgbImage:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def test_blocks_stand_out_more_the_more_a_picture_is_compressed() -> None:
    found = [measures.blockiness(_compressed(portrait(), quality), _FACE) for quality in (95, 40, 20, 10, 5)]
    assert found == sorted(found)
    assert measures.blockiness(portrait(), _FACE) < 0.3 < found[2]


@pytest.mark.parametrize("start", range(0, 8, 3))
def test_blocks_are_seen_wherever_the_picture_was_cut(start: int) -> None:
    cut = _compressed(portrait(), 10)[start:, start:]
    moved = Box(_FACE.left - start, _FACE.top - start, _FACE.right - start, _FACE.bottom - start)
    whole = measures.blockiness(_compressed(portrait(), 10), _FACE)
    assert measures.blockiness(cut, moved) == pytest.approx(whole, rel=0.35)


def test_noise_and_a_plain_picture_have_no_blocks() -> None:
    noise = np.random.default_rng(5).integers(0, 256, (512, 512, 3), np.uint8)
    assert measures.blockiness(noise, _FACE) < 0.1
    assert measures.blockiness(np.full((512, 512, 3), 90, np.uint8), _FACE) == 0
    assert measures.blockiness(portrait(), Box(5, 5, 12, 12)) == 0
    assert measures.blockiness(portrait(), Box(-90, -90, -50, -50)) == 0


@pytest.mark.parametrize(
    ("rows", "columns"), [((90, 114), (190, 217)), ((90, 114), (232, 262)), ((128, 163), (190, 257))]
)
def test_what_covers_an_eye_or_the_mouth_takes_its_detail(rows: tuple[int, int], columns: tuple[int, int]) -> None:
    covered = portrait().copy()
    covered[slice(*rows), slice(*columns)] = 20
    assert measures.least_detail(_chip(covered)) < 0.3
    assert measures.least_detail(_chip(portrait())) > 0.6


@given(st.tuples(*[st.floats(-50, 50)] * 4), st.tuples(*[st.floats(-50, 50)] * 4))
def test_a_covered_share_is_a_share(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    one, other = (Box(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in (first, second))
    share = measures.share_covered(one, [other])
    assert 0 <= share <= 1 + 1e-6
    assert measures.share_covered(one, []) == 0
    assert share <= measures.share_covered(one, [other, one]) <= 1 + 1e-6
