"""Exact search on the CPU: an int8 scan that rules out nearly every row, and a proof by construction for the rest."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from rtcc_bridge.matching.int8_kernels import Int8Kernel, fastest_kernel
from rtcc_bridge.matching.int8_probes import Int8Probes
from rtcc_bridge.matching.search import CandidateLists, SearchCounters, SearchTally, check_search
from rtcc_bridge.matching.shortlist import Floors, Shortlist
from rtcc_bridge.matching.snapshot import BOUND_ROWS, GallerySnapshot, TemplateChunk
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array, WholeScores

_FIRST_ROWS: Final = 1024
"""Rows of the first piece, of which all are kept; for one probe alone four times as many. Pieces double from there, so
that the floors rise before the bulk."""

_SCORES_AT_ONCE: Final = 524_288
"""Scores of one piece: 2 MiB, which stay in the cache until they are compared."""

_MOST_ROWS_AT_ONCE: Final = 65_536
_INT32: Final = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows start .. stop of a chunk, which begins at the gallery's row `offset`."""

    chunk: int
    offset: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """What the threads of one search share."""

    kernel: Int8Kernel
    probes: Int8Probes
    prepared: Any
    errors: list[Float64Array]
    floors: Floors


class Int8SearchIndex:
    """Searches one snapshot exactly (`SearchIndex`).

    1. Scan. The high plane of each row is multiplied with the probe in int8 (`Int8Kernel`), piece by piece, each small
       enough for the cache. A piece's whole-number scores are compared with one whole number for each probe, below
       which no row of the piece can reach the probe's floor; so nearly every row costs its bytes and one comparison.
    2. Keep. The others are kept with their score and its error bound (`Int8Probes`) until the floor rises above them
       (`Shortlist`), which proves that they are not on the list.
    3. Rescore. What is kept in the end gets its exact score from both planes, the most promising first, since their
       exact scores rule out others; the list is made of those.

    There is nothing to certify afterwards: a row was only ever dropped by proof. Where more rows lie within the error
    than are worth keeping, they are scored exactly on the way (`SearchCounters.widenings`); a gallery of equal
    templates costs a full exact search.
    """

    def __init__(self, snapshot: GallerySnapshot, threads: int = 1, kernel: Int8Kernel | None = None) -> None:
        """Shares the templates with the snapshot. Blocks.

        threads: of one search. kernel: the fastest one here for each batch, unless it is given.
        """
        self._snapshot = snapshot
        self._threads = threads
        self._kernel = kernel
        self.lists = CandidateLists(snapshot)
        self._living = snapshot.image_count
        self._tally = SearchTally()

    @property
    def snapshot(self) -> GallerySnapshot:
        return self._snapshot

    @property
    def counters(self) -> SearchCounters:
        return self._tally.total

    def search(self, probes: Float32Array, limit: int, threshold: float) -> list[list[Candidate]]:
        """As `SearchIndex.search` promises."""
        check_search(self._snapshot, probes, limit, threshold)
        if not len(probes) or not self._living:
            return [[] for _ in probes]
        with ThreadPoolExecutor(self._threads) as executor:
            shortlist = self._scan(probes, limit, threshold, executor)
            listing = partial(self._list, probes, shortlist, limit, threshold)
            return list(executor.map(listing, range(len(probes))))

    def _list(
        self, probes: Float32Array, shortlist: Shortlist, limit: int, threshold: float, probe: int
    ) -> list[Candidate]:
        rows, scores = shortlist.exact_rows(probe)
        self._tally.add(len(rows), bool(shortlist.widened[probe]))
        reached = scores >= threshold
        best, best_scores = self.lists.best_rows(rows[reached], scores[reached], limit)
        return self.lists.candidates(best, best_scores, probes[probe])

    def _scan(self, probes: Float32Array, limit: int, threshold: float, executor: ThreadPoolExecutor) -> Shortlist:
        """What every thread found, together."""
        kernel = self._kernel or fastest_kernel(len(probes), self._snapshot.template_length)
        whole = Int8Probes.of(probes, kernel.probe_limit)
        floors = Floors(len(probes), threshold)
        errors = [whole.errors(chunk) for chunk in self._snapshot.chunks]
        batch = _Batch(kernel, whole, kernel.prepared(whole.whole), errors, floors)
        pieces = _Queue(self._pieces(len(probes)))
        first, *others = [Shortlist(self.lists, probes, limit, floors) for _ in range(self._threads)]
        list(executor.map(partial(self._sweep, pieces, batch), [first, *others]))
        for other in others:
            first.join(other)
        first.finish()
        return first

    def _sweep(self, pieces: "_Queue", batch: _Batch, shortlist: Shortlist) -> None:
        """Takes pieces until there are none left."""
        for piece in pieces:
            chunk = self._snapshot.chunks[piece.chunk]
            rows = chunk.templates.high[piece.start : piece.stop]
            self._compare(batch.kernel.scores(rows, batch.prepared), piece, chunk, batch, shortlist)

    def _compare(
        self, scores: WholeScores, piece: _Piece, chunk: TemplateChunk, batch: _Batch, shortlist: Shortlist
    ) -> None:
        blocks = slice(piece.start // BOUND_ROWS, -(-piece.stop // BOUND_ROWS))
        errors = batch.errors[piece.chunk][blocks].max(axis=0)
        units = 256 * batch.probes.steps
        least = _least(batch.floors.values - errors, units * chunk.largest_scale[blocks].max())
        hits = np.flatnonzero(scores >= least.astype(scores.dtype))
        rows, probes = np.divmod(hits, len(batch.probes))
        alive = self._snapshot.alive[piece.offset + piece.start + rows]
        hits, rows, probes = hits[alive], rows[alive], probes[alive]
        scales = chunk.templates.scales[piece.start + rows].astype(np.float64)
        found = scores.ravel()[hits] * scales * units[probes]
        shortlist.add(probes, piece.offset + piece.start + rows, found, errors[probes])

    def _pieces(self, probes: int) -> Iterator[_Piece]:
        """The gallery in pieces that double up to what suits a batch of this size."""
        most = min(_MOST_ROWS_AT_ONCE, max(_FIRST_ROWS, _SCORES_AT_ONCE // probes))
        size = _FIRST_ROWS * max(1, 4 // probes)
        for number, (chunk, offset) in enumerate(
            zip(self._snapshot.chunks, self._snapshot.chunk_starts.tolist(), strict=False)
        ):
            start = 0
            while start < len(chunk):
                stop = min(len(chunk), start + size)
                yield _Piece(number, offset, start, stop)
                start, size = stop, min(most, 2 * size)


class _Queue:
    """Hands each item to one of several threads."""

    def __init__(self, items: Iterator[_Piece]) -> None:
        self._items = items
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[_Piece]:
        while True:
            with self._lock:
                piece = next(self._items, None)
            if piece is None:
                return
            yield piece


def _least(needed: Float64Array, units: Float64Array) -> Float64Array:
    """The whole number from which on a score s * units, s <= its largest, may reach what is needed; one per probe.

    Where a negative score would do, a small scale makes it larger, not smaller: then any row may reach it.
    """
    least = np.clip(np.floor(needed / units), _INT32.min, _INT32.max)
    return np.where(needed > 0, least, _INT32.min)
