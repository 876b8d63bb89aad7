"""The fit of a quality curve goes one way and finds the rates that it was given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.calibrate_quality import area_under_curve, fit_curve


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=80), st.booleans())
def test_a_curve_goes_one_way_whatever_it_is_fitted_to(searches: list[tuple[float, bool]], rising: bool) -> None:
    values, first = (np.array(column, np.float64) for column in zip(*searches, strict=True))
    curve = fit_curve(values, first, 0.9, rising=rising)
    changes = np.diff(curve.shares)
    assert (changes >= 0).all() if rising else (changes <= 0).all()
    assert set(curve.values) <= {round(float(value), 4) for value in np.concatenate([values, _between(values)])}


def _between(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Medians of an even number of values lie between two of them."""
    ordered = np.sort(values)
    return (ordered[1:] + ordered[:-1]) / 2


@pytest.mark.parametrize("rising", [True, False])
def test_rates_are_found_again(rising: bool) -> None:
    random = np.random.default_rng(6)
    values = random.uniform(0, 1, 4000)
    chance = values if rising else 1 - values
    curve = fit_curve(values, (random.uniform(size=4000) < 0.8 * chance).astype(np.float64), 0.8, rising=rising)
    for value in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert curve.share(value) == pytest.approx(value if rising else 1 - value, abs=0.08)


def test_what_is_as_good_as_clean_counts_fully() -> None:
    assert fit_curve(np.arange(100.0), np.ones(100), 0.9, rising=True).shares == (1.0, 1.0)


def test_the_area_counts_ties_half() -> None:
    first = np.array([1.0, 1.0, 0.0])
    assert area_under_curve(np.array([3.0, 1.0, 1.0]), first) == pytest.approx(0.75)
