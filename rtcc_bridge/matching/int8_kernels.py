"""Products of int8 matrices, which is where a search on the CPU spends its time.

Which kernel is the fastest depends on the processor and on the batch, so the first search of each batch size measures
(`fastest_kernel`), on rows that come from memory as those of a scan do. Every kernel's result is exact, so that the
choice changes the time and nothing else.
"""

import time
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

import numpy as np

from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.int8_rows import prefetching_kernels
from rtcc_bridge.matching.int8_tiles import tiled_kernel
from rtcc_bridge.matching.session import Device, open_session
from rtcc_bridge.matching.types import Float64Array, Int8Array, WholeScores

numkong: Any
try:
    import numkong
except ImportError:  # An optional package; without it small batches are several times slower and nothing else changes.
    numkong = None

_LEAST_TRIAL_ROWS: Final = 4096
_MOST_TRIAL_ROWS: Final = 32_768
_TRIAL_PRODUCTS: Final = 65_536
"""Of a trial, while so few or many rows suit it. For one probe the rows do not fit a core's cache, nor does a gallery:
the kernel that is the fastest on what lies in the cache is another one."""

_TRIALS: Final = 5

_FEW_PLANES: Final = 4
"""Of two probes in two planes each. Up to there the memory is the limit, which a kernel that prefetches comes near."""

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
    """numkong's kernel for one pair of rows after another: for one plane of one probe, near the memory's bandwidth."""

    name: Final = "numkong pairs"
    probe_limit: Final = 127

    def prepared(self, probes: Int8Array) -> Any:
        return probes

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        return np.asarray(numkong.cdist(rows, prepared, "dot"))


class NumkongPacked:
    """numkong's kernel for a packed second factor: of the packages' the fastest for one probe in two planes and for
    some probes with AVX-512, and the fastest of all for many on AMX."""

    name: Final = "numkong packed"
    probe_limit: Final = 127

    def prepared(self, probes: Int8Array) -> Any:
        return numkong.dots_pack(probes)

    def scores(self, rows: Int8Array, prepared: Any) -> WholeScores:
        return np.asarray(numkong.dots_packed(rows, prepared))


def kernels(planes: int) -> tuple[Int8Kernel, ...]:
    """Those that can be used here, and may be the fastest for so many rows of `Int8Probes.whole`."""
    if planes <= _FEW_PLANES:
        return (*_installed(), *prefetching_kernels()[-1:])
    tiled = tiled_kernel()
    return _installed() if tiled is None else (*_installed(), tiled)


@cache
def _installed() -> tuple[Int8Kernel, ...]:
    """Those of packages."""
    return (OrtKernel(),) if numkong is None else (OrtKernel(), NumkongPairs(), NumkongPacked())


def fastest_kernel(planes: int, template_length: int) -> Int8Kernel:
    """The one that was the fastest for about so many rows of `Int8Probes.whole`.

    Blocks for some milliseconds at the first call.
    """
    return _fastest(1 << (planes - 1).bit_length(), template_length)


@cache
def _fastest(planes: int, template_length: int) -> Int8Kernel:
    candidates = kernels(planes)
    trial_rows = max(_LEAST_TRIAL_ROWS, min(_MOST_TRIAL_ROWS, _TRIAL_PRODUCTS // planes))
    rows = np.full((trial_rows, template_length), 1, np.int8)
    batch = np.full((planes, template_length), 1, np.int8)
    return min(candidates, key=lambda kernel: _seconds(kernel, rows, batch)) if len(candidates) > 1 else candidates[0]


def _seconds(kernel: Int8Kernel, rows: Int8Array, probes: Int8Array) -> float:
    """Of the processor, the best of a few runs: what else the machine does only ever adds.

    Not by the clock, by which a busy machine, such as one that is starting, makes a choice for good out of chance.
    """
    prepared = kernel.prepared(probes)
    taken = []
    for _ in range(_TRIALS):
        start = time.thread_time()
        kernel.scores(rows, prepared)
        taken.append(time.thread_time() - start)
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
