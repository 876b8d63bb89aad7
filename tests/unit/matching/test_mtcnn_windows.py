"""Windows are cut where they are, whatever their size, and black outside the picture."""

import cv2
import numpy as np
import pytest

from rtcc_bridge.matching.mtcnn_windows import cut_out, network_input
from rtcc_bridge.matching.pyramid import Pyramid
from rtcc_bridge.matching.types import RgbImage
from tests.unit.matching.pictures import gradient, portrait


def _window(left: float, top: float, side: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array([[left, top, left + side, top + side]], np.float32)


@pytest.mark.parametrize("side", [12, 24, 47, 48, 49, 95, 97, 200, 400])
def test_a_window_shows_its_part_of_the_picture(side: int) -> None:
    left, top = 60, 30
    (cut,) = cut_out(Pyramid(portrait()), _window(left, top, side), 24)
    part = portrait()[top : top + side, left : left + side]
    way = cv2.INTER_AREA if side > 24 else cv2.INTER_LINEAR
    expected = cv2.resize(part, (24, 24), interpolation=way).astype(float)
    assert np.abs(cut[1:-1, 1:-1] - expected[1:-1, 1:-1]).mean() < 10
    assert np.corrcoef(cut.ravel(), expected.ravel())[0, 1] > 0.98


def test_what_lies_outside_is_black() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    (cut,) = cut_out(Pyramid(white), _window(-48, -96, 192), 24)
    assert cut[:11].max() == 0
    assert cut[:, :5].max() == 0
    assert cut[13:23, 7:17].min() == 255


def test_places_between_pixels_count() -> None:
    image = gradient(60, 60)
    cuts = cut_out(Pyramid(image), np.concatenate([_window(20 + share, 10, 24) for share in (0, 0.25, 0.5)]), 24)
    reds = cuts[..., 0].astype(float).mean(axis=(1, 2))
    assert np.diff(reds) == pytest.approx(0.25 * 255 / 60, abs=0.3)


def test_a_window_without_size_or_far_away_does_not_crash() -> None:
    windows = np.concatenate([_window(5, 5, 0), _window(1e6, 1e6, 30), _window(-1e6, 0, 30)])
    assert cut_out(Pyramid(portrait()), windows, 24)[1:].max() == 0


def test_bytes_become_what_the_networks_were_trained_on() -> None:
    pictures: RgbImage = np.random.default_rng(3).integers(0, 256, (3, 5, 7, 3), np.uint8)
    expected = (pictures.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128
    np.testing.assert_allclose(network_input(pictures), expected, atol=1e-6)
