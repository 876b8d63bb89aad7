"""Which scanned scores of a piece of the gallery reach what is needed, for each probe."""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from rtcc_bridge.matching.int8_probes import Int8Probes
from rtcc_bridge.matching.int8_rows import Instructions, RowLibrary, row_library
from rtcc_bridge.matching.int8_tiles import ROWS_AT_ONCE, PackedPlanes, TiledKernel
from rtcc_bridge.matching.types import Float32Array, Int8Array, Int32Array, Int64Array, WholeScores

_LEAST_PROBES: Final = 4
"""For fewer our own loop, which takes several probes of a row at once, is no faster than NumPy."""

_FEW: Final = 65_536
"""Scores that reach, of a piece, for which there is room from the start: once the floors have risen far fewer do."""


def reaching(scaled: Float32Array, needed: Float32Array) -> tuple[Int64Array, Float32Array]:
    """`ScanScores.reaching` of scores float32 (n, B) that are there."""
    places = np.flatnonzero(scaled >= needed)
    return places, scaled.ravel()[places]


class ScanScores:
    """The scores of one piece after another, in room that is used again: for one thread.

    Either way the scores are those of `Int8Probes.scale`, to the bit. In one pass, which the library of our own makes
    without a whole matrix of scores, 64 probes take a sixth of the time of NumPy's five.
    """

    def __init__(self, probes: Int8Probes, most_rows: int, instructions: Instructions | None = None) -> None:
        """most_rows: of a piece. instructions: of the library, the best ones unless they are given."""
        self._probes = probes
        self._most_rows = most_rows
        self._scaled: Float32Array = np.empty((0, len(probes)), np.float32)
        self._spare: Float32Array = self._scaled
        self._places: Int64Array = np.empty(_FEW, np.int64)
        self._scores: Float32Array = np.empty(_FEW, np.float32)
        self._few_products: Int32Array = np.empty((0, 0), np.int32)
        self._library: RowLibrary | None = row_library() if len(probes) >= _LEAST_PROBES else None
        self._instructions = instructions or (self._library and self._library.best)

    def all(self, products: WholeScores, scales: Float32Array) -> Float32Array:
        """float32 (n, B), until the next call. products, scales: as `Int8Probes.scale` has them."""
        if not len(self._scaled):
            self._scaled = np.empty((self._most_rows, len(self._probes)), np.float32)
            self._spare = np.empty_like(self._scaled)
        scaled = self._scaled[: len(products)]
        self._probes.scale(products, scales, scaled, self._spare[: len(products)])
        return scaled

    def reaching(
        self, products: WholeScores, scales: Float32Array, needed: Float32Array
    ) -> tuple[Int64Array, Float32Array]:
        """The scores of at least what is needed, float32 (B,): int64 (m,) the place of each, which is its row times B
        and its probe, and rises; float32 (m,). Until the next call. products, scales: as above.
        """
        if self._library is None or products.dtype != np.int32:
            return reaching(self.all(products, scales), needed)
        return self._found(partial(self._of_products, products, scales, needed))

    def reaching_of_rows(
        self, kernel: TiledKernel, prepared: PackedPlanes, rows: Int8Array, scales: Float32Array, needed: Float32Array
    ) -> tuple[Int64Array, Float32Array]:
        """As `reaching`, of the rows int8 (n, D) themselves. prepared: what the kernel makes of `Int8Probes.whole`."""
        scales, needed = np.ascontiguousarray(scales, np.float32), np.ascontiguousarray(needed, np.float32)
        if self._few_products.shape[1] != prepared.count:
            self._few_products = np.empty((ROWS_AT_ONCE, prepared.count), np.int32)

        def find() -> int:
            return kernel.reaching(
                rows, prepared, self._probes.finer, scales, needed, self._few_products, self._places, self._scores
            )

        return self._found(find)

    def _found(self, find: Callable[[], int]) -> tuple[Int64Array, Float32Array]:
        """find: writes what reaches as far as there is room, and returns how many do."""
        found = find()
        if found > len(self._places):
            self._places = np.empty(found, np.int64)
            self._scores = np.empty(found, np.float32)
            find()
        return self._places[:found], self._scores[:found]

    def _of_products(self, products: WholeScores, scales: Float32Array, needed: Float32Array) -> int:
        assert self._library is not None
        columns = len(self._probes.whole)
        if products.shape != (len(scales), columns) or needed.shape != (len(self._probes),):
            raise ValueError(f"products {products.shape} do not go with {len(scales)} rows and {columns} planes")
        whole, scales = np.ascontiguousarray(products), np.ascontiguousarray(scales, np.float32)
        needed = np.ascontiguousarray(needed, np.float32)
        found: int = self._library.functions.reaching(
            self._instructions, whole.ctypes.data, len(whole), len(self._probes), self._probes.finer,
            scales.ctypes.data, needed.ctypes.data, len(self._places), self._places.ctypes.data,
            self._scores.ctypes.data,
        )  # fmt: skip
        return found
