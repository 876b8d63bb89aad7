"""Evaluates a model pack one-to-many: from labelled templates to the figures that are reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.evaluation_figures import (
    Figure,
    FpirFigures,
    det_fpirs,
    figures_at_fpir,
    fnir_at_rank,
    fpir_problem,
    is_listed,
    share,
)
from rtcc_bridge.matching.evaluation_search import Searches, search_split
from rtcc_bridge.matching.evaluation_split import ENROLLED_SHARE, LabelledPictures, split_people
from rtcc_bridge.matching.quality_bands import BAND_NAMES, bands_of
from rtcc_bridge.matching.types import BoolArray, Int64Array

Labels: TypeAlias = npt.NDArray[np.str_]

RANKS = (1, 5, 20, 50)
FPIRS = (0.1, 0.03, 0.01, 0.003)

MIN_PEOPLE_SHOWN = 20
"""Of a group or a quality band: fewer people can be recognised among themselves, and their figures say nothing. Even
where none of 20 people is missed, the interval reaches up to 17 %."""

NO_FACE = "no face found"
"""The quality band of what could not be searched."""

_FEW = f"fewer than {MIN_PEOPLE_SHOWN} people"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many searches of how many people."""

    searches: int
    people: int


@dataclass(frozen=True, slots=True)
class FpirFigure:
    """threshold: None when the figure is not measurable."""

    fpir: float
    threshold: float | None
    fnir: Figure


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The figures of one group or quality band. Counts are None where they are too small to be shown.

    fnir and fpir: at the threshold that gives everybody together the evaluation's reference FPIR.
    """

    label: str
    mated: Counts | None
    nonmated: Counts | None
    fnir_rank1: Figure
    fnir: Figure
    fpir: Figure


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What was measured. Figures that the sample cannot support say why.

    failure_to_detect: pictures, of all that are enrolled or searched, on which no face was found or none that gives a
    template.
    not_enrolled: people of whom nothing could be enrolled for that reason; every search for them is a miss.
    reference_fpir: the strictest of FPIRS that is measurable, None when none is. det: None likewise.
    groups: by attribute, then by the value of it.
    """

    people: int
    pictures: int
    failure_to_detect: int
    gallery: Counts
    not_enrolled: int
    mated: Counts
    nonmated: Counts
    ranks: Mapping[int, Figure]
    fpirs: tuple[FpirFigure, ...]
    det: FpirFigures | None
    reference_fpir: float | None
    quality: tuple[Breakdown, ...]
    groups: Mapping[str, tuple[Breakdown, ...]]


def evaluate(
    pictures: LabelledPictures,
    *,
    seed: int,
    enrolled_share: float = ENROLLED_SHARE,
    photos_per_person: int = 1,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Evaluation:
    """Split, search and measure; the same seed gives the same figures. Blocks.

    groups: by attribute the value of each picture, as long as the pictures; an empty value belongs to no group.
    ValueError: as `split_people`, or groups of another length.
    """
    for attribute, values in (groups or {}).items():
        if len(values) != len(pictures):
            raise ValueError(f"{attribute} has {len(values)} values for {len(pictures)} pictures")
    split = split_people(pictures.people, seed=seed, enrolled_share=enrolled_share, photos_per_person=photos_per_person)
    searches = search_split(pictures, split)
    generator = np.random.default_rng([seed, 1])
    mated, nonmated = searches.mated, searches.nonmated
    fpirs, det = _at_fpirs(searches, generator)
    reference = min((point for point in fpirs if point.threshold is not None), key=_fpir_of, default=None)
    breakdown = _Breakdowns(searches, None if reference is None else reference.threshold, generator)
    bands = np.array(BAND_NAMES)[bands_of(pictures.quality)]
    return Evaluation(
        people=len(np.unique(pictures.people)),
        pictures=len(pictures),
        failure_to_detect=int(np.count_nonzero(~pictures.found)),
        gallery=Counts(searches.gallery_templates, searches.gallery_people),
        not_enrolled=len(np.unique(pictures.people[split.enrolled])) - searches.gallery_people,
        mated=_counts(mated.people),
        nonmated=_counts(nonmated.people),
        ranks={rank: fnir_at_rank(mated, rank, searches.gallery_people, generator) for rank in RANKS},
        fpirs=fpirs,
        det=det,
        reference_fpir=None if reference is None else reference.fpir,
        quality=breakdown.by(np.where(pictures.found, bands, NO_FACE), [*BAND_NAMES, NO_FACE]),
        groups={
            attribute: breakdown.by(np.array(values), sorted(set(values) - {""}))
            for attribute, values in (groups or {}).items()
        },
    )


def _fpir_of(point: FpirFigure) -> float:
    return point.fpir


def _counts(people: Int64Array) -> Counts:
    return Counts(len(people), len(np.unique(people)))


def _at_fpirs(searches: Searches, generator: np.random.Generator) -> tuple[tuple[FpirFigure, ...], FpirFigures | None]:
    """The figures at FPIRS, and the DET curve: it begins at the strictest FPIR that the sample supports."""
    mated, nonmated = searches.mated, searches.nonmated
    count = _counts(nonmated.people)
    problems = [fpir_problem(fpir, count.searches, count.people) for fpir in FPIRS]
    if not len(mated.ranks):
        problems = ["there are no mated searches"] * len(FPIRS)
    measurable = [fpir for fpir, problem in zip(FPIRS, problems, strict=True) if not problem]
    figures = {fpir: Figure(None, problem) for fpir, problem in zip(FPIRS, problems, strict=True)}
    if not measurable:
        return tuple(FpirFigure(fpir, None, figure) for fpir, figure in figures.items()), None
    every = figures_at_fpir(mated, nonmated, np.concatenate([measurable, det_fpirs(nonmated)]), generator)
    thresholds = dict(zip(measurable, every.thresholds.tolist(), strict=False))
    figures |= {fpir: Figure(every.estimate(place)) for place, fpir in enumerate(measurable)}
    found = tuple(FpirFigure(fpir, thresholds.get(fpir), figure) for fpir, figure in figures.items())
    return found, every.since(len(measurable))


class _Breakdowns:
    """Figures of parts of the searches, at a threshold that is the same for all."""

    def __init__(self, searches: Searches, threshold: float | None, generator: np.random.Generator) -> None:
        mated, nonmated = searches.mated, searches.nonmated
        self._mated, self._nonmated = mated, nonmated
        self._missed_first = mated.ranks > 1
        self._missed = None if threshold is None else ~is_listed(mated, threshold)
        self._listing = None if threshold is None else np.isfinite(nonmated.scores) & (nonmated.scores >= threshold)
        self._generator = generator

    def by(self, labels: Labels, wanted: Sequence[str]) -> tuple[Breakdown, ...]:
        """labels: (n,), of each labelled picture; a search belongs to its probe's. Empty parts are left out."""
        of_mated, of_nonmated = labels[self._mated.rows], labels[self._nonmated.rows]
        parts = [(label, of_mated == label, of_nonmated == label) for label in wanted]
        return tuple(self._of(label, mine, others) for label, mine, others in parts if mine.any() or others.any())

    def _of(self, label: str, mated: BoolArray, nonmated: BoolArray) -> Breakdown:
        people, strangers = self._mated.people[mated], self._nonmated.people[nonmated]
        return Breakdown(
            label=label,
            mated=_shown(people),
            nonmated=_shown(strangers),
            fnir_rank1=self._share(self._missed_first[mated], people),
            fnir=self._share(None if self._missed is None else self._missed[mated], people),
            fpir=self._share(None if self._listing is None else self._listing[nonmated], strangers),
        )

    def _share(self, events: BoolArray | None, people: Int64Array) -> Figure:
        if events is None:
            return Figure(None, "no FPIR is measurable, so there is no threshold")
        return Figure(None, _FEW) if _shown(people) is None else Figure(share(events, people, self._generator))


def _shown(people: Int64Array) -> Counts | None:
    counts = _counts(people)
    return counts if counts.people >= MIN_PEOPLE_SHOWN else None
