"""Suppression of overlapping boxes keeps what a plain greedy loop keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching import boxes as boxes_module
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


def _greedy(boxes: Float32Array, scores: Float32Array, overlap: float, *, of_smaller: bool) -> list[int]:
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if all(_share(boxes[index], boxes[other], of_smaller=of_smaller) <= overlap for other in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize(("block", "pairs"), [(4096, 500_000), (7, 10), (1, 1)])
@pytest.mark.parametrize("of_smaller", [False, True])
def test_the_same_as_a_plain_greedy_loop(
    of_smaller: bool, block: int, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes_module, "_BLOCK", block)
    monkeypatch.setattr(boxes_module, "_PAIRS", pairs)
    boxes, scores = _random_boxes(150)
    expected = _greedy(boxes, scores, 0.4, of_smaller=of_smaller)
    assert keep_best(boxes, scores, 0.4, 1000, share_of_smaller=of_smaller).tolist() == expected
    assert keep_best(boxes, scores, 0.4, 3, share_of_smaller=of_smaller).tolist() == expected[:3]


_SIDES = st.integers(0, 12)
_BOXES = st.lists(st.tuples(_SIDES, _SIDES, _SIDES, _SIDES, st.integers(0, 3)), min_size=1, max_size=25)


@given(_BOXES, st.booleans(), st.sampled_from([0.1, 0.35, 0.7]))
def test_equal_touching_nested_and_empty_boxes(
    found: list[tuple[int, int, int, int, int]], of_smaller: bool, overlap: float
) -> None:
    boxes = np.array([(left, top, left + across, top + down) for left, top, across, down, _ in found], np.float32)
    scores = np.array([score for *_, score in found], np.float32)
    with np.errstate(invalid="ignore"):
        kept = keep_best(boxes, scores, overlap, 100, share_of_smaller=of_smaller).tolist()
    sized = [index for index in range(len(boxes)) if areas(boxes)[index] > 0]
    expected = _greedy(boxes[sized], scores[sized], overlap, of_smaller=of_smaller)
    assert [index for index in kept if index in sized] == [sized[index] for index in expected]


def test_no_boxes_give_none() -> None:
    assert keep_best(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.5, 10).tolist() == []


def test_squares_share_the_centre_and_take_the_longer_side() -> None:
    box = np.array([[10, 20, 30, 26]], np.float32)
    assert squared(box).tolist() == [[10, 13, 30, 33]]
    assert areas(squared(box)).tolist() == [400]


def test_faces_come_from_left_to_right() -> None:
    boxes, scores = _random_boxes(20)
    faces = faces_from_arrays(boxes, np.zeros((20, 5, 2), np.float32), scores)
    lefts = [round(face.box.left) for face in faces]
    assert lefts == sorted(lefts)
    assert len(lefts) == 20


def test_faces_that_begin_in_one_column_come_from_top_to_bottom() -> None:
    boxes = np.array([[10.2, 50, 30, 70], [9.8, 20, 30, 40], [5, 90, 20, 99], [10.0, 20, 30, 40]], np.float32)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]):
        rows = np.array(order)
        faces = faces_from_arrays(boxes[rows], np.zeros((4, 5, 2), np.float32), np.full(4, 0.9, np.float32))
        assert [(face.box.left, face.box.top) for face in faces] == [
            (5, 90), (pytest.approx(9.8), 20), (10, 20), (pytest.approx(10.2), 50),
        ]  # fmt: skip
