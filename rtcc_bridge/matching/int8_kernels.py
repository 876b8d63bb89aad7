"""Products of int8 matrices, which is where a search on the CPU spends its time.

Which kernel is the fastest depends on the processor and on the batch, so the first search of each batch size measures
(`fastest_kernel`). Every kernel's result is exact, so that the choice changes the time and nothing else.
"""

import time
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

import numpy as np

from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.session import Device, open_session
from rtcc_bridge.matching.types import Float64Array, Int8Array, WholeScores

numkong: Any
try:
    import numkong
except ImportError:  # An optional package; without it small batches are several times slower and nothing else changes.
    numkong = None

_TRIAL_ROWS: Final = 4096
_TRIALS: Final = 3

_PAIRS_AT_ONCE: Final = 256
"""Rows whose numbers stay in the processor's cache while they are float32: half the time of many at once."""

_EXACT_IN_FLOAT32: Final = 1024
"""Numbers of a row up to which every sum of products of two int8 is at most 2^24, so that float32 holds it."""


class Int8Kernel(Protocol):
    """Multiplies int8 rows with int8 probes, exactly, in the calling thread. May be called from several at once."""

    @property
    def name(self) -> str: ...

    @property
    def probe_limit(self) -> int:
        """The largest magnitude of a probe's numbers for which the result is exact; rows may have up to 127."""
        ...

    def prepared(self, probes: Int8Array) -> Any:
        """Probes int8 (B, D) in the form that `scores` takes."""
        ...

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        """Whole numbers (n, B) for rows int8 (n, D), C-contiguous. InferenceError: the runtime failed."""
        ...


class OrtKernel:
    """ONNX Runtime's `MatMulInteger`, which is always at hand, and the fastest for large batches on AVX2.

    On x86 it takes the first factor unsigned, so the rows are given with 128 added, which it subtracts again. Without
    the VNNI instructions it adds pairs of products in signed 16 bits: 2 * 255 * 64 < 2^15, so that probes of up to 64
    are safe on every processor.
    """

    name: Final = "onnxruntime"
    probe_limit: Final = 64

    def __init__(self) -> None:
        graph = files("rtcc_bridge.matching.graphs").joinpath("int8_scores.onnx").read_bytes()
        self._session = open_session(graph, Device.CPU, 1)

    def prepared(self, probes: Int8Array) -> Any:
        return np.ascontiguousarray(probes.T)

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        unsigned = np.bitwise_xor(rows.view(np.uint8), np.uint8(128))
        try:
            (scores,) = self._session.run(None, {"rows": unsigned, "probes": prepared})
        except Exception as error:  # ONNX Runtime raises bare exceptions of many unrelated kinds.
            raise InferenceError(f"the search failed on the CPU: {error}") from error
        return np.asarray(scores)


class NumkongPairs:
    """numkong's kernel for one pair of rows after another: the fastest for one probe, near the memory's bandwidth."""

    name: Final = "numkong pairs"
    probe_limit: Final = 127

    def prepared(self, probes: Int8Array) -> Any:
        return probes

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        return np.asarray(numkong.cdist(rows, prepared, "dot"))


class NumkongPacked:
    """numkong's kernel for a packed second factor: the fastest for some probes, and on AMX for many."""

    name: Final = "numkong packed"
    probe_limit: Final = 127

    def prepared(self, probes: Int8Array) -> Any:
        return numkong.dots_pack(probes)

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        return np.asarray(numkong.dots_packed(rows, prepared))


@cache
def kernels() -> tuple[Int8Kernel, ...]:
    """Those that can be used here."""
    return (OrtKernel(),) if numkong is None else (OrtKernel(), NumkongPairs(), NumkongPacked())


def fastest_kernel(probes: int, template_length: int) -> Int8Kernel:
    """The one that was the fastest for a batch of about this size. Blocks for some milliseconds at the first call."""
    return _fastest(1 << (probes - 1).bit_length(), template_length)


@cache
def _fastest(probes: int, template_length: int) -> Int8Kernel:
    candidates = kernels()
    rows = np.full((_TRIAL_ROWS, template_length), 1, np.int8)
    batch = np.full((probes, template_length), 1, np.int8)
    return min(candidates, key=lambda kernel: _seconds(kernel, rows, batch)) if len(candidates) > 1 else candidates[0]


def _seconds(kernel: Int8Kernel, rows: Int8Array, probes: Int8Array) -> float:
    """The best of a few runs: what else the machine does only ever adds."""
    prepared = kernel.prepared(probes)
    taken = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        kernel.scores(rows, prepared)
        taken.append(time.perf_counter() - start)
    return min(taken)


def products_of_pairs(left: Int8Array, right: Int8Array) -> Float64Array:
    """float64 (n,): the product of each row of `left` with the row of `right` beside it, both int8 (n, D). Exact.

    Of what int8 holds, -128 included. Without numkong it takes three times as long.
    """
    if numkong is not None and len(left):
        return np.asarray(numkong.dot(left, right), np.float64)
    kind = np.float32 if left.shape[1] <= _EXACT_IN_FLOAT32 else np.float64
    products = np.empty(len(left), np.float64)
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        rows = slice(start, start + _PAIRS_AT_ONCE)
        products[rows] = np.vecdot(left[rows].astype(kind), right[rows].astype(kind))
    return products
