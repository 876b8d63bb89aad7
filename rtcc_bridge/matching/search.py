"""What a search answers, and the arithmetic that makes its answer the exact one.

The truth that every index has to reproduce: the similarity score of a probe and an image is the dot product of the
probe and the stored template, accumulated in float64 (`exact_scores`); a person's place is that of their best photo;
people come best first, ties by the smaller image id; people below the threshold are left out.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates, check_templates, close_scores, exact_scores
from rtcc_bridge.matching.types import BoolArray, Candidate, Float32Array, Float64Array, Int64Array, ScoredImage

_SCORED_AT_ONCE: Final = 2048
"""Rows that are taken out of the gallery together for scoring: some 3 KiB each for templates of 512 numbers."""


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

    def add(self, probes: int, survivors: int, widenings: int) -> None:
        with self._lock:
            total = self._total
            self._total = SearchCounters(
                total.probes + probes, total.survivors + survivors, total.widenings + widenings
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

    def __init__(
        self, snapshot: GallerySnapshot, templates_of: Callable[[Int64Array], StoredTemplates] | None = None
    ) -> None:
        """templates_of: gives the templates of rows int64 (n,), in their order; without it the snapshot does.

        ValueError: the snapshot has ids alone, so that a search of it would find nobody.
        """
        if templates_of is None and snapshot.chunk_starts[-1] != snapshot.row_count:
            raise ValueError("the templates of this snapshot are kept elsewhere: it cannot be searched here")
        self._snapshot = snapshot
        self._templates_of = templates_of or snapshot.templates_of
        self._rows_by_subject: Int64Array = np.argsort(snapshot.subject_ids, kind="stable")
        self._sorted_subjects: Int64Array = snapshot.subject_ids[self._rows_by_subject]

    def best_rows(
        self, owners: Int64Array, rows: Int64Array, scores: Float64Array, limit: int
    ) -> tuple[Int64Array, Int64Array, Float64Array]:
        """The best row of each person among the rows int64 (n,) that were found for each probe, with their scores.

        owners: int64 (n,), the probe of each row. At most `limit` rows of a probe, in the order of its list; probe
        after probe.
        """
        order = np.lexsort((self._snapshot.image_ids[rows], -scores, owners))
        owners, rows, scores = owners[order], rows[order], scores[order]
        subjects = self._snapshot.subject_ids[rows]
        by_person = np.lexsort((subjects, owners))  # stable: a person's best row comes first
        best = np.empty(len(rows), np.bool_)
        best[by_person] = _begins(owners[by_person]) | _begins(subjects[by_person])
        owners, rows, scores = owners[best], rows[best], scores[best]
        starts = np.flatnonzero(_begins(owners))
        places = np.arange(len(owners)) - np.repeat(starts, np.diff(starts, append=len(owners)))
        listed = places < limit
        return owners[listed], rows[listed], scores[listed]

    def scores_at(self, place: int, rows: Int64Array, scores: Float64Array) -> Float64Array:
        """float64 (B,): the score of the person at this place (from 1) among the rows of each line.

        rows: int64 (B, m). scores: float64 (B, m), minus infinity where there is no row. Minus infinity is also the
        answer for a line of fewer people.
        """
        order = np.argsort(-scores, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
        subjects = np.take_along_axis(self._snapshot.subject_ids[rows], order, axis=1)
        by_subject = np.argsort(subjects, axis=1, kind="stable")
        grouped = np.take_along_axis(subjects, by_subject, axis=1)
        begins = np.diff(grouped, axis=1, prepend=grouped[:, :1] - 1) != 0
        best = np.empty_like(begins)  # whether a row is the best one of its person
        np.put_along_axis(best, by_subject, begins, axis=1)
        people = np.cumsum(best & (scores > -math.inf), axis=1)
        places = np.argmax(people >= place, axis=1)
        return np.where(people[:, -1] >= place, scores[np.arange(len(scores)), places], -math.inf)

    def exact_scores(self, rows: Int64Array, probes: Float32Array, owners: Int64Array) -> Float64Array:
        """float64 (n,): the exact scores of these rows int64 (n,), each with the probe that `owners` (n,) names."""
        return self._scores(exact_scores, rows, probes, owners)

    def close_scores(self, rows: Int64Array, probes: Float32Array, owners: Int64Array) -> Float64Array:
        """The same, at most `close_error` away from it."""
        return self._scores(close_scores, rows, probes, owners)

    def lists(
        self, owners: Int64Array, rows: Int64Array, scores: Float64Array, probes: Float32Array
    ) -> list[list[Candidate]]:
        """A list for each probe float32 (B, D), of what `best_rows` gave: candidates with their other living photos."""
        others, beside_row = self._other_photos(rows)
        scored = self.exact_scores(others, probes, owners[beside_row])
        ids = self._snapshot.image_ids
        order = np.lexsort((ids[others], -scored, beside_row))
        images = list(map(ScoredImage, ids[others[order]].tolist(), scored[order].tolist()))
        ends = np.searchsorted(beside_row, np.arange(len(rows)), side="right").tolist()
        first = map(ScoredImage, ids[rows].tolist(), scores.tolist())
        beside = [tuple(images[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        candidates = list(map(Candidate, self._snapshot.subject_ids[rows].tolist(), first, beside))
        stops = np.searchsorted(owners, np.arange(len(probes)), side="right").tolist()
        return [candidates[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]

    def _scores(
        self,
        score: Callable[[StoredTemplates, Float32Array, Int64Array], Float64Array],
        rows: Int64Array,
        probes: Float32Array,
        owners: Int64Array,
    ) -> Float64Array:
        """In the order of the gallery, which is that of the memory, some at a time, which bounds the memory."""
        scores = np.empty(len(rows), np.float64)
        order = np.argsort(rows)
        for start in range(0, len(rows), _SCORED_AT_ONCE):
            some = order[start : start + _SCORED_AT_ONCE]
            scores[some] = score(self._templates_of(rows[some]), probes, owners[some])
        return scores

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


def _begins(values: Int64Array) -> BoolArray:
    """bool (n,): whether a value is another one than that before it."""
    begins = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins
