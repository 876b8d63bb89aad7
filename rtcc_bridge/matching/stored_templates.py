"""Templates as they are stored and searched: 16 bits a component, in two planes of 8."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.types import Float32Array, Float64Array, Int8Array, Int64Array

_Float = TypeVar("_Float", np.float32, np.float64)

LENGTH_TOLERANCE: Final = 1e-3
"""How far a template's Euclidean length may lie from 1. The search's error bound rests on it."""

HIGH_LIMIT: Final = 127
"""The largest magnitude in the high plane: -128 is left out, so that a product of two int8 kernels' factors is safe."""

_LARGEST: Final = 256 * HIGH_LIMIT + 127
_ROWS_AT_ONCE: Final = 4096

_PRODUCTS_AT_ONCE: Final = 64
"""Rows that are multiplied together: 256 KiB in float64 for 512 numbers, which stay in a core's own cache."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredTemplates:
    """N templates of length D. Component d of row n is scales[n] * q, q = 256 * high[n, d] + low[n, d].

    high, low: int8 (N, D), C-contiguous, |high| <= HIGH_LIMIT; scales: float32 (N,), not negative, finite.
    A row of zeros stands for a template that was taken out.

    The high plane alone is what a search scans; both together are what it answers by. Sixteen bits with a scale of
    their own for each row err by at most scales[n] / 2 in a component: for 512 dimensions some 3e-7 of a score.
    """

    high: Int8Array
    low: Int8Array
    scales: Float32Array

    def __post_init__(self) -> None:
        """ValueError: the arrays do not fit each other, or hold what no template does."""
        if self.high.dtype != np.int8 or self.low.dtype != np.int8 or self.scales.dtype != np.float32:
            raise ValueError("stored templates are two int8 planes and float32 scales")
        if self.high.ndim != 2 or self.high.shape != self.low.shape or self.scales.shape != self.high.shape[:1]:
            raise ValueError(f"planes {self.high.shape}, {self.low.shape} and scales {self.scales.shape} do not fit")
        for array in (self.high, self.low, self.scales):
            array.flags.writeable = False

    @classmethod
    def of(cls, templates: Float32Array) -> Self:
        """The nearest stored form of templates float32 (N, D). TemplateError as `check_templates`."""
        check_templates(templates)
        high = np.empty(templates.shape, np.int8)
        low = np.empty(templates.shape, np.int8)
        scales = np.empty(len(templates), np.float32)
        for start in range(0, len(templates), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            wide = templates[rows].astype(np.float64)
            # Rounded to float32 first, and up: then no component leaves the range by the rounding of its scale.
            scales[rows] = np.nextafter((np.abs(wide).max(axis=1) / _LARGEST).astype(np.float32), np.float32(1))
            whole = np.rint(wide / scales[rows, None].astype(np.float64)).astype(np.int32)
            high[rows] = (whole + 128) >> 8
            low[rows] = whole - (high[rows].astype(np.int32) << 8)
        return cls(high, low, scales)

    @classmethod
    def from_float32(cls, values: Float32Array, scales: Float32Array) -> Self:
        """What `as_float32` gave these values float32 (N, D), for whoever keeps templates as floats and scales (N,).

        Exactly that: a value lies within a relative 2^-24 of scale * q, so that its quotient by the scale lies within
        2^-8 of q, which has 16 bits. ValueError: no templates with these scales have such values.
        """
        whole = np.rint(values / scales[:, None].astype(np.float64))
        if not (np.abs(whole) <= _LARGEST).all():
            raise ValueError("the values are no template's with these scales")
        high = np.floor((whole + 128) / 256)
        stored = cls(high.astype(np.int8), (whole - 256 * high).astype(np.int8), scales)
        if not np.array_equal(stored.as_float32(), values):
            raise ValueError("the values are no template's with these scales")
        return stored

    @classmethod
    def empty(cls, template_length: int) -> Self:
        """No template of this length."""
        none = np.empty((0, template_length), np.int8)
        return cls(none, none.copy(), np.empty(0, np.float32))

    @classmethod
    def concatenated(cls, parts: Sequence["StoredTemplates"]) -> Self:
        """The rows of all parts, of which there is at least one, in their order. Copies them."""
        return cls(
            np.concatenate([part.high for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.scales for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.scales)

    @property
    def template_length(self) -> int:
        return int(self.high.shape[1])

    def take(self, rows: Int64Array) -> "StoredTemplates":
        """A copy of these rows int64 (n,), in their order."""
        return StoredTemplates(self.high[rows], self.low[rows], self.scales[rows])

    def without(self, rows: Int64Array) -> "StoredTemplates":
        """The same rows, of which these are zeros now. Copies all."""
        high, low, scales = self.high.copy(), self.low.copy(), self.scales.copy()
        high[rows], low[rows], scales[rows] = 0, 0, 0
        return StoredTemplates(high, low, scales)

    def whole_numbers(self) -> Float64Array:
        """q of each component, float64 (N, D)."""
        return _whole_numbers(self.high, self.low, np.float64)

    def as_float32(self) -> Float32Array:
        """The components, float32 (N, D): rounded once more, for who reckons with templates outside a search."""
        return (self.whole_numbers() * self.scales[:, None]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class TemplateRoom:
    """Memory for templates that are still to come; the arrays are those of `StoredTemplates`, and can be written to."""

    high: Int8Array
    low: Int8Array
    scales: Float32Array

    @classmethod
    def of(cls, rows: int, template_length: int) -> Self:
        """New memory, with anything in it."""
        shape = (rows, template_length)
        return cls(np.empty(shape, np.int8), np.empty(shape, np.int8), np.empty(rows, np.float32))

    def part(self, start: int, stop: int) -> "TemplateRoom":
        """These rows, in the same memory."""
        return TemplateRoom(self.high[start:stop], self.low[start:stop], self.scales[start:stop])

    def put(self, templates: StoredTemplates, rows: Int64Array) -> None:
        """Copies these rows int64 (n,) of other templates, as many as there is room for. All have to be in range."""
        # So that "clip" changes nothing: it spares the copy that a check would need.
        np.take(templates.high, rows, axis=0, out=self.high, mode="clip")
        np.take(templates.low, rows, axis=0, out=self.low, mode="clip")
        np.take(templates.scales, rows, out=self.scales, mode="clip")

    def scatter(self, places: Int64Array, templates: StoredTemplates, rows: Int64Array) -> None:
        """Copies these rows int64 (n,) of other templates to these places int64 (n,). All have to be in range."""
        self.high[places] = templates.high[rows]
        self.low[places] = templates.low[rows]
        self.scales[places] = templates.scales[rows]

    def filled(self) -> StoredTemplates:
        """The templates, in the same memory, to which nothing may be written any more."""
        return StoredTemplates(self.high, self.low, self.scales)


def exact_scores(templates: StoredTemplates, probes: Float32Array, owners: Int64Array | None = None) -> Float64Array:
    """The similarity scores float64 (n,) of stored templates: the truth of every search.

    probes: float32 (D,), one for all, or (n, D), one beside each template, or (B, D) with owners int64 (n,), which
    names the one of each template.

    score = scale * sum of q_d * probe_d. Each product of a q (16 bits) and a float32 (24 significand bits) is exact in
    float64; each row is added up in an order that depends on D alone, so that its score does not depend on which rows
    are scored beside it.
    """
    scores = np.empty(len(templates), np.float64)
    for rows, beside in _by_parts(templates, probes, owners):
        products = _whole_numbers(templates.high[rows], templates.low[rows], np.float64)
        products *= beside.astype(np.float64)
        scores[rows] = products.sum(axis=1)
    return np.multiply(scores, templates.scales, out=scores)


def close_scores(templates: StoredTemplates, probes: Float32Array, owners: Int64Array | None = None) -> Float64Array:
    """What `exact_scores` returns, summed in float32: in a fraction of the time, and at most `close_error` away."""
    scores = np.empty(len(templates), np.float64)
    for rows, beside in _by_parts(templates, probes, owners):
        whole = _whole_numbers(templates.high[rows], templates.low[rows], np.float32)
        scores[rows] = np.vecdot(whole, beside)
    return np.multiply(scores, templates.scales, out=scores)


def _by_parts(
    templates: StoredTemplates, probes: Float32Array, owners: Int64Array | None
) -> Iterator[tuple[slice, Float32Array]]:
    """Some rows at a time, with the probes beside them or the one probe of all.

    Probes are copied beside the rows here, where they stay in the processor's cache: they are four times the bytes of
    a plane.
    """
    if owners is not None and len(probes) == 1:
        probes, owners = probes[0], None
    for start in range(0, len(templates), _PRODUCTS_AT_ONCE):
        rows = slice(start, start + _PRODUCTS_AT_ONCE)
        if owners is not None:
            yield rows, probes[owners[rows]]
        else:
            yield rows, probes[rows] if probes.ndim == 2 else probes


def _whole_numbers(high: Int8Array, low: Int8Array, kind: type[_Float]) -> npt.NDArray[_Float]:
    # Exact in float32 too. One type for both factors of each step: NumPy converts mixed ones in small pieces.
    whole = high.astype(np.float32)
    whole *= 256
    whole += low.astype(np.float32)
    return whole.astype(kind, copy=False)


def close_error(template_length: int) -> float:
    """How far a score of `close_scores` may lie from the exact one.

    The numbers q are exact in float32. However D products are added up, each term passes through at most D roundings of
    relative error u = 2^-24, so the sum errs by at most g |q|.|p| <= g |q|_2 |p|_2 with g = D u / (1 - D u) (N. J.
    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, lemma 3.1 and equation 3.5). The last
    summand covers underflow and the rounding of the exact score itself, which are smaller by orders.
    """
    growth = template_length * 2.0**-24 / (1 - template_length * 2.0**-24)
    return growth * longest_length(template_length) * (1 + LENGTH_TOLERANCE) + 1e-9


def longest_length(template_length: int) -> float:
    """The largest Euclidean length of a stored template: what `check_templates` lets in, moved by storing it.

    Storing moves each of D components by at most half a step, and a step is below 2^-14.
    """
    return 1 + LENGTH_TOLERANCE + math.sqrt(template_length) * 2.0**-15


def check_templates(templates: Float32Array, length: int | None = None) -> None:
    """TemplateError unless these are float32 (N, length), finite, of Euclidean length 1 within LENGTH_TOLERANCE.

    The norm is accumulated in float64, since a float32 sum of a long template errs by more than one would like here.
    """
    if templates.dtype != np.float32 or templates.ndim != 2 or templates.shape[1] < 1:
        raise TemplateError(f"templates have to be float32 (N, D), not {templates.dtype} {templates.shape}")
    if length is not None and templates.shape[1] != length:
        raise TemplateError(f"templates of length {templates.shape[1]} do not fit a gallery of {length}")
    for start in range(0, len(templates), _ROWS_AT_ONCE):
        rows = templates[start : start + _ROWS_AT_ONCE]
        if not np.isfinite(rows).all():
            raise TemplateError("a template holds a number that is not finite")
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
        if (np.abs(lengths - 1) > LENGTH_TOLERANCE).any():
            raise TemplateError(f"a template's length is not 1 within {LENGTH_TOLERANCE}: normalise it first")
