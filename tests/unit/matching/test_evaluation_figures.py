"""The figures of an evaluation: worked out by hand, and on scores of which the truth is known."""

import math

import numpy as np
import pytest

from rtcc_bridge.matching.evaluation_figures import (
    det_fpirs,
    figures_at_fpir,
    fnir_at_rank,
    fpir_problem,
    share,
)
from rtcc_bridge.matching.evaluation_search import MISSED_RANK, MatedSearches, NonmatedSearches
from rtcc_bridge.matching.types import Float64Array


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mated(scores: list[float], ranks: list[int] | None = None, people: list[int] | None = None) -> MatedSearches:
    count = len(scores)
    return MatedSearches(
        np.arange(count), np.array(people or range(count)), np.array(ranks or [1] * count), np.array(scores)
    )


def nonmated(scores: list[float] | Float64Array, people: list[int] | None = None) -> NonmatedSearches:
    return NonmatedSearches(np.arange(len(scores)), np.array(people or range(len(scores))), np.array(scores))


# Shares and ranks


def test_the_share_of_misses_at_each_rank() -> None:
    searches = mated([0.9, 0.8, 0.7, -math.inf], [1, 5, 6, MISSED_RANK])
    for rank, misses in ((1, 3), (5, 2), (20, 1), (50, 1)):
        figure = fnir_at_rank(searches, rank, 1000, generator())
        assert figure.estimate is not None
        assert figure.estimate.value == misses / 4
        assert figure.estimate.low <= figure.estimate.value <= figure.estimate.high


def test_a_list_as_long_as_the_gallery_measures_nothing() -> None:
    assert "holds everybody" in fnir_at_rank(mated([0.9]), 50, 50, generator()).why_not
    assert fnir_at_rank(mated([0.9]), 50, 51, generator()).estimate is not None
    assert fnir_at_rank(mated([]), 1, 50, generator()).why_not == "there are no mated searches"


def test_the_interval_of_a_share_is_that_of_people() -> None:
    """Ten pictures of one person are no ten observations: 100 people with ten each, all or none of which fail."""
    events = np.repeat(generator(1).random(100) < 0.3, 10)
    of_people = share(events, np.repeat(np.arange(100), 10), generator())
    of_pictures = share(events, np.arange(1000), generator())
    binomial = 1.96 * math.sqrt(of_people.value * (1 - of_people.value) / 100)
    assert of_people.high - of_people.value == pytest.approx(binomial, rel=0.15)
    assert of_people.value - of_people.low == pytest.approx(binomial, rel=0.15)
    assert of_pictures.high - of_pictures.low < (of_people.high - of_people.low) / 2


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    """A true share of .2 among 150 people with three searches each that go together half of the time."""
    drawn = generator(1)
    held = 0
    for _ in range(100):
        person = np.repeat(drawn.random(150) < 0.2, 3)
        alone = drawn.random(450) < 0.2
        events = np.where(np.repeat(drawn.random(150) < 0.5, 3), person, alone)
        found = share(events, np.repeat(np.arange(150), 3), drawn)
        held += found.low <= 0.2 <= found.high
    assert held >= 88


def test_no_failure_of_few_people_is_no_proof() -> None:
    """Clopper and Pearson: 0 of 20 has the upper bound .168."""
    none = share(np.zeros(60, np.bool_), np.repeat(np.arange(20), 3), generator())
    every = share(np.ones(20, np.bool_), np.arange(20), generator())
    assert [none.value, none.low, none.high] == pytest.approx([0, 0, 0.1684], abs=1e-4)
    assert [every.value, every.low, every.high] == pytest.approx([1, 0.8316, 1], abs=1e-4)


# FNIR at FPIR


def test_fnir_at_an_fpir_by_hand() -> None:
    """Ten strangers: at an FPIR of .2 two may be listed, so the threshold lies just above the third."""
    strangers = nonmated([0.50, 0.60, 0.55, 0.40, 0.30, 0.20, 0.10, 0.05, 0.04, 0.03])
    searches = mated([0.9, 0.5, 0.51, 0.45, -math.inf], [1, 1, 1, 60, MISSED_RANK])
    found = figures_at_fpir(searches, strangers, np.array([0.0, 0.1, 0.2, 0.3, 1.0]), generator())
    assert found.thresholds[:4] == pytest.approx([0.6, 0.55, 0.5, 0.4], abs=1e-12)
    assert (found.thresholds[:4] > [0.6, 0.55, 0.5, 0.4]).all()
    # The one in place 60 is on no list, the one without a face neither; .5 is listed only when the threshold is lower.
    assert found.fnir.tolist() == pytest.approx([0.8, 0.8, 0.6, 0.4, 0.4])
    assert (found.low <= found.fnir).all()
    assert (found.fnir <= found.high).all()


def test_strangers_who_score_alike_are_listed_together_or_not_at_all() -> None:
    found = figures_at_fpir(mated([0.5]), nonmated([0.5, 0.5, 0.5, 0.1]), np.array([0.25, 0.74, 0.75]), generator())
    assert (found.thresholds > [0.5, 0.5, 0.1]).all()
    assert found.fnir.tolist() == [1, 1, 0]


def test_a_stranger_without_a_face_is_a_search_that_lists_nobody() -> None:
    found = figures_at_fpir(
        mated([0.2]), nonmated([0.9, -math.inf, -math.inf, -math.inf]), np.array([0.25]), generator()
    )
    assert found.fnir.tolist() == [0]


def test_known_distributions_give_known_figures() -> None:
    """Strangers' best scores are normal (0, 1), mates' normal (2.5, 1): FNIR = Phi(z(1 - FPIR) - 2.5)."""
    drawn = generator(4)
    strangers = nonmated(drawn.standard_normal(8000))
    mates = MatedSearches(np.arange(3000), np.arange(3000), np.ones(3000, np.int64), 2.5 + drawn.standard_normal(3000))
    found = figures_at_fpir(mates, strangers, np.array([0.1, 0.03, 0.01, 0.003]), generator())
    # z(1 - FPIR): 1.2816, 1.8808, 2.3263, 2.7478
    truth = [0.5 * math.erfc((2.5 - z) / math.sqrt(2)) for z in (1.2816, 1.8808, 2.3263, 2.7478)]
    assert found.fnir == pytest.approx(truth, abs=0.05)
    assert (found.low <= truth).all()
    assert (found.high >= truth).all()
    assert (np.diff(found.fnir) > 0).all()


def test_the_threshold_s_own_uncertainty_is_in_the_interval() -> None:
    """With the same mates, fewer strangers leave the threshold less certain."""
    drawn = generator(6)
    mates = MatedSearches(np.arange(2000), np.arange(2000), np.ones(2000, np.int64), 2 + drawn.standard_normal(2000))
    widths = []
    for count in (200, 6000):
        found = figures_at_fpir(mates, nonmated(drawn.standard_normal(count)), np.array([0.1]), generator())
        widths.append(float(found.high[0] - found.low[0]))
    assert widths[0] > 2 * widths[1]


def test_searches_of_both_kinds_are_needed() -> None:
    with pytest.raises(ValueError, match="mated and non-mated"):
        figures_at_fpir(mated([]), nonmated([0.1]), np.array([0.1]), generator())


# What a sample can support


@pytest.mark.parametrize(
    ("fpir", "searches", "people", "supported"),
    [
        (0.1, 100, 30, True),
        (0.1, 99, 30, False),
        (0.1, 100, 29, False),
        (0.01, 1000, 300, True),
        (0.01, 999, 900, False),
        (0.003, 3334, 1000, True),
        (0.003, 3333, 1000, False),
        (0.003, 1500, 700, False),
    ],
)
def test_what_is_measurable(fpir: float, searches: int, people: int, supported: bool) -> None:
    problem = fpir_problem(fpir, searches, people)
    assert (problem == "") is supported
    assert supported or f"there are {searches:,} of {people:,}" in problem


def test_the_curve_ends_where_the_sample_does() -> None:
    strangers = nonmated(np.zeros(2000), [place // 2 for place in range(2000)])
    assert det_fpirs(strangers)[[0, -1]] == pytest.approx([0.005, 1])
    assert len(det_fpirs(nonmated([0.1] * 5))) == 0
    assert len(det_fpirs(nonmated([]))) == 0
