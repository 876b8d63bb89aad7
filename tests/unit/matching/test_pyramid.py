"""Copies of a picture have the sizes that were asked for and show the same picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.pyramid import Pyramid
from tests.unit.matching.pictures import gradient, portrait


@given(st.integers(1, 70), st.integers(1, 70), st.floats(0.01, 1))
def test_the_sides_of_a_level_are_rounded_up(height: int, width: int, scale: float) -> None:
    level = Pyramid(gradient(height, width)).level(scale)
    if scale not in {0.5**halvings for halvings in range(9)}:
        assert level.shape == (np.ceil(height * scale), np.ceil(width * scale), 3)


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 8))
def test_halving_ends_at_one_pixel(height: int, width: int, times: int) -> None:
    halved = Pyramid(gradient(height, width)).halved(times)
    assert halved.shape[:2] == (max(1, height >> times), max(1, width >> times))


def test_the_picture_itself_is_not_copied() -> None:
    image = portrait()
    assert Pyramid(image).halved(0) is image
    assert Pyramid(image).level(1.0) is image


@pytest.mark.parametrize("scale", [0.6, 0.5, 0.37, 0.25, 0.13, 0.05])
def test_a_level_made_in_steps_is_the_one_made_at_once(scale: float) -> None:
    image = portrait()
    level = Pyramid(image).level(scale)
    at_once = cv2.resize(image, level.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(level.astype(int) - at_once).mean() < 3
