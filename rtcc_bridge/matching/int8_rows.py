"""The library of our own loops (`int8_rows.c`), there where the build of the package had a compiler, and its kernel."""

import ctypes
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from rtcc_bridge.matching.types import Int8Array, WholeScores

LIBRARY: Final = Path(__file__).with_name("libint8_rows.so")


class Instructions(IntEnum):
    """As `int8_rows.c` numbers them; each processor that has one has those before it."""

    AVX2 = 1
    AVX512_VNNI = 2


@dataclass(frozen=True, slots=True, eq=False)
class RowLibrary:
    """The library, loaded. best: what of its instructions this processor has."""

    functions: ctypes.CDLL
    best: Instructions


@cache
def row_library() -> RowLibrary | None:
    """None where it was not built, is of another source, does not load, or has nothing for this processor."""
    try:
        functions = _declared(ctypes.CDLL(str(LIBRARY)))
    except (OSError, AttributeError):  # It was built for another system, of an earlier source, or not at all.
        return None
    best = functions.best_instructions()
    return RowLibrary(functions, Instructions(best)) if best else None


def _declared(functions: ctypes.CDLL) -> ctypes.CDLL:
    """With the types of its functions. AttributeError: it lacks one of them."""
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    functions.best_instructions.restype = ctypes.c_int32
    functions.multiply.restype = None
    functions.multiply.argtypes = (ctypes.c_int32, pointer, size, size, pointer, size, pointer)
    functions.reaching.restype = size
    functions.reaching.argtypes = (
        ctypes.c_int32, pointer, size, size, ctypes.c_float, pointer, pointer, size, pointer, pointer,
    )  # fmt: skip
    functions.multiply_packed.restype = None
    functions.multiply_packed.argtypes = (pointer, size, size, pointer, size, pointer)
    functions.reaching_packed.restype = size
    functions.reaching_packed.argtypes = (
        pointer, size, size, pointer, size, ctypes.c_float, pointer, pointer, pointer, size, size, pointer, pointer,
    )  # fmt: skip
    return functions


class PrefetchingKernel:
    """Multiplies rows that come from memory at nearly the speed at which they come: it asks for them in time.

    For one probe in two planes. It takes any number of them; for many, others are faster. Holds no lock of Python's.

    Exact for rows of whatever int8 holds and planes of at most 127, up to 131,071 numbers each: a row's product is
    below 2^14 * 131,071 < 2^31, and sums in 32 bits that wrap round are right modulo 2^32, so that only narrower ones
    and those that saturate could do harm.

    - AVX-512 VNNI (vpdpbusd, which does not saturate): four products of 255 * 127 at most go straight to 32 bits. The
      row's numbers have 128 added; 128 times the sum of the plane's comes off in the end.
    - AVX2 (vpmaddubsw, which saturates at 2^15 - 1): the row's magnitude, 128 at most, with the plane's number given
      the row's sign, 127 at most, which is why a plane may not hold -128; two such products are 32,512 at most.
    """

    probe_limit: Final = 127

    def __init__(self, library: RowLibrary, instructions: Instructions) -> None:
        self.name = f"prefetching, {instructions.name}"
        self._multiply = library.functions.multiply
        self.instructions = instructions

    def prepared(self, probes: Int8Array) -> Any:
        return np.ascontiguousarray(probes, np.int8)

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        rows = fitting(rows, prepared.shape[1])
        products = np.empty((len(rows), len(prepared)), np.int32)
        self._multiply(
            self.instructions, rows.ctypes.data, *rows.shape, prepared.ctypes.data, len(prepared), products.ctypes.data
        )
        return products


def fitting(rows: Int8Array, length: int) -> Int8Array:
    """The rows int8 (n, length) without gaps. ValueError: they are others, and reading them would leave their array."""
    if rows.ndim != 2 or rows.dtype != np.int8 or rows.shape[1] != length:
        raise ValueError(f"rows of {rows.dtype} {rows.shape} do not go with planes of {length} numbers")
    return np.ascontiguousarray(rows)


@cache
def prefetching_kernels() -> tuple[PrefetchingKernel, ...]:
    """Those that this processor can run, the fastest last; none without the library."""
    library = row_library()
    return (
        () if library is None else tuple(PrefetchingKernel(library, one) for one in Instructions if one <= library.best)
    )
