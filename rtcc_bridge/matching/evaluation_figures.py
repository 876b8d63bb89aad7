"""The figures of one-to-many identification, their intervals, and whether a sample can support them.

The terms are those of ISO/IEC 19795-1 and of NIST's one-to-many evaluation (FRTE 1:N):

FNIR(R): the share of mated searches whose mate is not among the R best people, whatever the score (investigation).
FNIR(T): the share of mated searches whose mate is not on a list of at most LIST_LENGTH people that score T or more.
FPIR(T): the share of non-mated searches that list anybody at threshold T.

A probe without a template is a miss of a mated search and lists nobody in a non-mated one.

Intervals are 95 %, by bootstrap over people: pictures of one person succeed and fail together, so that people are drawn
with replacement, each with all of their searches. The gallery stays as it is: the intervals do not say how the figures
would differ with other people enrolled. Where none or all of the searches of P people fail, every draw says the same;
there the interval is that of Clopper and Pearson (1934) for P trials, 1 - 0.025^(1/P) wide.
"""

from dataclasses import dataclass

import numpy as np

from rtcc_bridge.matching.evaluation_search import MatedSearches, NonmatedSearches
from rtcc_bridge.matching.impostors import INTERVAL_PERCENTILES
from rtcc_bridge.matching.types import BoolArray, Estimate, Float64Array, Int64Array

LIST_LENGTH = 50
"""The longest candidate list that the settings permit."""

DRAWS = 1000

_DET_POINTS = 40

_DRAWN_AT_ONCE = 2_000_000
"""People of all draws that are worked on together: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its interval, or None and why the sample cannot support it."""

    estimate: Estimate | None
    why_not: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FpirFigures:
    """FNIR at chosen FPIRs. Arrays (F,): fpir as asked, thresholds (the lowest at which no more than that share of
    the non-mated searches list anybody), fnir, and low and high, its 95 % interval, the threshold's own uncertainty
    included."""

    fpir: Float64Array
    thresholds: Float64Array
    fnir: Float64Array
    low: Float64Array
    high: Float64Array

    def estimate(self, place: int) -> Estimate:
        return Estimate(float(self.fnir[place]), float(self.low[place]), float(self.high[place]))

    def since(self, place: int) -> "FpirFigures":
        """Without those before this place."""
        return FpirFigures(
            self.fpir[place:], self.thresholds[place:], self.fnir[place:], self.low[place:], self.high[place:]
        )


def fpir_problem(fpir: float, searches: int, people: int) -> str:
    """Why so many non-mated searches of so many people cannot support a figure at this FPIR; empty when they can.

    10 / FPIR searches: then ten of them list somebody, and a count of ten has the 95 % Poisson interval 4.8 to 18.4
    (F. Garwood, Fiducial limits for the Poisson distribution, Biometrika 28, 1936), so that the FPIR that the threshold
    really has is known to a factor of two. With fewer, the threshold hangs on a handful of pictures.
    3 / FPIR people: searches of one person are not independent. Of fewer people, (1 - FPIR)^people is over 5 %: nobody
    at all being listed would not tell this FPIR from zero (the rule of three).
    """
    needed_searches, needed_people = _at_least(10 / fpir), _at_least(3 / fpir)
    if searches >= needed_searches and people >= needed_people:
        return ""
    return (
        f"FPIR {fpir:g} needs {needed_searches:,} non-mated searches (10 / FPIR) of {needed_people:,} people "
        f"(3 / FPIR); there are {searches:,} of {people:,}"
    )


def _at_least(count: float) -> int:
    """Rounded up, but for what binary fractions add to 10 / 0.01."""
    return int(np.ceil(count - 1e-9))


def strictest_fpir(searches: int, people: int) -> float:
    """The lowest FPIR that a figure can be given for, infinite without searches."""
    return max(10 / searches, 3 / people) if searches and people else float("inf")


def share(events: BoolArray, people: Int64Array, generator: np.random.Generator) -> Estimate:
    """The share of searches that are events, with its interval. ValueError: there are no searches."""
    if not len(events):
        raise ValueError("there are no searches")
    value = float(events.mean())
    _, labels, searches = np.unique(people, return_inverse=True, return_counts=True)
    count = len(searches)
    if value in {0.0, 1.0}:
        nothing = _at_most_of_none(count)
        return Estimate(value, 0.0, nothing) if value == 0 else Estimate(value, 1 - nothing, 1.0)
    hits = np.bincount(labels, weights=events, minlength=count)
    drawn = []
    for draws in _parts(DRAWS, max(1, _DRAWN_AT_ONCE // count)):
        picked = generator.integers(0, count, (draws, count))
        drawn.append(hits[picked].sum(axis=1) / searches[picked].sum(axis=1))
    low, high = np.percentile(np.concatenate(drawn), INTERVAL_PERCENTILES)
    return Estimate(value, float(min(low, value)), float(max(high, value)))


def fnir_at_rank(mated: MatedSearches, rank: int, gallery_people: int, generator: np.random.Generator) -> Figure:
    if not len(mated.ranks):
        return Figure(None, "there are no mated searches")
    if rank >= gallery_people:
        return Figure(None, f"the gallery has {gallery_people} people: a list of {rank} holds everybody")
    return Figure(share(mated.ranks > rank, mated.people, generator))


def is_listed(mated: MatedSearches, threshold: float) -> BoolArray:
    return (mated.scores >= threshold) & (mated.ranks <= LIST_LENGTH)


def figures_at_fpir(
    mated: MatedSearches, nonmated: NonmatedSearches, fpirs: Float64Array, generator: np.random.Generator
) -> FpirFigures:
    """FNIR at each of these FPIRs, whether the sample supports them or not. ValueError: there are no searches."""
    if not len(mated.ranks) or not len(nonmated.scores):
        raise ValueError("mated and non-mated searches are needed")
    trade = _TradeOff(mated, nonmated)
    thresholds, fnir = trade.at(fpirs, np.ones(len(mated.ranks)), np.ones(len(nonmated.scores)))
    mates, strangers = _Resampling(mated.people), _Resampling(nonmated.people)
    drawn = np.stack([trade.at(fpirs, mates.draw(generator), strangers.draw(generator))[1] for _ in range(DRAWS)])
    low, high = np.percentile(drawn, INTERVAL_PERCENTILES, axis=0)
    nothing = _at_most_of_none(mates.people)
    low = np.where(fnir == 1, np.minimum(low, 1 - nothing), np.minimum(low, fnir))
    high = np.where(fnir == 0, np.maximum(high, nothing), np.maximum(high, fnir))
    return FpirFigures(fpirs, thresholds, fnir, low, high)


def det_fpirs(nonmated: NonmatedSearches) -> Float64Array:
    """The FPIRs of a DET curve: from the strictest that the sample supports up to 1, none when it supports none."""
    strictest = strictest_fpir(len(nonmated.people), len(np.unique(nonmated.people)))
    return np.geomspace(strictest, 1, _DET_POINTS) if strictest < 1 else np.empty(0)


class _TradeOff:
    """FNIR against FPIR for searches that count more or less. Both kinds of search are put in falling order once."""

    def __init__(self, mated: MatedSearches, nonmated: NonmatedSearches) -> None:
        within = np.flatnonzero(mated.ranks <= LIST_LENGTH)
        self._mated_order = within[np.argsort(-mated.scores[within], kind="stable")]
        self._falling_mates = -mated.scores[self._mated_order]
        self._stranger_order = np.argsort(-nonmated.scores, kind="stable")
        self._strangers = nonmated.scores[self._stranger_order]

    def at(
        self, fpirs: Float64Array, mated_weights: Float64Array, nonmated_weights: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Thresholds and FNIR, both (F,). The threshold lies just above the best stranger who may not be listed.

        Weights are whole numbers, so that sums of them are exact.
        """
        reached = np.cumsum(nonmated_weights[self._stranger_order])
        first_too_many = np.searchsorted(reached / reached[-1], fpirs, side="right")
        highest = np.append(self._strangers, -np.inf)[first_too_many]
        thresholds = np.where(np.isinf(highest), -np.inf, np.nextafter(highest, np.inf))
        listed = np.concatenate([[0.0], np.cumsum(mated_weights[self._mated_order])])
        hits = listed[np.searchsorted(self._falling_mates, -thresholds, side="right")]
        return thresholds, (mated_weights.sum() - hits) / mated_weights.sum()


class _Resampling:
    """Draws people with replacement, each with all of their searches."""

    def __init__(self, people: Int64Array) -> None:
        names, self._labels = np.unique(people, return_inverse=True)
        self.people = len(names)

    def draw(self, generator: np.random.Generator) -> Float64Array:
        """How often each search counts: float64, as long as the searches."""
        times = np.bincount(generator.integers(0, self.people, self.people), minlength=self.people)
        return times[self._labels].astype(np.float64)


def _parts(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]


def _at_most_of_none(people: int) -> float:
    """The upper bound of a share when nothing happened to so many people; see the module's docstring."""
    return float(1 - 0.025 ** (1 / people))
