"""Probes in int8 for scanning the high plane of stored templates, and how far such a scan can err."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from rtcc_bridge.matching.snapshot import TemplateChunk
from rtcc_bridge.matching.stored_templates import longest_length
from rtcc_bridge.matching.types import Float32Array, Float64Array, Int8Array, WholeScores

_ROUNDING: Final = 1e-9
"""More than what computing bounds and scores in float64 adds to the error."""

_SCALING: Final = 2.0**-21
"""More than the relative error of `Int8Probes.scale` in float32, where u = 2^-24: converting both products, multiplying
one with the finer step, itself rounded, adding them and multiplying with the row's scale: (1 + u)^5 - 1 < 6 u."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8Probes:
    """B probes as a scan sees them: p = r (z + f y) + v.

    whole: int8 (B, D), or (2 B, D) with a finer plane, C-contiguous: the z of each probe and then the y of each.
    finer: f, the same for all; 0 without that plane.
    steps: float64 (B,), the r. lefts, lengths: float64 (B,), the Euclidean lengths of v and of the probe.
    spans: float64 (B,), |r z| + |r f y|.

    The score of a row t = s (256 h + l) with a probe (s, r > 0 numbers; h, l, z, y whole) is

        t.p = 256 r s (h.z + f h.y) + 256 s (h.v) + s (l.p)

    The first term is what a scan computes: h.z and h.y are whole numbers below D 127^2, exact in int32; from there it
    goes on in float32 (`scale`). By Cauchy and Schwarz the second is at most 256 s |h| |v| <= (|t| + s |l|) |v|, the
    third at most s |l| |p|, and what float32 rounds a share of 256 s |h| (|r z| + |r f y|). With |t| <= 1 + tolerance
    and the largest s |l| of a block of rows (`TemplateChunk.largest_rest`), one number a block and probe bounds all.

    With the finer plane v is some two hundred times shorter, so that about half of the error remains: for the price of
    a second product far fewer rows lie within it.
    """

    whole: Int8Array
    finer: float
    steps: Float64Array
    lefts: Float64Array
    lengths: Float64Array
    spans: Float64Array

    @classmethod
    def of(cls, probes: Float32Array, limit: int, *, finer: bool = False) -> Self:
        """Probes float32 (B, D), none of them zero, in whole numbers of at most `limit`, 127 at most.

        finer: whether to make the finer plane.
        """
        left = probes.astype(np.float64)
        lengths, spans = np.linalg.norm(left, axis=1), np.zeros(len(probes))
        steps = np.abs(left).max(axis=1) / limit
        factors = [1.0, 0.5 / limit] if finer else [1.0]  # no number of what a plane leaves is above half its step
        planes = []
        for factor in factors:
            plane = np.clip(np.rint(left / (steps * factor)[:, None]), -limit, limit)
            taken = plane * (steps * factor)[:, None]
            planes.append(plane.astype(np.int8, order="C"))
            spans += np.linalg.norm(taken, axis=1)
            left -= taken
        return cls(
            np.concatenate(planes), factors[-1] if finer else 0.0, steps, np.linalg.norm(left, axis=1), lengths, spans
        )

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def units(self) -> Float64Array:
        """float64 (B,): what the numbers of `scale` are scores in."""
        return 256 * self.steps

    def scale(self, products: WholeScores, scales: Float32Array, out: Float32Array, spare: Float32Array) -> None:
        """The scanned scores of n rows in `units`, to out float32 (n, B).

        products: of the rows' high plane with `whole`, (n, B or 2 B). scales: float32 (n,), the rows' own.
        spare: float32 (n, B), to reckon in.
        """
        np.copyto(out, products[:, : len(self)], casting="unsafe")
        if self.finer:
            np.copyto(spare, products[:, len(self) :], casting="unsafe")
            np.multiply(spare, np.float32(self.finer), out=spare)
            np.add(out, spare, out=out)
        np.multiply(out, scales[:, None], out=out)

    def errors(self, chunk: TemplateChunk) -> Float64Array:
        """float64 (blocks, B): no row of a block scores further than this from its scanned score."""
        rests = chunk.largest_rest[:, None]
        highs = longest_length(chunk.templates.template_length) + rests
        return np.asarray(highs * (self.lefts + _SCALING * self.spans) + rests * self.lengths + _ROUNDING)
