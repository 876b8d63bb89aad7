"""What a search answers, and the arithmetic that makes its answer the exact one.

The truth that every index has to reproduce: the similarity score of a probe and an image is the dot product of the
probe and the stored template, accumulated in float64 (`exact_scores`); a person's place is that of their best photo;
people come best first, ties by the smaller image id; people below the threshold are left out.
"""

import math
import threading
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import check_templates, close_scores, exact_scores
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array, Int64Array, ScoredImage


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
    widenings: probes for which the plan for the ordinary case did not suffice: too many rows lay within the error of
    the scan, so that more of them had to be scored exactly before it could go on."""

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

    def score_at(self, place: int, rows: Int64Array, scores: Float64Array) -> float:
        """The score of the person at this place (from 1) among these rows; minus infinity when they are fewer."""
        order = np.argsort(-scores)
        _, first = np.unique(self._snapshot.subject_ids[rows[order]], return_index=True)
        return float(scores[order[np.partition(first, place - 1)[place - 1]]]) if len(first) >= place else -math.inf

    def exact_scores(self, rows: Int64Array, probe: Float32Array) -> Float64Array:
        """The exact scores float64 (n,) of these rows int64 (n,)."""
        return exact_scores(self._snapshot.templates_of(rows), probe)

    def close_scores(self, rows: Int64Array, probes: Float32Array) -> Float64Array:
        """The scores float64 (n,) of these rows int64 (n,), each with the probe beside it, float32 (n, D)."""
        return close_scores(self._snapshot.templates_of(rows), probes)

    def candidates(self, rows: Int64Array, scores: Float64Array, probe: Float32Array) -> list[Candidate]:
        """The candidates whose best photos are these rows, each with the person's other living photos."""
        others, owners = self._other_photos(rows)
        scored = self.exact_scores(others, probe)
        ids = self._snapshot.image_ids
        order = np.lexsort((ids[others], -scored, owners))
        images = list(map(ScoredImage, ids[others[order]].tolist(), scored[order].tolist()))
        ends = np.searchsorted(owners, np.arange(len(rows)), side="right").tolist()
        best = map(ScoredImage, ids[rows].tolist(), scores.tolist())
        beside = [tuple(images[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        return list(map(Candidate, self._snapshot.subject_ids[rows].tolist(), best, beside))

    def _other_photos(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """The other living rows of the people whom these rows show, and for each the place of its person, rising."""
        subjects = self._snapshot.subject_ids[rows]
        starts = np.searchsorted(self._sorted_subjects, subjects, side="left")
        counts = np.searchsorted(self._sorted_subjects, subjects, side="right") - starts
        owners = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = self._rows_by_subject[np.repeat(starts, counts) + within]
        other = self._snapshot.alive[found] & (found != rows[owners])
        return found[other], owners[other]
