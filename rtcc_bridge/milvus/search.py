"""Exact search of templates that Milvus keeps: it scans there, and the proof is here."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.search import CandidateLists, SearchCounters, SearchTally, check_search
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates, close_error
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array, Int64Array
from rtcc_bridge.milvus.client import Collection, Nearest

_SPARE_ROWS: Final = 206
"""Rows asked for beyond the list's length: several photos of some people, and ones that were removed a moment ago."""


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Living rows of the gallery that may be on the list, with Milvus's scores; (n,)."""

    rows: Int64Array
    scores: Float64Array


class MilvusSearchIndex:
    """Searches one snapshot of ids (`SearchIndex`), as exactly as Milvus looks at every row.

    1. Scan. Milvus compares each row with the probe in float32 and gives the k rows of the largest scores f. However it
       adds up, f is within e of the exact score: that is the bound of `close_error`, with one rounding more for the
       number that is stored as a float32, and one for the score.
    2. Filter. Rows that this snapshot does not have, or has no longer, are dropped: who was removed is on no list from
       the moment of the swap, whatever Milvus still keeps (P25).
    3. Rescore. The templates of those with f + e at least the floor are read back and give the exact score: their 16
       bits are recovered from the floats and the scale (`StoredTemplates.from_float32`). The floor is the threshold, or
       the largest b such that `limit` people have a row with f - e >= b.
    4. Certify. If fewer than k rows came, there are no others. Otherwise those left out have f <= c, the smallest score
       that came; if c + e is below the floor, none of them is on the list.
    5. Widen. Otherwise the ids are searched in two halves, each like the whole, and so on: an end that many rows tie
       for costs searches, and never a name on the list.

    What is trusted and not proved: that Milvus looks at every row it was given, and keeps what it was given. A score
    further than e from the exact one shows that it does not compare in float32, and fails the search.
    """

    def __init__(self, snapshot: GallerySnapshot, collection: Collection, most_rows: int) -> None:
        """most_rows: those of the largest answer that is asked for."""
        self._snapshot = snapshot
        self._most_rows = most_rows
        self.collection = collection
        self._lists = CandidateLists(snapshot, self.templates_of)
        self._living = snapshot.image_count
        self._rows_by_id: Int64Array = np.argsort(snapshot.image_ids, kind="stable")
        self._sorted_ids: Int64Array = snapshot.image_ids[self._rows_by_id]
        self._error = close_error(snapshot.template_length + 2)
        self._tally = SearchTally()

    @property
    def snapshot(self) -> GallerySnapshot:
        return self._snapshot

    @property
    def counters(self) -> SearchCounters:
        return self._tally.total

    def search(self, probes: Float32Array, limit: int, threshold: float) -> list[list[Candidate]]:
        """As `SearchIndex.search` promises. UnavailableError: Milvus does not answer."""
        check_search(self._snapshot, probes, limit, threshold)
        if not len(probes) or not self._living:
            return [[] for _ in probes]
        probes = np.ascontiguousarray(probes)
        k = min(limit + _SPARE_ROWS, self._most_rows)
        answers = self.collection.nearest(probes, k)
        found = [self._rows(probe, answer, k, limit, threshold) for probe, answer in zip(probes, answers, strict=True)]
        owners = np.repeat(np.arange(len(probes)), [len(rows) for rows, _ in found])
        rows, scores = (np.concatenate(column) for column in zip(*found, strict=True))
        return self._lists.lists(*self._lists.best_rows(owners, rows, scores, limit), probes)

    def _rows(
        self, probe: Float32Array, answer: Nearest, k: int, limit: int, threshold: float
    ) -> tuple[Int64Array, Float64Array]:
        """The rows that may be on this probe's list, and their exact scores."""
        found = self._living_among(answer)
        floor = self._floor(found, limit, threshold)
        widened = not self._is_complete(answer, k, floor)
        if widened:
            found = self._all_that_may(probe, limit, floor)
            floor = self._floor(found, limit, floor)
        rows, scores = self._exact(_above(found, floor - self._error), probe)
        self._tally.add(1, len(rows), int(widened))
        reached = scores >= threshold
        return rows[reached], scores[reached]

    def _all_that_may(self, probe: Float32Array, limit: int, floor: float) -> _Found:
        """Every living row with f + e at least the floor, which rises on the way."""
        parts: list[_Found] = []
        ranges = [(int(self._sorted_ids[0]), int(self._sorted_ids[-1]))]
        while ranges:
            first, last = ranges.pop()
            (answer,) = self.collection.nearest(probe[None], self._most_rows, (first, last))
            found = self._living_among(answer)
            floor = self._floor(found, limit, floor)
            if self._is_complete(answer, self._most_rows, floor):
                parts.append(_above(found, floor - self._error))
            else:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]
        return _Found(np.concatenate([part.rows for part in parts]), np.concatenate([part.scores for part in parts]))

    def _is_complete(self, answer: Nearest, k: int, floor: float) -> bool:
        """Whether no row that Milvus left out can reach the floor."""
        return len(answer.ids) < k or float(answer.scores[-1]) + self._error < floor

    def _floor(self, found: _Found, limit: int, floor: float) -> float:
        """What a row has to score to be on the list: at least what it was, and what `limit` people surely score."""
        if len(found.rows) < limit:
            return floor
        return max(floor, float(self._lists.scores_at(limit, found.rows[None], found.scores[None])[0]) - self._error)

    def _living_among(self, answer: Nearest) -> _Found:
        if not np.isfinite(answer.scores).all():
            raise InferenceError("Milvus's scores are not all numbers: its index does not compare what was stored")
        places = np.minimum(np.searchsorted(self._sorted_ids, answer.ids), len(self._sorted_ids) - 1)
        known = self._sorted_ids[places] == answer.ids
        rows = self._rows_by_id[places[known]]
        alive = self._snapshot.alive[rows]
        return _Found(rows[alive], answer.scores[known][alive])

    def _exact(self, found: _Found, probe: Float32Array) -> tuple[Int64Array, Float64Array]:
        """The same rows with their exact scores, against which Milvus's are held."""
        scores = self._lists.exact_scores(found.rows, probe[None], np.zeros(len(found.rows), np.int64))
        if not (np.abs(scores - found.scores) <= self._error).all():
            raise InferenceError(
                f"Milvus's scores lie up to {np.abs(scores - found.scores).max():.2g} from the exact ones, and float32 "
                f"allows {self._error:.2g}: its index does not compare what was stored"
            )
        return found.rows, scores

    def templates_of(self, rows: Int64Array) -> StoredTemplates:
        """The templates of these rows int64 (n,), in their order, as they were stored. UnavailableError."""
        if not len(rows):
            return StoredTemplates.empty(self._snapshot.template_length)
        scales, values = self.collection.read(self._snapshot.image_ids[rows])
        try:
            return StoredTemplates.from_float32(values, scales)
        except ValueError as error:
            raise InferenceError(f"Milvus gives back templates that were not given to it: {error}") from error


def _above(found: _Found, least: float) -> _Found:
    kept = found.scores >= least
    return _Found(found.rows[kept], found.scores[kept])
