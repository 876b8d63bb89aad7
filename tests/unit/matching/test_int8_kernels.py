"""Products of int8 rows, with and without the optional package."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rtcc_bridge.matching import int8_kernels
from rtcc_bridge.matching.int8_kernels import OrtKernel, products_of_pairs
from rtcc_bridge.matching.search_int8 import Int8SearchIndex
from rtcc_bridge.matching.types import Int8Array, WholeScores
from tests.unit.matching.search_cases import random_templates, snapshot_of


@pytest.fixture(params=["as installed", "without numkong"])
def _packages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without numkong":
        monkeypatch.setattr(int8_kernels, "numkong", None)


def truth(left: Int8Array, right: Int8Array) -> list[int]:
    found: list[int] = (left.astype(np.int64) * right.astype(np.int64)).sum(axis=1).tolist()
    return found


@pytest.mark.usefixtures("_packages")
@pytest.mark.parametrize("length", [1, 3, 128, 512, 1024, 1025, 4096])
def test_the_product_of_two_rows_is_exact_whatever_int8_holds(length: int) -> None:
    random = np.random.default_rng(length)
    left, right = (random.integers(-128, 128, (300, length), np.int8, endpoint=False) for _ in range(2))
    left[0], right[0] = -128, -128
    left[1], right[1] = -128, 127
    left[3], right[3] = 127, 127
    left.flags.writeable = False
    assert products_of_pairs(left, right).tolist() == truth(left, right)
    assert products_of_pairs(left, left).tolist() == truth(left, left)


@pytest.mark.usefixtures("_packages")
def test_no_rows_have_no_products() -> None:
    none = np.empty((0, 8), np.int8)
    assert products_of_pairs(none, none).shape == (0,)


class _Noting(OrtKernel):
    """Notes the shapes of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.probes: list[tuple[int, ...]] = []
        self.rows: list[tuple[int, ...]] = []

    def prepared(self, probes: Int8Array) -> Any:
        self.probes.append(probes.shape)
        return super().prepared(probes)

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        self.rows.append(rows.shape)
        return super().scores(rows, prepared)


@pytest.fixture
def _no_kernel_chosen() -> Iterator[None]:
    int8_kernels._fastest.cache_clear()
    yield
    int8_kernels._fastest.cache_clear()


@pytest.mark.usefixtures("_no_kernel_chosen")
def test_a_kernel_is_tried_on_what_a_search_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many planes, and on more rows than a core's cache holds: elsewhere another kernel may be the fastest."""
    tried = _Noting(), _Noting()
    monkeypatch.setattr(int8_kernels, "kernels", lambda planes: tried)
    templates = random_templates(np.random.default_rng(3), 20, 512)
    (found,) = Int8SearchIndex(snapshot_of(templates)).search(templates[:1], 1, 0.5)
    assert found[0].best.image_id == 100
    for kernel in tried:
        assert set(kernel.probes) == {(2, 512)}
        assert max(rows * length for rows, length in kernel.rows) >= 8 << 20


class _Kept(OrtKernel):
    """Waits for a processor that others have, and takes next to nothing of it."""

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        # There is no condition to wait for: that it waits is what makes this kernel the slower one by the clock.
        time.sleep(0.01)
        return np.zeros((len(rows), 1), np.int32)


class _Busy(OrtKernel):
    """Is done in less time, all of which it takes of the processor."""

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        end = time.thread_time() + 0.003
        while time.thread_time() < end:
            pass
        return np.zeros((len(rows), 1), np.int32)


@pytest.mark.usefixtures("_no_kernel_chosen")
def test_a_kernel_is_not_passed_over_for_having_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _Kept()
    monkeypatch.setattr(int8_kernels, "kernels", lambda planes: (_Busy(), kept))
    assert int8_kernels.fastest_kernel(1, 8) is kept
