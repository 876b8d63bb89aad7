"""The kernel of our own: exact at every limit, within its arrays, and nothing that a search would miss."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge import processor
from rtcc_bridge.matching import int8_kernels, int8_rows
from rtcc_bridge.matching.int8_kernels import OrtKernel
from rtcc_bridge.matching.int8_rows import Instructions, PrefetchingKernel, prefetching_kernels
from rtcc_bridge.matching.int8_tiles import tiled_kernel
from rtcc_bridge.matching.search_int8 import Int8SearchIndex
from rtcc_bridge.matching.types import Int8Array, WholeScores
from tests.unit.matching.guarded_memory import between_guards
from tests.unit.matching.search_cases import prefetching_kernel, products, random_templates, snapshot_of, truth

LENGTHS = [1, 3, 31, 32, 33, 63, 64, 65, 96, 97, 127, 128, 200, 511, 512, 513]
"""Around what both kinds of instructions take at once."""


@pytest.fixture(params=Instructions, ids=lambda instructions: instructions.name)
def kernel(request: pytest.FixtureRequest) -> PrefetchingKernel:
    return prefetching_kernel(request.param)


@pytest.mark.parametrize("instructions", Instructions, ids=lambda instructions: instructions.name)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.sampled_from(LENGTHS),
    rows=st.integers(0, 300),
    planes=st.integers(1, 5),
    start=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_products_are_exact_wherever_the_rows_lie(
    instructions: Instructions, seed: int, length: int, rows: int, planes: int, start: int
) -> None:
    kernel, generator = prefetching_kernel(instructions), np.random.default_rng(seed)
    some = generator.integers(-128, 128, (start + rows, length), np.int8)[start:]
    batch = generator.integers(-127, 128, (planes, length), np.int8)
    found = kernel.scores(some, kernel.prepared(batch))
    assert found.dtype == np.int32
    assert np.array_equal(found, products(some, batch))


@pytest.mark.parametrize("length", [*LENGTHS, 131_071])
def test_products_are_exact_at_the_limits_of_the_numbers(kernel: PrefetchingKernel, length: int) -> None:
    """Where sums in 16 bits would be cut off, and those in 32 bits come nearest to it."""
    rows = np.array([[-128] * length, [127] * length, [0] * length], np.int8)
    rows[2, ::2] = -128
    planes = np.array([[127] * length, [-127] * length, [0] * length], np.int8)
    planes[2, ::2] = -127
    assert np.array_equal(kernel.scores(rows, kernel.prepared(planes)), products(rows, planes))


def test_products_are_those_of_onnx_runtime(kernel: PrefetchingKernel) -> None:
    generator, other = np.random.default_rng(8), OrtKernel()
    rows = generator.integers(-127, 128, (5000, 512), np.int8)
    planes = generator.integers(-other.probe_limit, other.probe_limit + 1, (2, 512), np.int8)
    expected = other.scores(rows, other.prepared(planes))
    assert np.array_equal(kernel.scores(rows, kernel.prepared(planes)), expected)


@pytest.mark.parametrize("last", [False, True], ids=["at the start of a page", "at the end of a page"])
@pytest.mark.parametrize("length", LENGTHS)
def test_nothing_beyond_the_arrays_is_read(kernel: PrefetchingKernel, length: int, last: bool) -> None:
    generator = np.random.default_rng(length)
    rows = between_guards(generator.integers(-128, 128, (9, length), np.int8), last=last)
    planes = between_guards(generator.integers(-127, 128, (2, length), np.int8), last=last)
    assert np.array_equal(kernel.scores(rows, kernel.prepared(planes)), products(rows, planes))


def test_nothing_beyond_the_products_is_written(kernel: PrefetchingKernel) -> None:
    rows, planes = np.ones((7, 40), np.int8), np.ones((3, 40), np.int8)
    out = np.full(3 + 7 * 3 + 3, -1, np.int32)
    kernel._multiply(kernel.instructions, rows.ctypes.data, 7, 40, planes.ctypes.data, 3, out[3:].ctypes.data)
    assert out.tolist() == [-1] * 3 + [40] * 21 + [-1] * 3


def test_rows_of_another_length_or_kind_are_refused(kernel: PrefetchingKernel) -> None:
    """Read as the planes' length says they would reach beyond their array."""
    planes = kernel.prepared(np.ones((2, 64), np.int8))
    others: list[Any] = [np.ones((3, 63), np.int8), np.ones((3, 64), np.int16), np.ones(64, np.int8)]
    for rows in others:
        with pytest.raises(ValueError, match="do not go with planes"):
            kernel.scores(rows, planes)
    assert kernel.scores(np.ones((64, 3), np.int8).T, planes).tolist() == [[64, 64]] * 3, "with gaps: copied"


def test_several_threads_multiply_at_once(kernel: PrefetchingKernel) -> None:
    """And none holds Python's lock meanwhile, with which the others would wait."""
    generator = np.random.default_rng(9)
    rows = generator.integers(-127, 128, (20_000, 128), np.int8)
    planes = [generator.integers(-127, 128, (2, 128), np.int8) for _ in range(4)]
    together = threading.Barrier(4)

    def multiply(some: Int8Array) -> WholeScores:
        together.wait()
        return kernel.scores(rows, kernel.prepared(some))

    with ThreadPoolExecutor(4) as executor:
        for some, found in zip(planes, executor.map(multiply, planes), strict=True):
            assert np.array_equal(found, products(rows, some))


def test_where_it_was_built_a_search_for_few_faces_tries_it() -> None:
    found = prefetching_kernel()
    assert found in int8_kernels.kernels(2)
    assert found in int8_kernels.kernels(4)
    assert found not in int8_kernels.kernels(8)
    if not processor.missing(("avx512f", "avx512bw", "avx512_vnni")):
        assert found.name == "prefetching, AVX512_VNNI"


@pytest.fixture(params=["not built", "of another system", "of an earlier source"])
def _no_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    library = tmp_path / "library.so"
    if request.param == "of another system":
        library.write_bytes(b"\x7fELF" + os.urandom(60))
    if request.param == "of an earlier source":
        library = Path("libc.so.6")  # which loads, and has none of the functions
    monkeypatch.setattr(int8_rows, "LIBRARY", library)
    caches = int8_rows.row_library, prefetching_kernels, tiled_kernel, int8_kernels._fastest
    for one in caches:
        one.cache_clear()
    yield
    for one in caches:
        one.cache_clear()


@pytest.mark.usefixtures("_no_library")
def test_without_the_library_a_search_finds_the_same(recwarn: pytest.WarningsRecorder) -> None:
    assert not any(isinstance(one, PrefetchingKernel) for one in int8_kernels.kernels(2))
    assert tiled_kernel() is None
    templates = random_templates(np.random.default_rng(4), 500, 32)
    snapshot = snapshot_of(templates)
    for probes in templates[:1], templates[:9]:
        assert Int8SearchIndex(snapshot).search(probes, 5, -1.0) == truth(snapshot, probes, 5, -1.0)
    assert not recwarn.list
