"""Suppression of overlapping boxes keeps what a plain greedy loop keeps."""

import numpy as np
import pytest

from rtcc_bridge.matching.boxes import areas, faces_from_arrays, keep_best, squared
from rtcc_bridge.matching.types import Float32Array


def _random_boxes(count: int) -> tuple[Float32Array, Float32Array]:
    random = np.random.default_rng(9)
    corners = random.uniform(0, 100, (count, 2))
    sizes = random.uniform(5, 40, (count, 2))
    return np.hstack([corners, corners + sizes]).astype(np.float32), random.uniform(size=count).astype(np.float32)


def _share(first: Float32Array, second: Float32Array, *, of_smaller: bool) -> float:
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    shared = float(np.maximum(high - low, 0).prod())
    first_area, second_area = (float((box[2] - box[0]) * (box[3] - box[1])) for box in (first, second))
    return shared / (min(first_area, second_area) if of_smaller else first_area + second_area - shared)


@pytest.mark.parametrize("of_smaller", [False, True])
def test_the_same_as_a_plain_greedy_loop(of_smaller: bool) -> None:
    boxes, scores = _random_boxes(150)
    expected: list[int] = []
    for index in np.argsort(-scores):
        if all(_share(boxes[index], boxes[kept], of_smaller=of_smaller) <= 0.4 for kept in expected):
            expected.append(int(index))
    assert keep_best(boxes, scores, 0.4, 1000, share_of_smaller=of_smaller).tolist() == expected
    assert keep_best(boxes, scores, 0.4, 3, share_of_smaller=of_smaller).tolist() == expected[:3]


def test_no_boxes_give_none() -> None:
    assert keep_best(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.5, 10).tolist() == []


def test_squares_share_the_centre_and_take_the_longer_side() -> None:
    box = np.array([[10, 20, 30, 26]], np.float32)
    assert squared(box).tolist() == [[10, 13, 30, 33]]
    assert areas(squared(box)).tolist() == [400]


def test_faces_come_from_left_to_right() -> None:
    boxes, scores = _random_boxes(20)
    faces = faces_from_arrays(boxes, np.zeros((20, 5, 2), np.float32), scores)
    lefts = [face.box.left for face in faces]
    assert lefts == sorted(lefts)
    assert len(lefts) == 20
