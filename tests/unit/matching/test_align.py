"""Alignment recovers the transform that was applied, and does not alias when a face shrinks."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.align import (
    aligned_crop,
    extract_chip,
    extract_chips,
    extract_grey_chip,
    similarity_transform,
)
from rtcc_bridge.matching.types import FaceCrop, Float64Array
from tests.unit.matching.pictures import PORTRAIT_LANDMARKS, portrait

_TEMPLATE = np.array([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]], np.float64)


def _similarity(scale: float, degrees: float, shift: tuple[float, float]) -> Float64Array:
    angle = np.radians(degrees)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([rotation, shift])


@given(st.floats(0.05, 20), st.floats(-180, 180), st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_a_similarity_is_recovered(scale: float, degrees: float, shift: tuple[float, float]) -> None:
    applied = _similarity(scale, degrees, shift)
    target = _TEMPLATE @ applied[:, :2].T + applied[:, 2]
    np.testing.assert_allclose(similarity_transform(_TEMPLATE, target), applied, rtol=1e-6, atol=1e-6)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    mirrored = _TEMPLATE * (-1, 1) + (112, 0)
    assert np.linalg.det(similarity_transform(_TEMPLATE, mirrored)[:, :2]) > 0


def _umeyama(source: Float64Array, target: Float64Array) -> Float64Array:
    """The general method, by singular values, for any number of dimensions."""
    source_centred, target_centred = source - source.mean(0), target - target.mean(0)
    left, singular, right = np.linalg.svd(target_centred.T @ source_centred)
    signs = np.array([1, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    scaled_rotation = (left * signs) @ right * (singular * signs).sum() / (source_centred**2).sum()
    return np.column_stack([scaled_rotation, target.mean(0) - scaled_rotation @ source.mean(0)])


@given(st.integers(0, 1000), st.booleans())
def test_the_fit_is_that_of_the_general_method(seed: int, mirrored: bool) -> None:
    noise = np.random.default_rng(seed).normal(size=(5, 2)) * 30
    points = (_TEMPLATE + noise) * ((-1, 1) if mirrored else (1, 1))
    np.testing.assert_allclose(similarity_transform(points, _TEMPLATE), _umeyama(points, _TEMPLATE), atol=1e-9)


def test_noisy_points_get_the_least_squares_fit() -> None:
    """No small change of the transform lowers the sum of squares."""
    noisy = _TEMPLATE * 2 + np.random.default_rng(7).normal(size=(5, 2)) * 3
    best = similarity_transform(_TEMPLATE, noisy)

    def error(transform: Float64Array) -> float:
        return float(((_TEMPLATE @ transform[:, :2].T + transform[:, 2] - noisy) ** 2).sum())

    for scale, degrees, shift in [
        (1.01, 0, (0, 0)),
        (0.99, 0, (0, 0)),
        (1, 1, (0, 0)),
        (1, -1, (0, 0)),
        (1, 0, (1, 0)),
    ]:
        step = _similarity(scale, degrees, shift)
        changed = np.column_stack([step[:, :2] @ best[:, :2], step[:, :2] @ best[:, 2] + step[:, 2]])
        assert error(changed) > error(best)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan)])
def test_points_without_extent_are_refused(points: Float64Array) -> None:
    with pytest.raises(ValueError, match="give no alignment"):
        similarity_transform(points, _TEMPLATE)


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("degrees", [0, 35, -120])
def test_landmarks_come_to_lie_on_the_template(scale: float, degrees: float) -> None:
    """Five dots drawn where the landmarks are appear in the chip where the template says, large or small."""
    to_picture = _similarity(1 / scale, degrees, (300, 320))
    landmarks = (_TEMPLATE - 56) @ to_picture[:, :2].T + to_picture[:, 2]
    for landmark, expected in zip(landmarks, _TEMPLATE, strict=True):
        rows, columns = np.mgrid[:640, :640]
        away = (columns - landmark[0]) ** 2 + (rows - landmark[1]) ** 2
        dot = (255 * np.exp(-away * scale**2 / 8)).astype(np.uint8)
        chip = extract_chip(np.repeat(dot[..., None], 3, axis=2), landmarks.astype(np.float32), _TEMPLATE, 112)
        weights = chip[..., 0].astype(float)
        grid = np.mgrid[:112, :112]
        centre = [(grid[1] * weights).sum() / weights.sum(), (grid[0] * weights).sum() / weights.sum()]
        np.testing.assert_allclose(centre, expected, atol=0.3)


def test_shrinking_a_fine_pattern_gives_its_mean_and_no_moire() -> None:
    stripes = np.zeros((900, 900, 3), np.uint8)
    stripes[:, ::2] = 255
    landmarks = (_TEMPLATE * 7.3).astype(np.float32)
    chip = extract_chip(stripes, landmarks, _TEMPLATE, 112)
    assert abs(float(chip.mean()) - 127.5) < 2
    assert float(chip.std()) < 12
    without_care = cv2.warpAffine(stripes, similarity_transform(landmarks, _TEMPLATE), (112, 112))
    assert float(without_care.std()) > 60


def test_landmarks_that_fit_the_template_at_no_scale_are_refused() -> None:
    square = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], np.float64)
    mirrored = square[[1, 0, 3, 2]].astype(np.float32)
    for extract in (extract_chip, extract_grey_chip):
        with pytest.raises(ValueError, match="give no alignment"):
            extract(portrait(), mirrored, square, 40)


def test_outside_the_picture_is_black() -> None:
    white = np.full((50, 50, 3), 255, np.uint8)
    chip = extract_chip(white, (_TEMPLATE - 60).astype(np.float32), _TEMPLATE, 112)
    assert chip[:40].max() == 0
    assert chip[70:100, 70:100].min() == 255
    far_away = extract_chip(white, (_TEMPLATE * 8 + 5000).astype(np.float32), _TEMPLATE, 112)
    assert far_away.max() == 0


@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("shift", [0, -150])
def test_a_grey_chip_is_the_chip_in_grey(scale: float, shift: int) -> None:
    """To within what rounding once more gives; shift: the face reaches over the picture's edge."""
    picture = portrait()[-shift:, -shift:]
    side = round(len(picture) * scale)
    pixels = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    landmarks = ((PORTRAIT_LANDMARKS + shift + 0.5) * side / len(picture) - 0.5).astype(np.float32)
    grey = extract_grey_chip(pixels, landmarks, _TEMPLATE, 112)
    expected = cv2.cvtColor(extract_chip(pixels, landmarks, _TEMPLATE, 112), cv2.COLOR_RGB2GRAY)
    difference = cv2.absdiff(grey, np.asarray(expected, np.uint8))
    assert grey.shape == (112, 112)
    assert grey.std() > 20
    assert difference.max() <= 2
    assert difference.mean() < 0.5


def test_a_batch_is_its_single_chips() -> None:
    crop = FaceCrop(portrait(), PORTRAIT_LANDMARKS)
    turned = FaceCrop(portrait()[::-1].copy(), PORTRAIT_LANDMARKS)
    chips = extract_chips([crop, turned], _TEMPLATE, 112)
    assert chips.shape == (2, 112, 112, 3)
    np.testing.assert_array_equal(chips[1], extract_chip(turned.pixels, turned.landmarks, _TEMPLATE, 112))
    assert extract_chips([], _TEMPLATE, 112).shape == (0, 112, 112, 3)


@pytest.mark.parametrize("scale", [0.3, 0.6, 1.0, 1.7, 4.0])
@pytest.mark.parametrize("size", [112, 150])
def test_a_chip_that_is_aligned_again_stays_as_it_is(scale: float, size: int) -> None:
    picture = portrait()
    side = round(len(picture) * scale)
    pixels = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    landmarks = ((PORTRAIT_LANDMARKS + 0.5) * side / len(picture) - 0.5).astype(np.float32)
    chip = aligned_crop(FaceCrop(pixels, landmarks), _TEMPLATE, size)
    assert np.array_equal(chip.pixels, extract_chip(pixels, landmarks, _TEMPLATE, size))
    assert np.array_equal(extract_chips([chip], _TEMPLATE, size)[0], chip.pixels)
    again = aligned_crop(chip, _TEMPLATE, size)
    assert np.array_equal(again.pixels, chip.pixels)
    assert np.array_equal(again.landmarks, chip.landmarks)
