"""Edits of a still: each does what it says, in the order in which they stand, and leaves the original alone."""

import numpy as np
import pytest

from rtcc_bridge.matching.edits import Brightness, Contrast, Crop, Edit, Rotate, apply_edits
from rtcc_bridge.matching.types import RgbImage

MOST = 1_000_000


@pytest.fixture
def picture() -> RgbImage:
    """Forty wide and thirty high, no two pixels alike."""
    values = np.arange(40 * 30, dtype=np.uint16)
    return np.stack([values % 256, values // 256, values % 7], axis=-1).astype(np.uint8).reshape(30, 40, 3)


def test_without_a_step_the_picture_is_as_it_was(picture: RgbImage) -> None:
    assert apply_edits(picture, (), MOST) is picture


def test_the_original_is_never_written_to(picture: RgbImage) -> None:
    picture.flags.writeable = False
    before = picture.copy()
    edits = (Crop(0, 0, 30, 30), Rotate(7.5), Brightness(20), Contrast(150), Rotate(90))
    apply_edits(picture, edits, MOST)
    assert np.array_equal(picture, before)


def test_a_crop_keeps_the_rectangle_that_lies_in_the_picture(picture: RgbImage) -> None:
    assert np.array_equal(apply_edits(picture, [Crop(5, 2, 25, 22)], MOST), picture[2:22, 5:25])
    assert np.array_equal(apply_edits(picture, [Crop(20, 10, 4000, 4000)], MOST), picture[10:, 20:])


@pytest.mark.parametrize("crop", [Crop(0, 0, 15, 30), Crop(100, 0, 200, 30), Crop(30, 0, 10, 30)], ids=str)
def test_a_crop_that_leaves_too_little_is_refused_in_words(picture: RgbImage, crop: Crop) -> None:
    with pytest.raises(ValueError, match="less than 16 by 16 pixels"):
        apply_edits(picture, [crop], MOST)


@pytest.mark.parametrize(("degrees", "turns"), [(90.0, -1), (180.0, 2), (-90.0, 1), (0.0, 0), (-180.0, 2)])
def test_quarter_turns_are_clockwise_and_make_no_pixel_up(picture: RgbImage, degrees: float, turns: int) -> None:
    assert np.array_equal(apply_edits(picture, [Rotate(degrees)], MOST), np.rot90(picture, turns))


def test_any_other_turn_keeps_the_whole_picture() -> None:
    """A white picture, turned, has as many white pixels as before; what is new is grey."""
    white = np.full((60, 80, 3), 255, np.uint8)
    turned = apply_edits(white, [Rotate(30.0)], MOST)
    assert turned.shape[0] > 60
    assert turned.shape[1] > 80
    assert abs(int((turned[..., 0] > 200).sum()) - 60 * 80) < 150
    assert turned[0, 0].tolist() == [128, 128, 128]


def test_a_small_turn_is_clockwise() -> None:
    picture = np.zeros((41, 41, 3), np.uint8)
    picture[18:23, 36:41] = 255  # at three o'clock
    turned = apply_edits(picture, [Rotate(45.0)], MOST)
    rows, columns = np.nonzero(turned[..., 0] > 200)
    middle = (np.array(turned.shape[:2]) - 1) / 2
    assert rows.mean() > middle[0] + 5, "it went down, to half past four"
    assert columns.mean() > middle[1] + 5


def test_a_turn_that_grows_the_picture_too_far_is_refused_in_words(picture: RgbImage) -> None:
    with pytest.raises(ValueError, match="crop it first"):
        apply_edits(picture, [Rotate(45.0)], 40 * 30)


def test_brightness_and_contrast_stay_within_the_range() -> None:
    grey = np.array([[[0, 100, 255]]], np.uint8)
    steps: list[tuple[Edit, list[int]]] = [
        (Brightness(20), [51, 151, 255]),
        (Brightness(-100), [0, 0, 0]),
        (Brightness(0), [0, 100, 255]),
        (Contrast(100), [0, 100, 255]),
        (Contrast(200), [0, 72, 255]),
        (Contrast(50), [64, 114, 192]),
    ]
    for edit, expected in steps:
        assert apply_edits(grey, [edit], MOST)[0, 0].tolist() == expected, edit


def test_the_order_of_the_steps_counts(picture: RgbImage) -> None:
    first = apply_edits(picture, [Crop(0, 0, 20, 20), Rotate(90.0)], MOST)
    second = apply_edits(picture, [Rotate(90.0), Crop(0, 0, 20, 20)], MOST)
    assert first.shape == second.shape
    assert not np.array_equal(first, second)
