"""The first stage keeps what greedy suppression keeps, and its tiles cover every place of the window once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rtcc_bridge.matching import mtcnn_scan
from rtcc_bridge.matching.mtcnn_scan import WINDOW_PX, local_maxima
from rtcc_bridge.matching.types import Float32Array

_STRIDE = 2


def _greedy(scores: Float32Array) -> set[tuple[int, int]]:
    """Best first; whoever stays ends its neighbours."""
    kept: set[tuple[int, int]] = set()
    for place in sorted(zip(*(part.tolist() for part in np.nonzero(scores)), strict=True), key=lambda p: -scores[p]):
        if not kept & _around(place):
            kept.add(place)
    return kept


def _around(place: tuple[int, int]) -> set[tuple[int, int]]:
    steps = (-1, 0, 1)
    return {(place[0] + down, place[1] + across) for down in steps for across in steps} - {place}


def _kept(scores: Float32Array) -> set[tuple[int, int]]:
    rows, columns = np.nonzero(scores)
    kept = local_maxima(rows, columns, scores[rows, columns])
    assert kept.tolist() == sorted(set(kept.tolist()))
    return set(zip(rows[kept].tolist(), columns[kept].tolist(), strict=True))


_SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(_SHAPES, st.floats(0, 1), st.integers(0, 1000))
def test_local_maxima_are_what_greedy_suppression_keeps(shape: tuple[int, int], share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.permutation(shape[0] * shape[1]).reshape(shape).astype(np.float32) + 1
    scores[random.uniform(size=shape) > share] = 0
    assert _kept(scores) == _greedy(scores)


@given(hnp.arrays(np.float32, _SHAPES, elements=st.sampled_from([np.float32(step / 4) for step in range(4)])))
def test_among_equals_every_place_stays_or_has_a_neighbour_that_does(scores: Float32Array) -> None:
    kept = _kept(scores)
    for place in zip(*(part.tolist() for part in np.nonzero(scores)), strict=True):
        stronger = {other for other in kept & _around(place) if scores[other] >= scores[place]}
        assert place in kept or stronger
        assert place not in kept or all(scores[other] == scores[place] for other in stronger)


@given(st.integers(WINDOW_PX, 3000))
def test_every_place_of_the_window_lies_in_one_tile(length: int) -> None:
    spans = list(mtcnn_scan._spans(length))
    places = [start + place for start, end in spans for place in range(0, end - start - WINDOW_PX + 1, _STRIDE)]
    assert places == list(range(0, length - WINDOW_PX + 1, _STRIDE))
    assert max(end - start for start, end in spans) <= mtcnn_scan._TILE_PX
    assert length - spans[-1][1] < _STRIDE
