"""What of a piece's scanned scores reaches: the same to the bit, by our own loop and by NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge.matching import reaching as reaching_module
from rtcc_bridge.matching.int8_probes import Int8Probes
from rtcc_bridge.matching.int8_rows import Instructions
from rtcc_bridge.matching.reaching import ScanScores, reaching
from rtcc_bridge.matching.types import Float32Array, WholeScores
from tests.unit.matching.guarded_memory import between_guards
from tests.unit.matching.search_cases import prefetching_kernel, random_templates

PROBES = [4, 7, 8, 9, 15, 16, 17, 31, 33, 64]
"""Around what both kinds of instructions take at once; for fewer the loop is not asked."""

of_both_kinds = pytest.mark.parametrize("instructions", Instructions, ids=lambda instructions: instructions.name)


def probes_of(count: int, *, finer: bool) -> Int8Probes:
    return Int8Probes.of(random_templates(np.random.default_rng(count), count, 32), 127, finer=finer)


def scores_of(probes: Int8Probes, rows: int, instructions: Instructions) -> ScanScores:
    prefetching_kernel(instructions)  # which says what is missing here
    return ScanScores(probes, max(rows, 1), instructions)


def by_numpy(
    probes: Int8Probes, products: WholeScores, scales: Float32Array, needed: Float32Array
) -> list[tuple[int, float]]:
    """Rows and probes by the definition in `Int8Probes`, one after another."""
    count, factor, found = len(probes), np.float32(probes.finer), []
    for row in range(len(products)):
        for probe in range(count):
            score = np.float32(products[row, probe])
            if probes.finer:
                score = score + np.float32(products[row, count + probe]) * factor
            score = score * scales[row]
            if score >= needed[probe]:
                found.append((row * count + probe, float(score)))
    return found


@of_both_kinds
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from(PROBES),
    rows=st.integers(0, 12),
    finer=st.booleans(),
    share=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_what_reaches_is_found_to_the_bit(
    instructions: Instructions, seed: int, count: int, rows: int, finer: bool, share: float
) -> None:
    """Scores that are just what is needed are among them; the largest products that there can be, too."""
    probes, generator = probes_of(count, finer=finer), np.random.default_rng(seed)
    products = generator.integers(-(2**31) + 1, 2**31 - 1, (rows, len(probes.whole)), np.int32)
    scales = generator.random(rows, np.float32) + np.float32(0.5)
    scaled = ScanScores(probes, max(rows, 1)).all(products, scales).copy()
    needed = np.quantile(scaled, 1 - share, axis=0, method="nearest") if rows else np.zeros(count, np.float32)
    needed = np.asarray(needed, np.float32)
    expected = by_numpy(probes, products, scales, needed)
    places, scores = scores_of(probes, rows, instructions).reaching(products, scales, needed)
    assert list(zip(places.tolist(), scores.tolist(), strict=True)) == expected
    assert [part.tolist() for part in reaching(scaled, needed)] == [places.tolist(), scores.tolist()]


@of_both_kinds
def test_more_than_there_is_room_for_is_found_as_well(
    instructions: Instructions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before the floors have risen, or with a gallery of equal templates."""
    monkeypatch.setattr(reaching_module, "_FEW", 3)
    probes = probes_of(5, finer=False)
    scores = scores_of(probes, 4, instructions)
    products, scales = np.arange(20, dtype=np.int32).reshape(4, 5), np.ones(4, np.float32)
    places, found = scores.reaching(products, scales, np.full(5, -np.inf, np.float32))
    assert (places.tolist(), found.tolist()) == (list(range(20)), list(map(float, range(20))))
    places, found = scores.reaching(products, scales, np.full(5, 19, np.float32))
    assert (places.tolist(), found.tolist()) == ([19], [19.0])
    assert scores.reaching(products, scales, np.full(5, np.inf, np.float32))[0].tolist() == []


@of_both_kinds
@pytest.mark.parametrize("last", [False, True], ids=["at the start of a page", "at the end of a page"])
@pytest.mark.parametrize("finer", [False, True], ids=["one plane", "two planes"])
@pytest.mark.parametrize("count", PROBES)
def test_nothing_beyond_the_arrays_is_touched(instructions: Instructions, count: int, finer: bool, last: bool) -> None:
    probes = probes_of(count, finer=finer)
    scores = scores_of(probes, 3, instructions)
    products = between_guards(np.ones((3, len(probes.whole)), np.int32), last=last)
    scales = between_guards(np.ones(3, np.float32), last=last)
    needed = between_guards(np.zeros(count, np.float32), last=last)
    scores._places = between_guards(np.zeros(3 * count, np.int64), last=last)
    scores._scores = between_guards(np.zeros(3 * count, np.float32), last=last)
    assert scores.reaching(products, scales, needed)[0].tolist() == list(range(3 * count))


def test_products_of_another_shape_are_refused() -> None:
    """Read as the probes say they would reach beyond their array."""
    probes = probes_of(6, finer=True)
    scores, scales = scores_of(probes, 4, Instructions.AVX2), np.ones(4, np.float32)
    for shape in [(4, 6), (3, 12), (5, 12)]:
        with pytest.raises(ValueError, match="do not go with"):
            scores.reaching(np.ones(shape, np.int32), scales, np.zeros(6, np.float32))
    with pytest.raises(ValueError, match="do not go with"):
        scores.reaching(np.ones((4, 12), np.int32), scales, np.zeros(5, np.float32))


def test_without_the_library_or_for_other_products_numpy_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = probes_of(6, finer=False)
    products, scales, needed = np.arange(12).reshape(2, 6), np.ones(2, np.float32), np.full(6, 9, np.float32)
    whole = scores_of(probes, 2, Instructions.AVX2).reaching(products.astype(np.float64), scales, needed)
    monkeypatch.setattr(reaching_module, "row_library", lambda: None)
    without = ScanScores(probes, 2).reaching(products.astype(np.int32), scales, needed)
    assert [part.tolist() for part in whole] == [part.tolist() for part in without] == [[9, 10, 11], [9.0, 10.0, 11.0]]
