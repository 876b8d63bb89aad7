"""The searches of an evaluation: where the mate of each probe stands, and how high a stranger scores."""

from dataclasses import dataclass

import numpy as np

from rtcc_bridge.matching.evaluation_split import LabelledPictures, Split
from rtcc_bridge.matching.types import Float64Array, Int64Array

MISSED_RANK = int(np.iinfo(np.int64).max)
"""The rank of a mate that no list can show: no face was found on the probe, or on the picture to enrol."""

_PROBES_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class MatedSearches:
    """Searches for people who are enrolled. All arrays (m,).

    rows: int64, of the labelled pictures. people: int64. ranks: int64, the mate's, 1 for the best; who scores as high
    as the mate stands before it. scores: float64, the mate's. A miss for want of a template has MISSED_RANK and minus
    infinity.
    """

    rows: Int64Array
    people: Int64Array
    ranks: Int64Array
    scores: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class NonmatedSearches:
    """Searches for people who are not enrolled. All arrays (n,): rows and people int64, scores float64, the best of
    the search; minus infinity where no face was found, since such a search lists nobody."""

    rows: Int64Array
    people: Int64Array
    scores: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """gallery_people and gallery_templates: what could be enrolled, which is what was searched."""

    mated: MatedSearches
    nonmated: NonmatedSearches
    gallery_people: int
    gallery_templates: int


def search_split(pictures: LabelledPictures, split: Split) -> Searches:
    """Search exactly, in float64, a person's score being that of their best photo. Blocks.

    Memory grows with the gallery, time with the gallery times the probes.
    """
    gallery = _Gallery(pictures, split.enrolled)
    ranks, scores = gallery.mates(pictures, split.mated)
    return Searches(
        MatedSearches(split.mated, pictures.people[split.mated], ranks, scores),
        NonmatedSearches(
            split.nonmated, pictures.people[split.nonmated], gallery.best_scores(pictures, split.nonmated)
        ),
        gallery.people,
        gallery.templates,
    )


class _Gallery:
    """The enrolled templates, ordered by person."""

    def __init__(self, pictures: LabelledPictures, enrolled: Int64Array) -> None:
        rows = enrolled[pictures.found[enrolled]]
        rows = rows[np.argsort(pictures.people[rows], kind="stable")]
        self._people, self._starts = np.unique(pictures.people[rows], return_index=True)
        self._templates = pictures.templates[rows].astype(np.float64)

    @property
    def people(self) -> int:
        return len(self._people)

    @property
    def templates(self) -> int:
        return len(self._templates)

    def mates(self, pictures: LabelledPictures, probes: Int64Array) -> tuple[Int64Array, Float64Array]:
        ranks = np.full(len(probes), MISSED_RANK, np.int64)
        scores = np.full(len(probes), -np.inf)
        enrolled = np.isin(pictures.people[probes], self._people)
        for places in _blocks(np.flatnonzero(pictures.found[probes] & enrolled)):
            found = self._scores(pictures, probes[places])
            mates = np.searchsorted(self._people, pictures.people[probes[places]])
            own = found[np.arange(len(places)), mates]
            ranks[places] = np.count_nonzero(found >= own[:, None], axis=1)
            scores[places] = own
        return ranks, scores

    def best_scores(self, pictures: LabelledPictures, probes: Int64Array) -> Float64Array:
        best = np.full(len(probes), -np.inf)
        if self.people:
            for places in _blocks(np.flatnonzero(pictures.found[probes])):
                best[places] = self._scores(pictures, probes[places]).max(axis=1)
        return best

    def _scores(self, pictures: LabelledPictures, rows: Int64Array) -> Float64Array:
        """float64 (probes, people)."""
        scores = pictures.templates[rows].astype(np.float64) @ self._templates.T
        return np.asarray(np.maximum.reduceat(scores, self._starts, axis=1))


def _blocks(places: Int64Array) -> list[Int64Array]:
    return [places[start : start + _PROBES_AT_ONCE] for start in range(0, len(places), _PROBES_AT_ONCE)]
