"""The searches of an evaluation, on cases that can be worked out by hand."""

import numpy as np
import pytest

from rtcc_bridge.matching.evaluation_search import MISSED_RANK, Searches, search_split
from rtcc_bridge.matching.evaluation_split import LabelledPictures, Split
from rtcc_bridge.matching.types import Float32Array


def at(*degrees: float) -> Float32Array:
    """Templates in the plane; the score of two is the cosine of the angle between them."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def search(
    templates: Float32Array, people: list[int], enrolled: list[int], mated: list[int], nonmated: list[int],
    without: tuple[int, ...] = (),
) -> Searches:  # fmt: skip
    found = np.ones(len(people), np.bool_)
    found[list(without)] = False
    pictures = LabelledPictures(np.array(people), found, templates, np.full(len(people), 50))
    parts = (np.array(part, np.int64) for part in (enrolled, mated, nonmated))
    return search_split(pictures, Split(*parts))


def test_the_mate_is_ranked_among_people_and_the_best_stranger_is_scored() -> None:
    # Enrolled: person 1 at 0, person 2 at 40 and 90, person 3 at 60 degrees.
    templates = at(0, 40, 90, 60, 30, 85, 10)
    found = search(templates, [1, 2, 2, 3, 1, 2, 9], [0, 1, 2, 3], [4, 5], [6])
    # At 30 degrees person 2 is 10 away; person 1 and person 3 both 30: the mate shares its place and stands last.
    assert found.mated.ranks.tolist() == [3, 1]
    assert found.mated.scores == pytest.approx(np.cos(np.radians([30, 5])), abs=1e-6)
    assert found.nonmated.scores == pytest.approx(np.cos(np.radians([10])), abs=1e-6)
    assert (found.gallery_people, found.gallery_templates) == (3, 4)
    assert found.mated.people.tolist() == [1, 2]
    assert found.nonmated.people.tolist() == [9]


def test_who_scores_as_high_as_the_mate_stands_before_it() -> None:
    found = search(at(0, 0, 0), [1, 2, 1], [0, 1], [2], [])
    assert found.mated.ranks.tolist() == [2]


def test_a_face_that_was_not_found_is_a_miss_and_lists_nobody() -> None:
    """The probe of person 1 has no template, nor has the enrolled picture of person 2, nor the stranger's."""
    found = search(at(0, 20, 40, 0, 20, 50), [1, 2, 3, 1, 2, 9], [0, 1, 2], [3, 4], [5], without=(1, 3, 5))
    assert found.mated.ranks.tolist() == [MISSED_RANK, MISSED_RANK]
    assert np.isneginf(found.mated.scores).all()
    assert np.isneginf(found.nonmated.scores).all()
    assert (found.gallery_people, found.gallery_templates) == (2, 2)


def test_a_gallery_in_which_nothing_could_be_enrolled_lists_nobody() -> None:
    found = search(at(0, 10, 20), [1, 1, 2], [0], [1], [2], without=(0,))
    assert found.mated.ranks.tolist() == [MISSED_RANK]
    assert np.isneginf(found.nonmated.scores).all()


def test_more_probes_than_are_compared_at_once_give_the_same() -> None:
    generator = np.random.default_rng(5)
    angles = generator.uniform(0, 90, 700)
    people = [*range(100), *(generator.integers(0, 100, 600)).tolist()]
    found = search(at(*angles), people, list(range(100)), list(range(100, 700)), [])
    for place in (0, 255, 256, 599):
        scores = np.cos(np.radians(angles[100 + place] - angles[:100]))
        mate = scores[people[100 + place]]
        assert found.mated.ranks[place] == pytest.approx(np.count_nonzero(scores >= mate), abs=1)
