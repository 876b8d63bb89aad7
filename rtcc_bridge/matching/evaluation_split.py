"""Who is enrolled and who is searched for in an evaluation: labelled pictures, divided by a seed."""

from dataclasses import dataclass

import numpy as np

from rtcc_bridge.matching.types import BoolArray, Float32Array, Int64Array

ENROLLED_SHARE = 1 / 3
"""Of the people. What a sample can say of a low FPIR rests on the people who are not enrolled, so they are more."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPictures:
    """Pictures of which it is known whom they show, those without a template too. n pictures, all arrays (n, ...).

    people: int64, a number for each person. found: bool, whether a face was found and a template made. templates:
    float32 (n, D) of length 1; rows that are not `found` mean nothing. quality: int64, the unified score of the face,
    0 to 100; where none was found it means nothing.
    """

    people: Int64Array
    found: BoolArray
    templates: Float32Array
    quality: Int64Array

    def __len__(self) -> int:
        return len(self.people)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of the labelled pictures, int64, rising. enrolled: the gallery; mated: further pictures of enrolled people;
    nonmated: every picture of the people who are not enrolled."""

    enrolled: Int64Array
    mated: Int64Array
    nonmated: Int64Array


def split_people(people: Int64Array, *, seed: int, enrolled_share: float, photos_per_person: int) -> Split:
    """Enrol this share of the people, each with this many of their pictures; all others are searches.

    People with pictures to spare and people without are divided apart, so that the number of mated searches does not
    depend on luck. An enrolled person with fewer pictures is enrolled with all of them and gives no mated search.
    ValueError: fewer than two people, a share that is not between 0 and 1, less than one photo.
    """
    if not 0 < enrolled_share < 1:
        raise ValueError(f"the share of people to enrol lies between 0 and 1, not at {enrolled_share}")
    if photos_per_person < 1:
        raise ValueError("at least one photo of each person has to be enrolled")
    names, pictures = np.unique(people, return_counts=True)
    if len(names) < 2:
        raise ValueError("an evaluation needs at least two people: some are enrolled, the others are not")
    generator = np.random.default_rng(seed)
    spare = pictures > photos_per_person
    chosen = [_some(names[part], enrolled_share, generator) for part in (spare, ~spare)]
    enrolled_people = np.sort(np.concatenate(chosen))
    if len(enrolled_people) in {0, len(names)}:
        enrolled_people = names[:1]
    enrolled = np.sort(
        np.concatenate([_photos(people, person, photos_per_person, generator) for person in enrolled_people.tolist()])
    )
    of_enrolled = np.isin(people, enrolled_people)
    is_mated = of_enrolled.copy()
    is_mated[enrolled] = False
    return Split(enrolled, np.flatnonzero(is_mated).astype(np.int64), np.flatnonzero(~of_enrolled).astype(np.int64))


def _some(names: Int64Array, share: float, generator: np.random.Generator) -> Int64Array:
    return np.asarray(generator.permutation(names)[: round(share * len(names))], np.int64)


def _photos(people: Int64Array, person: int, count: int, generator: np.random.Generator) -> Int64Array:
    return np.asarray(generator.permutation(np.flatnonzero(people == person))[:count], np.int64)
