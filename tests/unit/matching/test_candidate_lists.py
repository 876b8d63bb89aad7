"""The arithmetic of places: which score a list of so many people ends with."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.search import CandidateLists
from tests.unit.matching.search_cases import snapshot_of

ROWS = 12
LINES = st.lists(
    st.lists(
        st.tuples(st.integers(0, ROWS - 1), st.sampled_from([-math.inf, -0.5, 0.1, 0.1, 0.7])), min_size=6, max_size=6
    ),
    min_size=1,
    max_size=4,
)


@given(subjects=st.lists(st.integers(0, 4), min_size=ROWS, max_size=ROWS), lines=LINES, place=st.integers(1, 5))
def test_the_score_at_a_place_is_that_of_a_person_there(
    subjects: list[int], lines: list[list[tuple[int, float]]], place: int
) -> None:
    lists = CandidateLists(snapshot_of(np.repeat(np.array([[1, 0]], np.float32), ROWS, axis=0), subjects))
    rows = np.array([[row for row, _ in line] for line in lines])
    scores = np.array([[score for _, score in line] for line in lines])
    expected = []
    for line in lines:
        best: dict[int, float] = {}
        for row, score in line:
            best[subjects[row]] = max(score, best.get(subjects[row], -math.inf))
        people = sorted((score for score in best.values() if score > -math.inf), reverse=True)
        expected.append(people[place - 1] if len(people) >= place else -math.inf)
    assert lists.scores_at(place, rows, scores).tolist() == expected
