"""The rows that a scan could not rule out yet, for each probe of a batch."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from rtcc_bridge.matching.search import CandidateLists
from rtcc_bridge.matching.types import BoolArray, Float32Array, Float64Array, Int64Array

_SPARE_ROWS: Final = 32
"""Rows looked at beyond the list's length when a floor is raised, since some people have several photos."""

_ROWS_BETWEEN_SORTINGS: Final = 512
"""Rows a probe that come in, on average, before what they mean for the floors is worked out."""

_MOST_ROWS: Final = 8192
"""Rows of one probe that are kept on their scanned scores. More are scored exactly at once, and the list's are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of several probes: for each the index of its probe, its number in the gallery, its score and error; (n,)."""

    probes: Int64Array
    rows: Int64Array
    scores: Float64Array
    errors: Float64Array

    @classmethod
    def joined(cls, parts: Iterable["_Rows"]) -> "_Rows":
        columns = zip(*((part.probes, part.rows, part.scores, part.errors) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, chosen: BoolArray | Int64Array) -> "_Rows":
        return _Rows(self.probes[chosen], self.rows[chosen], self.scores[chosen], self.errors[chosen])

    def of_each(self, probes: int) -> list["_Rows"]:
        """Those of each probe."""
        order = np.argsort(self.probes, kind="stable")
        ends = np.searchsorted(self.probes[order], np.arange(probes), side="right")
        return [self.where(order[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


class Floors:
    """What a row has to be able to score, for each probe. Rises as a search goes on; shared by its threads."""

    def __init__(self, probes: int, threshold: float) -> None:
        self._lock = threading.Lock()
        self._values: Float64Array = np.full(probes, threshold)

    @property
    def values(self) -> Float64Array:
        """float64 (B,), not to be written to. May be a little behind what another thread knows, which is no error."""
        return self._values

    def raise_to(self, values: Float64Array) -> None:
        with self._lock:
            self._values = np.maximum(self._values, values)


class Shortlist:
    """What one thread of a search found.

    A row is kept with its scanned score f and an error e: its exact score lies in f - e .. f + e. A row is dropped when
    f + e is below its probe's floor. A floor is the threshold, or the largest known b such that `limit` people have a
    row with f - e >= b: then `limit` people score at least b, so that nobody below b is on the list. Nothing else drops
    a row, hence the rows of the exact list are always among those kept, whatever the scan's order. A row at the floor
    itself is kept, since ties are decided by id.
    """

    def __init__(self, lists: CandidateLists, probes: Float32Array, limit: int, floors: Floors) -> None:
        self._lists = lists
        self._probes = probes
        self._limit = limit
        self._floors = floors
        self._sorted_out = [_NONE] * len(probes)
        self._new: list[_Rows] = []
        self.widened: BoolArray = np.zeros(len(probes), np.bool_)

    def add(self, probes: Int64Array, rows: Int64Array, scores: Float64Array, errors: Float64Array) -> None:
        """Takes in living rows: for each the index of its probe, its number in the gallery, f and e; all (n,)."""
        found = _Rows(probes, rows, scores, errors)
        self._new.append(found.where(scores + errors >= self._floors.values[probes]))
        if sum(map(len, self._new)) > _ROWS_BETWEEN_SORTINGS * len(self._probes):
            self._sort_out()

    def join(self, other: "Shortlist") -> None:
        """Takes in what another thread found."""
        self._new += [*other._sorted_out, *other._new]
        self.widened |= other.widened

    def finish(self) -> None:
        """To be called when everything was added, before `exact_rows`."""
        self._sort_out()

    def exact_rows(self, probe: int) -> tuple[Int64Array, Float64Array]:
        """The rows that may be on this probe's list with their exact scores. May be called from several threads.

        The best of them by their scanned scores come first: what `limit` people exactly score is a higher floor than
        what they surely score, and half of the others do not reach it.
        """
        part = self._sorted_out[probe]
        first = min(len(part), self._limit + _SPARE_ROWS)
        order = np.argpartition(-part.scores, first - 1) if first else np.arange(0)
        best, others = part.where(order[:first]), part.where(order[first:])
        scores = self._lists.exact_scores(best.rows, self._probes[probe])
        floor = max(self._floors.values[probe], self._lists.score_at(self._limit, best.rows, scores))
        rest = others.where(others.scores + others.errors >= floor)
        rest_scores = self._lists.exact_scores(rest.rows, self._probes[probe])
        return np.concatenate([best.rows, rest.rows]), np.concatenate([scores, rest_scores])

    def _sort_out(self) -> None:
        """Raises the floors as far as what was found allows, and drops what cannot reach them."""
        parts = _Rows.joined([*self._sorted_out, *self._new]).of_each(len(self._probes))
        self._new = []
        self._floors.raise_to(np.array([self._floor_of(part) for part in parts]))
        floors = self._floors.values
        self._sorted_out = [
            self._bounded(probe, part.where(part.scores + part.errors >= floors[probe]))
            for probe, part in enumerate(parts)
        ]

    def _floor_of(self, part: _Rows) -> float:
        """What `limit` people surely reach; minus infinity when so many are not known."""
        sure = part.scores - part.errors
        first = self._limit + _SPARE_ROWS
        if len(sure) > first:
            best = np.argpartition(-sure, first)[:first]
            floor = self._lists.score_at(self._limit, part.rows[best], sure[best])
            if floor > -np.inf:
                return floor
        return self._lists.score_at(self._limit, part.rows, sure)

    def _bounded(self, probe: int, part: _Rows) -> _Rows:
        """The same rows, or their exact list when they are too many to be kept on their scanned scores."""
        if len(part) <= _MOST_ROWS:
            return part
        self.widened[probe] = True
        scores = self._lists.exact_scores(part.rows, self._probes[probe])
        rows, scores = self._lists.best_rows(part.rows, scores, self._limit)
        return _Rows(np.full(len(rows), probe), rows, scores, np.zeros(len(rows)))


_NONE: Final = _Rows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
