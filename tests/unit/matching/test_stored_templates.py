"""Templates in 16 bits: what storing them changes, and the scores that are the truth from then on."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge.matching.stored_templates import (
    HIGH_LIMIT,
    StoredTemplates,
    close_error,
    close_scores,
    exact_scores,
)
from rtcc_bridge.matching.types import Float32Array, Float64Array
from tests.unit.matching.search_cases import normalised, random_templates

PLANE, SCALES = np.ones((3, 4), np.int8), np.ones(3, np.float32)
LENGTHS = st.sampled_from([1, 2, 3, 64, 128, 512])


def spread_templates(generator: np.random.Generator, rows: int, length: int) -> Float32Array:
    """Components of all magnitudes, some of which float32 only holds as subnormal numbers."""
    signs = generator.choice([-1, 1], (rows, length))
    return normalised((np.exp(generator.uniform(-100, 0, (rows, length))) * signs).astype(np.float32))


@given(seed=st.integers(0, 2**32 - 1), length=LENGTHS)
@settings(max_examples=60, deadline=None)
def test_no_component_moves_by_more_than_half_a_step(seed: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    for templates in (random_templates(generator, 20, length), spread_templates(generator, 20, length)):
        stored = StoredTemplates.of(templates)
        assert np.abs(stored.high.astype(int)).max() <= HIGH_LIMIT
        values = (256.0 * stored.high + stored.low) * stored.scales[:, None]
        assert (np.abs(values - templates) <= 0.5001 * stored.scales[:, None]).all()
        assert (stored.scales <= np.abs(templates).max(axis=1) / 32_639 * (1 + 2**-22)).all()


def test_a_search_score_moves_by_less_than_any_decision_rests_on() -> None:
    generator = np.random.default_rng(3)
    templates, probe = random_templates(generator, 2000, 512), random_templates(generator, 1, 512)[0]
    moved = exact_scores(StoredTemplates.of(templates), probe) - templates.astype(np.float64) @ probe
    assert np.abs(moved).max() < 1e-5


def test_exact_scores_are_those_of_exact_arithmetic_to_the_last_digits() -> None:
    generator = np.random.default_rng(4)
    stored, probe = StoredTemplates.of(random_templates(generator, 20, 128)), random_templates(generator, 1, 128)[0]
    whole = 256 * stored.high.astype(int) + stored.low
    for row, scale, score in zip(whole, stored.scales, exact_scores(stored, probe), strict=True):
        exact = math.fsum(int(q) * float(p) for q, p in zip(row, probe, strict=True)) * float(scale)
        assert score == pytest.approx(exact, abs=1e-15)


def test_a_rows_exact_score_does_not_depend_on_its_neighbours() -> None:
    generator = np.random.default_rng(5)
    stored, probe = StoredTemplates.of(random_templates(generator, 9000, 31)), random_templates(generator, 1, 31)[0]
    together = exact_scores(stored, probe)
    for row in (0, 1, 4095, 4096, 8999):
        assert together[row] == exact_scores(stored.take(np.array([row])), probe)[0]


@pytest.mark.parametrize(
    "arrays",
    [
        (PLANE, PLANE[:2], SCALES),
        (PLANE, PLANE, SCALES[:2]),
        (PLANE[0], PLANE[0], SCALES),
        (PLANE.astype(np.int16), PLANE, SCALES),
        (PLANE, PLANE, SCALES.astype(np.float64)),
    ],
    ids=["rows", "scales", "flat", "int16", "float64"],
)
def test_planes_that_do_not_fit_are_refused(arrays: Any) -> None:
    with pytest.raises(ValueError, match=r"stored templates|do not fit"):
        StoredTemplates(*arrays)


@given(seed=st.integers(0, 2**32 - 1), length=LENGTHS)
@settings(max_examples=60, deadline=None)
def test_a_close_score_is_as_close_as_it_says(seed: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    for templates in (random_templates(generator, 30, length), spread_templates(generator, 30, length)):
        stored = StoredTemplates.of(templates * np.float32(1.0009))
        probes = templates[generator.integers(0, 30, 30)]
        close = close_scores(stored, probes)
        exact = np.array([exact_scores(stored.take(np.array([row])), probes[row])[0] for row in range(30)])
        assert (np.abs(close - exact) <= close_error(length)).all()


@pytest.mark.parametrize("score", [exact_scores, close_scores])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_owners_name_the_probe_of_each_row(score: Callable[..., Float64Array], batch: int) -> None:
    generator = np.random.default_rng(batch)
    stored = StoredTemplates.of(random_templates(generator, 200, 16))
    probes, owners = random_templates(generator, batch, 16), generator.integers(0, batch, 200)
    assert np.array_equal(score(stored, probes, owners), score(stored, probes[owners]))


def test_a_close_score_is_close_enough_to_be_of_use() -> None:
    assert close_error(512) < 4e-5


@given(seed=st.integers(0, 2**32 - 1), length=LENGTHS)
@settings(max_examples=60, deadline=None)
def test_what_was_given_away_as_floats_comes_back_to_the_bit(seed: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    for templates in (random_templates(generator, 30, length), spread_templates(generator, 30, length)):
        stored = StoredTemplates.of(templates)
        back = StoredTemplates.from_float32(stored.as_float32(), stored.scales.copy())
        assert np.array_equal(back.high, stored.high)
        assert np.array_equal(back.low, stored.low)


@pytest.mark.parametrize("factor", [1.0001, 1e6, np.nan])
def test_floats_that_no_template_gave_are_refused(factor: float) -> None:
    stored = StoredTemplates.of(random_templates(np.random.default_rng(4), 3, 16))
    values = stored.as_float32()
    values[1, 5] *= np.float32(factor)
    with pytest.raises(ValueError, match="no template's"):
        StoredTemplates.from_float32(values, stored.scales.copy())
