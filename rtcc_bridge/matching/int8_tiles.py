"""The kernel of our own for many probes: AVX-512 VNNI, where the library (`int8_rows.c`) was built."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.int8_rows import Instructions, RowLibrary, fitting, row_library
from rtcc_bridge.matching.types import Float32Array, Int8Array, Int32Array, Int64Array, WholeScores

_LANES: Final = 16
_PLANES_AT_ONCE: Final = 64
_NUMBERS_AT_ONCE: Final = 4
ROWS_AT_ONCE: Final = 48
"""Rows whose products with the probes stay in a core's cache until they are compared. Whole tiles of each kind."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedPlanes:
    """Planes int8 (B, D) as the tiles read them.

    numbers: uint8 (n,), with 128 added. Planes come in groups of 64, the last filled up to a multiple of 16; of each
    group the first four numbers of every plane, then the next four, the last filled up to four.
    """

    numbers: npt.NDArray[np.uint8]
    count: int
    length: int

    @classmethod
    def of(cls, planes: Int8Array) -> Self:
        count, length = planes.shape
        filled = np.pad(planes.view(np.uint8) ^ np.uint8(128), ((0, -count % _LANES), (0, -length % _NUMBERS_AT_ONCE)))
        fours = filled.reshape(len(filled), -1, _NUMBERS_AT_ONCE)
        groups = [fours[start : start + _PLANES_AT_ONCE] for start in range(0, len(fours), _PLANES_AT_ONCE)]
        return cls(np.concatenate([group.transpose(1, 0, 2).ravel() for group in groups]), count, length)


class TiledKernel:
    """Multiplies rows with many planes at nearly the speed of the processor's instruction. Holds no lock of Python's.

    Exact for whatever int8 holds, as `PrefetchingKernel` is with the same instruction: here the planes' numbers have
    128 added, and 128 times the sum of the row comes off. Besides, it finds what reaches without a whole matrix of
    products: those of some rows are compared while they are in the cache.
    """

    name: Final = "tiles, AVX512_VNNI"
    probe_limit: Final = 127

    def __init__(self, library: RowLibrary) -> None:
        """The library's best instructions have to be AVX-512 VNNI."""
        self._functions = library.functions

    def prepared(self, probes: Int8Array) -> Any:
        return PackedPlanes.of(np.ascontiguousarray(probes, np.int8))

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        rows = fitting(rows, prepared.length)
        products = np.empty((len(rows), prepared.count), np.int32)
        self._functions.multiply_packed(
            rows.ctypes.data, *rows.shape, prepared.numbers.ctypes.data, prepared.count, products.ctypes.data
        )
        return products

    def reaching(
        self,
        rows: Int8Array,
        prepared: PackedPlanes,
        finer: float,
        scales: Float32Array,
        needed: Float32Array,
        products: Int32Array,
        places: Int64Array,
        scores: Float32Array,
    ) -> int:
        """How many scores of rows int8 (n, D) reach what is needed, float32 (B,), as of products `ScanScores.reaching`.

        finer: as `Int8Probes` has it; the planes are B, or 2 B with it. scales: float32 (n,). products: int32
        (ROWS_AT_ONCE, planes), to reckon in. places, scores: where those that reach are written, as far as there is
        room. All of them C-contiguous but for the rows.
        """
        rows = fitting(rows, prepared.length)
        if (
            len(needed) * (2 if finer else 1) != prepared.count
            or scales.shape != (len(rows),)
            or products.shape != (ROWS_AT_ONCE, prepared.count)
            or len(places) != len(scores)
        ):
            raise ValueError(
                f"{len(rows)} rows, {len(scales)} scales, {len(needed)} probes and what is for them differ"
            )
        found: int = self._functions.reaching_packed(
            rows.ctypes.data, *rows.shape, prepared.numbers.ctypes.data, len(needed), finer, scales.ctypes.data,
            needed.ctypes.data, products.ctypes.data, ROWS_AT_ONCE, len(places), places.ctypes.data, scores.ctypes.data,
        )  # fmt: skip
        return found


@cache
def tiled_kernel() -> TiledKernel | None:
    """None without the library or without AVX-512 VNNI."""
    library = row_library()
    return TiledKernel(library) if library is not None and library.best is Instructions.AVX512_VNNI else None
