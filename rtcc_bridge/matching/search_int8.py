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
from rtcc_bridge.matching.shortlist import SPARE_ROWS, Floors, Shortlist
from rtcc_bridge.matching.snapshot import BOUND_ROWS, GallerySnapshot, TemplateChunk
from rtcc_bridge.matching.types import BoolArray, Candidate, Float32Array, Float64Array, Int64Array, WholeScores

_SAMPLED_SHARE: Final = 8
_LEAST_SAMPLED: Final = 4096
_MOST_SAMPLED: Final = 32_768
"""Rows from which the first floors are taken, before the scan begins: this part of the gallery, within these limits.
The more there are, the fewer rows get past the floors that they give; but they are scanned twice."""

_SCORES_AT_ONCE: Final = 524_288
"""Scores of one piece: 2 MiB and as much for the scaled ones, which stay in the cache until they are compared."""

_LEAST_ROWS_AT_ONCE: Final = 1024
_MOST_ROWS_AT_ONCE: Final = 32_768

_BEYOND: Final = 1e30
"""More than any product of the scan; float32 holds it."""


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
       enough for the cache. A piece's scores, times the scale of their row, are compared with one number for each
       probe, below which no row of the piece can reach the probe's floor; so nearly every row costs its bytes, a
       multiplication and a comparison.
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
            return [one for some in executor.map(listing, _in_shares(len(probes), self._threads)) for one in some]

    def _list(
        self, probes: Float32Array, shortlist: Shortlist, limit: int, threshold: float, share: range
    ) -> list[list[Candidate]]:
        owners, rows, scores = shortlist.exact_rows(share)
        self._tally.add(len(share), len(rows), int(np.count_nonzero(shortlist.widened[share.start : share.stop])))
        reached = scores >= threshold
        best = self.lists.best_rows(owners[reached] - share.start, rows[reached], scores[reached], limit)
        return self.lists.lists(*best, probes[share.start : share.stop])

    def _scan(self, probes: Float32Array, limit: int, threshold: float, executor: ThreadPoolExecutor) -> Shortlist:
        """What every thread found, together."""
        kernel = self._kernel or fastest_kernel(len(probes), self._snapshot.template_length)
        whole = Int8Probes.of(probes, kernel.probe_limit)
        floors = Floors(len(probes), threshold)
        errors = [whole.errors(chunk) for chunk in self._snapshot.chunks]
        batch = _Batch(kernel, whole, kernel.prepared(whole.whole), errors, floors)
        pieces = _Queue(self._pieces(len(probes)))
        first, *others = [Shortlist(self.lists, probes, limit, floors) for _ in range(self._threads)]
        self._sample(batch, first, limit, executor)
        list(executor.map(partial(self._sweep, pieces, batch), [first, *others]))
        for other in others:
            first.join(other)
        first.finish()
        return first

    def _sample(self, batch: _Batch, shortlist: Shortlist, limit: int, executor: ThreadPoolExecutor) -> None:
        """Raises the floors from minus infinity before the scan begins, in which nearly every row is dropped then."""
        sampled = min(_MOST_SAMPLED, max(_LEAST_SAMPLED, self._snapshot.row_count // _SAMPLED_SHARE))
        count, size = min(len(self._snapshot.chunks[0]), sampled), _most_rows(len(batch.probes))
        pieces = [_Piece(0, 0, start, min(count, start + size)) for start in range(0, count, size)]
        wanted = limit + SPARE_ROWS
        found = list(executor.map(partial(self._best_of, batch, wanted), pieces))
        rows, scores = (np.concatenate(column, axis=1) for column in zip(*found, strict=True))
        if rows.shape[1] >= wanted:
            best = np.argpartition(scores, -wanted, axis=1)[:, -wanted:]
            shortlist.expect(np.take_along_axis(rows, best, axis=1))

    def _best_of(self, batch: _Batch, wanted: int, piece: _Piece) -> tuple[Int64Array, Float32Array]:
        """The best living rows of a piece of the first chunk by their scanned scores, `wanted` or all there are, and
        these scores in a unit of each probe; (B, n) both."""
        chunk = self._snapshot.chunks[0]
        living = piece.start + np.flatnonzero(self._snapshot.alive[piece.start : piece.stop])
        scores = batch.kernel.scores(chunk.templates.high[piece.start : piece.stop], batch.prepared)
        scaled = scores[living - piece.start].T.astype(np.float32, order="C")
        scaled *= chunk.templates.scales[living]
        if len(living) <= wanted:
            return np.broadcast_to(living, scaled.shape), scaled
        best = np.argpartition(scaled, -wanted, axis=1)[:, -wanted:]
        return living[best], np.take_along_axis(scaled, best, axis=1)

    def _sweep(self, pieces: "_Queue", batch: _Batch, shortlist: Shortlist) -> None:
        """Takes pieces until there are none left."""
        scaled = np.empty((_most_rows(len(batch.probes)), len(batch.probes)), np.float32)
        reached = np.empty_like(scaled, np.bool_)
        for piece in pieces:
            chunk, count = self._snapshot.chunks[piece.chunk], piece.stop - piece.start
            scores = batch.kernel.scores(chunk.templates.high[piece.start : piece.stop], batch.prepared)
            self._compare(scores, piece, chunk, batch, shortlist, scaled[:count], reached[:count])

    def _compare(
        self,
        scores: WholeScores,
        piece: _Piece,
        chunk: TemplateChunk,
        batch: _Batch,
        shortlist: Shortlist,
        scaled: Float32Array,
        reached: BoolArray,
    ) -> None:
        """scaled, reached: where to compute; of the scores' shape."""
        errors = batch.errors[piece.chunk][piece.start // BOUND_ROWS : -(-piece.stop // BOUND_ROWS)].max(axis=0)
        units = 256 * batch.probes.steps
        scales = chunk.templates.scales[piece.start : piece.stop]
        np.copyto(scaled, scores, casting="unsafe")
        np.multiply(scaled, scales[:, None], out=scaled)
        np.greater_equal(scaled, _least((batch.floors.values - errors) / units), out=reached)
        hits = np.flatnonzero(reached)
        rows, probes = np.divmod(hits, len(batch.probes))
        alive = self._snapshot.alive[piece.offset + piece.start + rows]
        hits, rows, probes = hits[alive], rows[alive], probes[alive]
        found = scores.ravel()[hits] * scales[rows].astype(np.float64) * units[probes]
        shortlist.add(probes, piece.offset + piece.start + rows, found, errors[probes])

    def _pieces(self, probes: int) -> Iterator[_Piece]:
        """The gallery in pieces that suit a batch of this size."""
        size = _most_rows(probes)
        for number, (chunk, offset) in enumerate(
            zip(self._snapshot.chunks, self._snapshot.chunk_starts.tolist(), strict=False)
        ):
            for start in range(0, len(chunk), size):
                yield _Piece(number, offset, start, min(len(chunk), start + size))


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


def _in_shares(probes: int, threads: int) -> list[range]:
    """The probes in one part for each thread."""
    share = -(-probes // threads)
    return [range(start, min(probes, start + share)) for start in range(0, probes, share)]


def _most_rows(probes: int) -> int:
    """Rows of the largest piece."""
    return min(_MOST_ROWS_AT_ONCE, max(_LEAST_ROWS_AT_ONCE, _SCORES_AT_ONCE // probes))


def _least(needed: Float64Array) -> Float32Array:
    """float32 (B,): what a product of float32 numbers is never below when the exact one reaches what is needed.

    Converting a score and multiplying it round by at most 2^-24 of the result each: 2^-22 of it covers both, and so it
    does of `needed`, since a product that reaches it is either as large or nearer to zero than it or positive.
    """
    needed = np.clip(needed, -_BEYOND, _BEYOND)
    return np.nextafter((needed - 2.0**-22 * np.abs(needed)).astype(np.float32), np.float32(-np.inf))
