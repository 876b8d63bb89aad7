"""What a search answers, and the arithmetic that makes its answer the exact one.

The truth that every index has to reproduce: the similarity score of a probe and an image is the dot product of their
stored float32 templates accumulated in float64 (`exact_scores`); a person's place is that of their best photo; people
come best first, ties by the smaller image id; people below the threshold are left out.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from rtcc_bridge.matching.snapshot import LENGTH_TOLERANCE, GallerySnapshot, check_templates
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array, Int64Array, ScoredImage

_ROWS_AT_ONCE = 4096
"""Rows that are rescored together: bounds the float64 working memory of a search that a low threshold makes large."""


class SearchIndex(Protocol):
    """Searches one snapshot. An index for a newer snapshot is another object: the owner swaps them between searches."""

    @property
    def snapshot(self) -> GallerySnapshot: ...

    @property
    def counters(self) -> "SearchCounters":
        """What it took so far to prove the answers."""
        ...

    def search(self, probes: Float32Array, limit: int, threshold: float) -> list[list[Candidate]]:
        """For each probe at most `limit` people whose best photo scores at least `threshold`, best first.

        probes: float32 (B, D), each of length 1; B may be 0. A candidate's `others` are all the other living photos of
        this person with their scores, also those below the threshold, best first. An empty gallery gives empty lists.
        TemplateError: a probe of another length, not finite, not normalised. ValueError: limit < 1, threshold NaN.
        InferenceError: the device failed; there is no partial answer. Blocks; may be called from several threads.
        """
        ...


@dataclass(frozen=True, slots=True)
class SearchCounters:
    """probes: searched so far. survivors: rows whose exact score was computed to find the candidates.
    widenings: probes for which the first scan could not prove the answer, so that a second one was needed."""

    probes: int = 0
    survivors: int = 0
    widenings: int = 0


class SearchTally:
    """Adds up the counters of searches that may run at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = SearchCounters()

    @property
    def total(self) -> SearchCounters:
        return self._total

    def add(self, survivors: int, widened: bool) -> None:
        with self._lock:
            total = self._total
            self._total = replace(
                total,
                probes=total.probes + 1,
                survivors=total.survivors + survivors,
                widenings=total.widenings + int(widened),
            )


def check_search(snapshot: GallerySnapshot, probes: Float32Array, limit: int, threshold: float) -> None:
    """The errors that `SearchIndex.search` promises."""
    if limit < 1:
        raise ValueError(f"the list length has to be at least 1, not {limit}")
    if math.isnan(threshold):
        raise ValueError("the threshold is not a number")
    check_templates(probes, snapshot.template_length)


def exact_scores(templates: Float32Array, probe: Float32Array) -> Float64Array:
    """The similarity scores float64 (n,) of rows float32 (n, D) with one probe float32 (D,): the truth.

    Each product of two float32 numbers is exact in float64 (24 + 24 significand bits fit into 53), and each row is
    added up in an order that depends on D alone, so a row's score does not depend on which rows are scored beside it.
    """
    wide = probe.astype(np.float64)
    scores = np.empty(len(templates), np.float64)
    for start in range(0, len(templates), _ROWS_AT_ONCE):
        rows = templates[start : start + _ROWS_AT_ONCE]
        scores[start : start + len(rows)] = np.multiply(rows, wide, dtype=np.float64).sum(axis=1)
    return scores


def float32_error_bound(template_length: int) -> float:
    """How far a score computed in float32 may lie from `exact_scores`, for any templates that `check_templates` passes.

    Let x, y be the two templates, s = sum of x_i y_i over D terms, and |x|.|y| = sum of |x_i y_i|. However the D
    products are added up (any order, blocked, with or without fused multiply-add), the computed value f obeys
        |f - s| <= g(D, u) |x|.|y|,   g(n, u) = n u / (1 - n u),
    since each term passes through at most D roundings of relative error u each (N. J. Higham, Accuracy and Stability
    of Numerical Algorithms, 2nd ed., SIAM 2002, section 3.1, equations 3.2 to 3.5, lemma 3.1). By Cauchy and Schwarz
    |x|.|y| <= |x|_2 |y|_2 <= (1 + tolerance)^2. For float32 u = 2^-24; the truth itself is accumulated with u = 2^-53,
    so it lies within g(D, 2^-53) of s, and both distances add. The model of rounding above leaves out underflow: each
    of the D products and D sums may in addition lose at most the smallest normal number, 2^-126 (also where a device
    flushes subnormal numbers to zero), and the other roundings cannot double that. A device that rounds the factors
    first (TF32, bfloat16) does not obey this bound: it has to be told not to.
    """

    def growth(unit_roundoff: float) -> float:
        return template_length * unit_roundoff / (1 - template_length * unit_roundoff)

    longest = (1 + LENGTH_TOLERANCE) ** 2
    underflow = 4 * template_length * 2.0**-126
    # The factor covers the rounding of this very computation and of the norms in `check_templates`.
    return (growth(2.0**-24) + growth(2.0**-53)) * longest * (1 + 1e-6) + underflow


class CandidateLists:
    """Makes candidate lists out of rows that a scan found. Holds the order of the gallery's rows by person."""

    def __init__(self, snapshot: GallerySnapshot) -> None:
        self._snapshot = snapshot
        self._rows_by_subject: Int64Array = np.argsort(snapshot.subject_ids, kind="stable")
        self._sorted_subjects: Int64Array = snapshot.subject_ids[self._rows_by_subject]

    def best_rows(self, rows: Int64Array, scores: Float64Array, limit: int) -> tuple[Int64Array, Float64Array]:
        """The best row of each person among these rows and its score: at most `limit`, in the order of the list."""
        order = np.lexsort((self._snapshot.image_ids[rows], -scores))
        _, first = np.unique(self._snapshot.subject_ids[rows[order]], return_index=True)
        chosen = order[np.sort(first)[:limit]]
        return rows[chosen], scores[chosen]

    def candidates(self, rows: Int64Array, scores: Float64Array, probe: Float32Array) -> list[Candidate]:
        """The candidates whose best photos are these rows, each with the person's other living photos."""
        photos = self._photos_of(self._snapshot.subject_ids[rows])
        groups = [own[own != row] for row, own in zip(rows, photos, strict=True)]
        images = self._scored_images(np.concatenate([*groups, rows[:0]]), probe)
        candidates, start = [], 0
        for row, score, others in zip(rows, scores, groups, strict=True):
            best = ScoredImage(int(self._snapshot.image_ids[row]), float(score))
            listed = sorted(images[start : start + len(others)], key=_place)
            candidates.append(Candidate(int(self._snapshot.subject_ids[row]), best, tuple(listed)))
            start += len(others)
        return candidates

    def _photos_of(self, subject_ids: Int64Array) -> list[Int64Array]:
        """The living rows of each of these people."""
        starts = np.searchsorted(self._sorted_subjects, subject_ids, side="left")
        ends = np.searchsorted(self._sorted_subjects, subject_ids, side="right")
        found = [self._rows_by_subject[start:end] for start, end in zip(starts, ends, strict=True)]
        return [rows[self._snapshot.alive[rows]] for rows in found]

    def _scored_images(self, rows: Int64Array, probe: Float32Array) -> list[ScoredImage]:
        scores = exact_scores(self._snapshot.templates[rows], probe)
        ids = self._snapshot.image_ids[rows]
        return [ScoredImage(image_id, score) for image_id, score in zip(ids.tolist(), scores.tolist(), strict=True)]


def _place(image: ScoredImage) -> tuple[float, int]:
    return (-image.similarity_score, image.image_id)


def row_blocks(rows: int, rows_per_block: int) -> Sequence[slice]:
    """Consecutive slices that cover `rows` rows."""
    return [slice(start, min(start + rows_per_block, rows)) for start in range(0, rows, rows_per_block)]
