"""The kernel of our own for many probes: exact, within its arrays, and what it finds is what its products say."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge.matching import int8_kernels, int8_rows, int8_tiles
from rtcc_bridge.matching import reaching as reaching_module
from rtcc_bridge.matching.int8_probes import Int8Probes
from rtcc_bridge.matching.int8_rows import Instructions, RowLibrary
from rtcc_bridge.matching.int8_tiles import ROWS_AT_ONCE, PackedPlanes, TiledKernel, tiled_kernel
from rtcc_bridge.matching.reaching import ScanScores, reaching
from rtcc_bridge.matching.search_int8 import Int8SearchIndex
from rtcc_bridge.matching.types import Float32Array, Int8Array, Int64Array, WholeScores
from tests.unit.matching.guarded_memory import between_guards
from tests.unit.matching.search_cases import our_tiles, products, random_templates, snapshot_of, truth

LENGTHS = [1, 2, 3, 4, 5, 63, 64, 65, 127, 128, 130, 511, 512, 513]
"""Around the four numbers of a step and the 64 of a register."""

PLANES = [1, 15, 16, 17, 32, 33, 48, 49, 63, 64, 65, 80, 128, 150]
"""Around what one, two, three and four registers hold, and more than one tile is wide."""

ROWS = [0, 1, 5, 6, 7, 8, 9, 12, 16, 17, 47, 48, 49, 97]
"""Around the height of every tile, and the rows that are compared at once."""


@pytest.fixture
def kernel() -> TiledKernel:
    return our_tiles()


def random_planes(generator: np.random.Generator, count: int, length: int) -> Int8Array:
    return generator.integers(-127, 128, (count, length), np.int8)


@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.sampled_from(LENGTHS),
    rows=st.sampled_from(ROWS),
    planes=st.sampled_from(PLANES),
    start=st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_products_are_exact_wherever_the_rows_lie(seed: int, length: int, rows: int, planes: int, start: int) -> None:
    kernel, generator = our_tiles(), np.random.default_rng(seed)
    some = generator.integers(-128, 128, (start + rows, length), np.int8)[start:]
    batch = random_planes(generator, planes, length)
    found = kernel.scores(some, kernel.prepared(batch))
    assert found.dtype == np.int32
    assert np.array_equal(found, products(some, batch))


@pytest.mark.parametrize("length", [*LENGTHS, 131_071])
def test_products_are_exact_at_the_limits_of_the_numbers(kernel: TiledKernel, length: int) -> None:
    rows = np.array([[-128] * length, [127] * length, [0] * length], np.int8)
    rows[2, ::2] = -128
    planes = np.array([[127] * length, [-127] * length, [0] * length] * 6, np.int8)
    planes[2, ::2] = -127
    assert np.array_equal(kernel.scores(rows, kernel.prepared(planes)), products(rows, planes))


def test_more_rows_than_stay_in_the_cache_are_multiplied_as_well(kernel: TiledKernel) -> None:
    generator = np.random.default_rng(6)
    rows, planes = generator.integers(-128, 128, (1001, 512), np.int8), random_planes(generator, 130, 512)
    assert np.array_equal(kernel.scores(rows, kernel.prepared(planes)), products(rows, planes))


@pytest.mark.parametrize("last", [False, True], ids=["at the start of a page", "at the end of a page"])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("finer", [0.0, 0.5])
@pytest.mark.parametrize("planes", [2, 18, 64, 70])
@pytest.mark.parametrize("count", [3, 9, 50])
def test_nothing_beyond_the_arrays_is_touched(
    kernel: TiledKernel, count: int, planes: int, finer: float, length: int, last: bool
) -> None:
    generator, probes = np.random.default_rng(length), planes // 2 if finer else planes
    rows = between_guards(generator.integers(-128, 128, (count, length), np.int8), last=last)
    packed = PackedPlanes.of(batch := random_planes(generator, planes, length))
    guarded = PackedPlanes(between_guards(packed.numbers, last=last), planes, length)
    out = between_guards(np.empty((count, planes), np.int32), last=last)
    kernel._functions.multiply_packed(
        rows.ctypes.data, count, length, guarded.numbers.ctypes.data, planes, out.ctypes.data
    )
    assert np.array_equal(out, products(rows, batch))
    needed = between_guards(np.full(probes, -np.inf, np.float32), last=last)
    scales = between_guards(np.ones(count, np.float32), last=last)
    few = between_guards(np.empty((ROWS_AT_ONCE, planes), np.int32), last=last)
    places = between_guards(np.empty(count * probes, np.int64), last=last)
    scores = between_guards(np.empty(count * probes, np.float32), last=last)
    assert kernel.reaching(rows, guarded, finer, scales, needed, few, places, scores) == count * probes
    assert places.tolist() == list(range(count * probes))
    expected = out[:, :probes].astype(np.float32)
    if finer:
        expected += out[:, probes:].astype(np.float32) * np.float32(finer)
    assert np.array_equal(scores, expected.ravel())


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([1, 5, 16, 33, 64, 75]),
    rows=st.sampled_from(ROWS),
    finer=st.booleans(),
    share=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_what_reaches_is_what_the_products_say_to_the_bit(
    seed: int, count: int, rows: int, finer: bool, share: float
) -> None:
    kernel, generator = our_tiles(), np.random.default_rng(seed)
    probes = Int8Probes.of(random_templates(generator, count, 32), 127, finer=finer)
    some, scales = generator.integers(-128, 128, (rows, 32), np.int8), generator.random(rows, np.float32)
    scaled = ScanScores(probes, max(rows, 1)).all(products(some, probes.whole).astype(np.int32), scales)
    needed = np.quantile(scaled, 1 - share, axis=0, method="nearest") if rows else np.zeros(count)
    needed = np.asarray(needed, np.float32)
    found = ScanScores(probes, 1).reaching_of_rows(kernel, kernel.prepared(probes.whole), some, scales, needed)
    assert [part.tolist() for part in found] == [part.tolist() for part in reaching(scaled, needed)]


def test_more_than_there_is_room_for_is_found_as_well(kernel: TiledKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching_module, "_FEW", 3)
    probes = Int8Probes.of(random_templates(np.random.default_rng(3), 5, 32), 127)
    rows, scales = np.random.default_rng(4).integers(-128, 128, (60, 32), np.int8), np.ones(60, np.float32)
    scores, prepared = ScanScores(probes, 60), kernel.prepared(probes.whole)

    def found(needed: float) -> tuple[Int64Array, Float32Array]:
        return scores.reaching_of_rows(kernel, prepared, rows, scales, np.full(5, needed, np.float32))

    expected = products(rows, probes.whole).astype(np.float32)
    places, values = found(-np.inf)
    assert (places.tolist(), values.tolist()) == (list(range(300)), expected.ravel().tolist())
    assert found(expected.max())[0].tolist() == [int(expected.argmax())]
    assert found(np.inf)[0].tolist() == []


def test_what_does_not_go_together_is_refused(kernel: TiledKernel) -> None:
    """Read as the planes' length says it would reach beyond its array."""
    planes = kernel.prepared(np.ones((6, 64), np.int8))
    others: list[Any] = [np.ones((3, 63), np.int8), np.ones((3, 64), np.int16), np.ones(64, np.int8)]
    for rows in others:
        with pytest.raises(ValueError, match="do not go with planes"):
            kernel.scores(rows, planes)
    assert kernel.scores(np.ones((64, 3), np.int8).T, planes).tolist() == [[64] * 6] * 3, "with gaps: copied"
    sizes: dict[str, Any] = {"needed": 6, "scales": 3, "products": (ROWS_AT_ONCE, 6), "places": 9, "scores": 9}
    kinds = {"products": np.int32, "places": np.int64}
    for name, size in {"needed": 5, "scales": 2, "products": (3, 6), "places": 10, "scores": 8}.items():
        given_sizes = {**sizes, name: size}
        parts: dict[str, Any] = {one: np.zeros(many, kinds.get(one, np.float32)) for one, many in given_sizes.items()}
        with pytest.raises(ValueError, match="differ"):
            kernel.reaching(np.ones((3, 64), np.int8), planes, 0.0, **parts)


def test_a_search_for_some_faces_tries_it(kernel: TiledKernel) -> None:
    assert kernel not in int8_kernels.kernels(4)
    assert kernel in int8_kernels.kernels(8)
    assert kernel in int8_kernels.kernels(64)


@pytest.fixture
def _no_kernel_known() -> Iterator[None]:
    tiled_kernel.cache_clear()
    yield
    tiled_kernel.cache_clear()


@pytest.mark.usefixtures("_no_kernel_known")
def test_where_the_instructions_or_the_library_are_missing_there_is_none(
    kernel: TiledKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = int8_rows.row_library()
    assert library is not None
    for other in None, RowLibrary(library.functions, Instructions.AVX2):
        monkeypatch.setattr(int8_tiles, "row_library", lambda found=other: found)
        tiled_kernel.cache_clear()
        assert tiled_kernel() is None
        assert kernel not in int8_kernels.kernels(64)


class _Counted(TiledKernel):
    """Counts the pieces that it multiplies, and those that it compares as well."""

    def __init__(self, library: RowLibrary) -> None:
        super().__init__(library)
        self.multiplied, self.compared = 0, 0

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        self.multiplied += 1
        return super().scores(rows, prepared)

    def reaching(self, rows: Int8Array, *others: Any) -> int:
        self.compared += 1
        return super().reaching(rows, *others)


def test_a_search_writes_the_products_of_its_first_piece_down_and_no_others(kernel: TiledKernel) -> None:
    library = int8_rows.row_library()
    assert library is not None
    counted, templates = _Counted(library), random_templates(np.random.default_rng(7), 5000, 16)
    snapshot = snapshot_of(templates)
    assert Int8SearchIndex(snapshot, 1, counted).search(templates[:8], 5, -1.0) == truth(
        snapshot, templates[:8], 5, -1.0
    )
    assert (counted.multiplied, counted.compared >= 3) == (1, True)
