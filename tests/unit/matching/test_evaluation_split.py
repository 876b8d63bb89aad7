"""The division of labelled pictures into a gallery, searches for its people and searches for others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.evaluation_split import Split, split_people


def split(people: list[int], seed: int = 1, share: float = 1 / 3, photos: int = 1) -> Split:
    return split_people(np.array(people), seed=seed, enrolled_share=share, photos_per_person=photos)


@given(
    people=st.lists(st.integers(0, 12), min_size=2, max_size=60).filter(lambda found: len(set(found)) > 1),
    seed=st.integers(0, 2**32),
    share=st.floats(0.05, 0.95),
    photos=st.integers(1, 3),
)
def test_every_picture_has_one_part_and_every_person_one_side(
    people: list[int], seed: int, share: float, photos: int
) -> None:
    found = split(people, seed, share, photos)
    every = np.concatenate([found.enrolled, found.mated, found.nonmated])
    assert sorted(every.tolist()) == list(range(len(people)))
    of = np.array(people)
    enrolled, strangers = set(of[found.enrolled].tolist()), set(of[found.nonmated].tolist())
    assert enrolled
    assert strangers
    assert not enrolled & strangers
    assert set(of[found.mated].tolist()) <= enrolled
    for person in enrolled:
        assert np.count_nonzero(of[found.enrolled] == person) == min(photos, people.count(person))


def test_the_seed_decides_and_nothing_else() -> None:
    people = [person for person in range(40) for _ in range(3)]
    first, again, other = split(people, 7), split(people, 7), split(people, 8)
    assert (first.enrolled == again.enrolled).all()
    assert not np.array_equal(first.enrolled, other.enrolled)


def test_people_with_and_without_pictures_to_spare_are_divided_alike() -> None:
    """30 people with two pictures and 60 with one: a third of each, whatever the seed."""
    people = [*range(30), *range(30), *range(100, 160)]
    for seed in range(5):
        found = split(people, seed)
        assert (len(found.enrolled), len(found.mated), len(found.nonmated)) == (30, 10, 80)


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match="two people"):
        split([3, 3, 3])
    with pytest.raises(ValueError, match="share"):
        split([1, 2], share=1)
    with pytest.raises(ValueError, match="one photo"):
        split([1, 2], photos=0)
