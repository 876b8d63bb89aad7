"""Rows and probes in float16 for a scan on an accelerator, and how far such a scan can err."""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from rtcc_bridge.matching.stored_templates import longest_length
from rtcc_bridge.matching.types import Float16Array, Float32Array, Float64Array

ROW_FACTOR: Final = 256
"""What rows are multiplied with before they are rounded: so next to none of their numbers is too small for float16's
full precision, and with `PROBE_FACTOR` no score, nor sum of products, is too large."""

PROBE_FACTOR: Final = 16

_HALF: Final = 2.0**-11
"""The relative error of rounding to float16 to nearest."""

_SMALLEST: Final = 2.0**-25
"""The absolute one, for numbers below float16's normal range."""

_PARTS: Final = 4
"""Parts of a sum that a device may round to float16 before it adds them up: cuBLAS may share a long sum out. One is
usual for templates, of some hundred numbers and a million rows."""

_ROUNDING: Final = 1e-9
"""More than what computing bounds and scores in float64 adds to the error."""


@dataclass(frozen=True, slots=True, eq=False)
class HalfProbes:
    """B probes p as a scan in float16 sees them.

    values: float16 (B, D), C-contiguous, q = fl(P p); lefts, lengths: float64 (B,), the Euclidean lengths of
    v = p - q / P and of the probe.

    A row t is on the device as r = fl(R t), by way of float32. Let R, P be the factors, u = 2^-11, w = u + 2^-24 + u
    2^-24 and a = sqrt(D) 2^-25 / R. Then |t - r/R| <= w |t| + a, and

        t.p - (r.q) / (R P) = (t - r/R).p + (r/R).v

    is at most (w |t| + a) |p| + ((1 + w) |t| + a) |v| by Cauchy and Schwarz. The device computes r.q: a product of two
    float16 numbers is exact in float32; D of them added there in any order, rounded or cut off, err by at most
    g sum |r_d q_d|, g = n / (1 - n), n = D 2^-23 (Higham, see `close_error`), and a sum that is rounded to float16 in s
    parts by s u of the same, which is at most |r| |q|.
    """

    values: Float16Array
    lefts: Float64Array
    lengths: Float64Array

    @classmethod
    def of(cls, probes: Float32Array) -> Self:
        """Of probes float32 (B, D), of Euclidean length 1."""
        values = (PROBE_FACTOR * probes).astype(np.float16, order="C")
        wide = probes.astype(np.float64)
        lefts = np.linalg.norm(wide - values / np.float64(PROBE_FACTOR), axis=1)
        return cls(values, lefts, np.linalg.norm(wide, axis=1))

    def errors(self) -> Float64Array:
        """float64 (B,): no stored template scores further than this from its scanned score."""
        dimensions = self.values.shape[1]
        relative = _HALF + 2.0**-24 + _HALF * 2.0**-24
        absolute = math.sqrt(dimensions) * _SMALLEST / ROW_FACTOR
        longest = longest_length(dimensions)
        row_rest = relative * longest + absolute
        row_length = longest + row_rest
        adding = dimensions * 2.0**-23
        device = (adding / (1 - adding) + _PARTS * _HALF * (1 + _HALF) ** _PARTS) * row_length
        lefts = (row_length + device) * self.lefts
        return np.asarray((row_rest + device) * self.lengths + lefts + _ROUNDING)
