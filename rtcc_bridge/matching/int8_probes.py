"""Probes in int8 for scanning the high plane of stored templates, and how far such a scan can err."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from rtcc_bridge.matching.snapshot import TemplateChunk
from rtcc_bridge.matching.stored_templates import longest_length
from rtcc_bridge.matching.types import Float32Array, Float64Array, Int8Array

_ROUNDING: Final = 1e-9
"""More than what computing bounds and scores in float64 adds to the error: some D 2^-53 of numbers below 2."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8Probes:
    """B probes as a scan sees them: p = steps[b] * whole[b] + what is left.

    whole: int8 (B, D), C-contiguous; steps, lefts, lengths: float64 (B,), lefts and lengths being the Euclidean lengths
    of what is left and of the probe.

    The score of a row t = s (256 h + l) with a probe p = r z + v (s, r > 0 numbers; h, l, z whole; v what is left) is

        t.p = 256 s r (h.z) + 256 s (h.v) + s (l.p)

    The first term is what a scan computes: h.z is a whole number below D 127^2, exact in int32. By Cauchy and Schwarz
    the second is at most 256 s |h| |v| <= (|t| + s |l|) |v|, the third at most s |l| |p|. With |t| <= 1 + tolerance and
    the largest s |l| of a block of rows (`TemplateChunk.largest_rest`), one number a block and probe bounds both.
    """

    whole: Int8Array
    steps: Float64Array
    lefts: Float64Array
    lengths: Float64Array

    @classmethod
    def of(cls, probes: Float32Array, limit: int) -> Self:
        """Probes float32 (B, D) in whole numbers of at most `limit`, 127 at most."""
        wide = probes.astype(np.float64)
        steps = np.abs(wide).max(axis=1) / limit
        whole = np.rint(wide / steps[:, None])
        lefts = np.linalg.norm(wide - whole * steps[:, None], axis=1)
        return cls(whole.astype(np.int8, order="C"), steps, lefts, np.linalg.norm(wide, axis=1))

    def __len__(self) -> int:
        return len(self.steps)

    def errors(self, chunk: TemplateChunk) -> Float64Array:
        """float64 (blocks, B): no row of a block scores further than this from its scanned score."""
        rests = chunk.largest_rest[:, None]
        longest = longest_length(chunk.templates.template_length)
        return np.asarray((longest + rests) * self.lefts + rests * self.lengths + _ROUNDING)
