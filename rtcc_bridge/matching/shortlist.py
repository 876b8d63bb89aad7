"""The rows that a scan could not rule out yet, for each probe of a batch."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from rtcc_bridge.matching.search import CandidateLists
from rtcc_bridge.matching.stored_templates import close_error
from rtcc_bridge.matching.types import BoolArray, Float32Array, Float64Array, Int64Array

_SPARE_ROWS: Final = 32
"""Rows looked at beyond the list's length when a floor is raised, since some people have several photos."""

_ROWS_BETWEEN_SORTINGS: Final = 512
"""Rows a probe that come in, on average, before what they mean for the floors is worked out; four times as many for one
probe alone, for which a sorting costs more than rows that come in vain."""

_FEW_ROWS: Final = 128
"""Rows for which the exact score at once takes less time than a close one that may rule them out."""

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

    def where(self, chosen: BoolArray | Int64Array | slice) -> "_Rows":
        return _Rows(self.probes[chosen], self.rows[chosen], self.scores[chosen], self.errors[chosen])

    def sorted(self) -> "_Rows":
        """By probe, and each probe's best first. Scores lie within 2 of zero, so that one key holds both."""
        return self.where(np.argsort(8.0 * self.probes - self.scores))

    def ends(self, probes: int) -> Int64Array:
        """int64 (B,): where each probe's rows end when they are sorted."""
        return np.cumsum(np.bincount(self.probes, minlength=probes))

    def ranks(self, probes: int) -> Int64Array:
        """int64 (n,): the place of each row among those of its probe, from 0, when they are sorted."""
        starts: Int64Array = np.concatenate([[0], self.ends(probes)[:-1]])
        ranks: Int64Array = np.arange(len(self)) - starts[self.probes]
        return ranks


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

    A row is kept with a score f and an error e, those of the scan or closer ones: its exact score lies in f - e .. f
    + e. It is dropped when f + e is below its probe's floor. A floor is the threshold, or the largest known b such
    that `limit` people have a row with f - e >= b: then `limit` people score at least b, so that nobody below b is on
    the list. Nothing else drops a row, hence the rows of the exact list are always among those kept, whatever the
    scan's order. A row at the floor itself is kept, since ties are decided by id.
    """

    def __init__(self, lists: CandidateLists, probes: Float32Array, limit: int, floors: Floors) -> None:
        self._lists = lists
        self._probes = probes
        self._limit = limit
        self._floors = floors
        self._close_error = close_error(probes.shape[1])
        self._kept = _NONE
        self._new: list[_Rows] = []
        self.widened: BoolArray = np.zeros(len(probes), np.bool_)

    @property
    def promising_rows(self) -> int:
        """Rows of each probe that are looked at closely when its floor is raised."""
        return self._limit + _SPARE_ROWS

    def expect(self, rows: Int64Array) -> None:
        """Takes in living rows int64 (B, m), some of each probe's best, and raises the floors by them.

        They are scored closely here, and need not be added again.
        """
        owners = np.repeat(np.arange(len(rows)), rows.shape[1])
        scores = self._lists.close_scores(rows.ravel(), self._probes, owners)
        sure = (scores - self._close_error).reshape(rows.shape)
        self._floors.raise_to(self._lists.scores_at(self._limit, rows, sure))
        self._new.append(_Rows(owners, rows.ravel(), scores, np.full(len(scores), self._close_error)))

    def add(self, probes: Int64Array, rows: Int64Array, scores: Float64Array, errors: Float64Array) -> None:
        """Takes in living rows: for each the index of its probe, its number in the gallery, f and e; all (n,)."""
        self._new.append(_Rows(probes, rows, scores, errors))
        if sum(map(len, self._new)) > _ROWS_BETWEEN_SORTINGS * max(4, len(self._probes)):
            self._kept = self._sorted_out(self._taken())

    def join(self, other: "Shortlist") -> None:
        """Takes in what another thread found."""
        self._new += [other._kept, *other._new]
        self.widened |= other.widened

    def finish(self) -> None:
        """To be called when everything was added, before `exact_rows`."""
        self._kept = self._taken()

    def exact_rows(self, probes: range) -> tuple[Int64Array, Int64Array, Float64Array]:
        """The rows that may be on the lists of these probes, a few more than those have, and their exact scores.

        int64 (n,) the probe of each, which rises; int64 (n,) the rows; float64 (n,). May be called from several
        threads, for other probes in each.
        """
        mine = (self._kept.probes >= probes.start) & (self._kept.probes < probes.stop)
        kept = self._sorted_out(self._kept.where(mine))
        loose = np.flatnonzero(kept.errors > self._close_error)
        if len(loose) > _FEW_ROWS:
            kept = self._raised(self._refined(kept, loose).sorted())
        return kept.probes, kept.rows, self._lists.exact_scores(kept.rows, self._probes, kept.probes)

    def _taken(self) -> _Rows:
        """All that was found so far, which is kept no longer."""
        found = _Rows.joined([self._kept, *self._new])
        self._new = []
        return found

    def _sorted_out(self, found: _Rows) -> _Rows:
        """Raises the floors as far as these rows allow, and returns those that can reach them, by probe.

        The most promising rows of each probe get a closer score first, since what they surely reach is the floor.
        """
        found = found.sorted()
        promising = found.ranks(len(self._probes)) < self.promising_rows
        found = self._refined(found, np.flatnonzero(promising & (found.errors > self._close_error)))
        return self._bounded(self._raised(found))

    def _refined(self, found: _Rows, places: Int64Array) -> _Rows:
        """The same rows, those at these places with scores that are as close as float32 allows."""
        scores, errors = found.scores.copy(), found.errors.copy()
        scores[places] = self._lists.close_scores(found.rows[places], self._probes, found.probes[places])
        errors[places] = self._close_error
        return _Rows(found.probes, found.rows, scores, errors)

    def _raised(self, found: _Rows) -> _Rows:
        """What of the rows, which come by probe, the most promising first, can reach the floors, which they raise."""
        if not len(found):
            return found
        ends = found.ends(len(self._probes))
        starts: Int64Array = np.concatenate([[0], ends[:-1]])
        floors = self._floors_of(found, starts, np.minimum(ends, starts + self.promising_rows))
        for probe in np.flatnonzero((floors == -np.inf) & (ends - starts > self.promising_rows)):
            one = slice(probe, probe + 1)
            floors[one] = self._floors_of(found, starts[one], ends[one])
        self._floors.raise_to(floors)
        return found.where(np.flatnonzero(found.scores + found.errors >= self._floors.values[found.probes]))

    def _floors_of(self, found: _Rows, starts: Int64Array, ends: Int64Array) -> Float64Array:
        """What `limit` people surely reach among the rows start .. end; minus infinity when so many are not known."""
        places = starts[:, None] + np.arange(max(1, int((ends - starts).max())))
        there = places < ends[:, None]
        places[~there] = 0
        sure = np.where(there, found.scores[places] - found.errors[places], -np.inf)
        return self._lists.scores_at(self._limit, found.rows[places], sure)

    def _bounded(self, found: _Rows) -> _Rows:
        """The same rows, or of a probe that has too many of them those of its exact list so far."""
        ends = found.ends(len(self._probes))
        counts = np.diff(ends, prepend=0)
        if (counts <= _MOST_ROWS).all():
            return found
        parts = []
        for probe, (end, count) in enumerate(zip(ends.tolist(), counts.tolist(), strict=True)):
            part = found.where(np.arange(end - count, end))
            parts.append(part if count <= _MOST_ROWS else self._exact_list(probe, part))
        return _Rows.joined(parts)

    def _exact_list(self, probe: int, part: _Rows) -> _Rows:
        self.widened[probe] = True
        scores = self._lists.exact_scores(part.rows, self._probes, part.probes)
        owners, rows, scores = self._lists.best_rows(part.probes, part.rows, scores, self._limit)
        return _Rows(owners, rows, scores, np.zeros(len(rows)))


_NONE: Final = _Rows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
