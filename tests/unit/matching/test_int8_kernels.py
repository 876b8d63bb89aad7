"""Products of int8 rows, with and without the optional package."""

import numpy as np
import pytest

from rtcc_bridge.matching import int8_kernels
from rtcc_bridge.matching.int8_kernels import products_of_pairs
from rtcc_bridge.matching.types import Int8Array


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
