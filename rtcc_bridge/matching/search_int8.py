"""Exact search on the CPU: an int8 scan that rules out nearly every row, and a proof by construction for the rest."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np

from rtcc_bridge.matching.int8_kernels import Int8Kernel, fastest_kernel
from rtcc_bridge.matching.int8_probes import Int8Probes
from rtcc_bridge.matching.int8_tiles import TiledKernel
from rtcc_bridge.matching.reaching import ScanScores, reaching
from rtcc_bridge.matching.search import CandidateLists, SearchCounters, SearchTally, check_search
from rtcc_bridge.matching.shortlist import Floors, Shortlist
from rtcc_bridge.matching.snapshot import BOUND_ROWS, GallerySnapshot
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array, Int64Array

_PRODUCTS_AT_ONCE: Final = 524_288
"""Products of one piece: 2 MiB, and as much for the scores at most, which stay in the cache until they are compared.
The tiles of our own keep fewer."""

_GROUPS_PER_ROW: Final = 8
"""Groups of a thread's first rows for each row that is looked for among them: so many that few of the best share
one."""

_LEAST_ROWS_AT_ONCE: Final = 1024
_MOST_ROWS_AT_ONCE: Final = 32_768

_PIECES_PER_THREAD: Final = 4
"""So many at least, so that no thread waits long for another one's last."""

_SHORT_TEMPLATE: Final = 256
"""Numbers of a template up to which a second product is cheap. Measured for 128 and 512 on AVX2 and on AMX."""

_FEW_PROBES: Final = 2
"""Probes up to which the memory is the limit, so that a second product costs little."""

_BEYOND: Final = 1e30
"""More than any product of the scan; float32 holds it."""


_Find = Callable[[Float32Array], tuple[Int64Array, Float32Array]]
"""Of a piece: what reaches the needed scores, as `ScanScores.reaching` returns it."""


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

    1. Scan. The high plane of each row is multiplied with the probes in int8 (`Int8Kernel`), piece by piece, each small
       enough for the cache. Where that pays, the probe is split into two planes, which halves the error
       (`Int8Probes`). A piece's scores are compared with one number for each probe, below which no row of the piece can
       reach the probe's floor; so nearly every row costs its bytes, a multiplication and a comparison. The best of each
       thread's first rows raise the floors before it keeps any.
    2. Keep. The others are kept with their score and its error bound until the floor rises above them (`Shortlist`),
       which proves that they are not on the list.
    3. Rescore. What is kept in the end gets its exact score from both planes of the row, the most promising first,
       since their exact scores rule out others; the list is made of those.

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
        kernel = self._kernel or fastest_kernel(self._planes(len(probes)), self._snapshot.template_length)
        whole = Int8Probes.of(probes, kernel.probe_limit, finer=self._is_finer(len(probes)))
        errors = [whole.errors(chunk) for chunk in self._snapshot.chunks]
        floors = Floors(len(probes), threshold)
        batch = _Batch(kernel, whole, kernel.prepared(whole.whole), errors, floors)
        queue = _Queue(self._pieces(len(probes)))
        first, *others = [Shortlist(self.lists, probes, limit, floors) for _ in range(self._threads)]
        list(executor.map(partial(self._sweep, queue, batch), [first, *others]))
        for other in others:
            first.join(other)
        first.finish()
        return first

    def _sweep(self, pieces: Iterable[_Piece], batch: _Batch, shortlist: Shortlist) -> None:
        """Takes pieces until there are none left."""
        scores = ScanScores(batch.probes, self._most_rows(len(batch.probes)))
        has_floors = False
        for piece in pieces:
            templates, rows = self._snapshot.chunks[piece.chunk].templates, slice(piece.start, piece.stop)
            high, scales = templates.high[rows], templates.scales[rows]
            find: _Find
            if not has_floors:
                scaled = scores.all(batch.kernel.scores(high, batch.prepared), scales)
                has_floors = self._expect(scaled, piece, shortlist)
                find = partial(reaching, scaled)
            elif isinstance(batch.kernel, TiledKernel):
                find = partial(scores.reaching_of_rows, batch.kernel, batch.prepared, high, scales)
            else:
                find = partial(scores.reaching, batch.kernel.scores(high, batch.prepared), scales)
            self._keep(find, piece, batch, shortlist)

    def _expect(self, scaled: Float32Array, piece: _Piece, shortlist: Shortlist) -> bool:
        """Raises the floors by a thread's first rows, before it keeps any: most are dropped then.

        Rows that lie together form groups, and the best row of each of the best groups is looked at. So nearly all of
        the best are found without sorting all. False when there are too few living rows to raise a floor.
        """
        start = piece.offset + piece.start
        living = np.flatnonzero(self._snapshot.alive[start : piece.offset + piece.stop])
        wanted = shortlist.promising_rows
        if len(living) < wanted:
            return False
        some = scaled if len(living) == len(scaled) else scaled[living]
        rows = max(1, len(some) // (_GROUPS_PER_ROW * wanted))
        grouped = some[: len(some) // rows * rows].reshape(-1, rows, some.shape[1])
        groups = np.argpartition(grouped.max(axis=1).T, -wanted, axis=1)[:, -wanted:]
        within = grouped[groups, :, np.arange(len(groups))[:, None]].argmax(axis=2)
        places = living[groups * rows + within]
        shortlist.expect(start + places)
        scaled[places, np.arange(len(places))[:, None]] = -np.inf  # taken in: not to be kept once more
        return True

    def _keep(self, find: _Find, piece: _Piece, batch: _Batch, shortlist: Shortlist) -> None:
        """Hands over the rows of a piece that can reach the floors."""
        errors = batch.errors[piece.chunk][piece.start // BOUND_ROWS : -(-piece.stop // BOUND_ROWS)].max(axis=0)
        units = batch.probes.units
        places, found = find(_below((batch.floors.values - errors) / units))
        rows, probes = np.divmod(places, len(batch.probes))
        alive = self._snapshot.alive[piece.offset + piece.start + rows]
        rows, probes = rows[alive], probes[alive]
        shortlist.add(probes, piece.offset + piece.start + rows, found[alive] * units[probes], errors[probes])

    def _pieces(self, probes: int) -> Iterator[_Piece]:
        """The gallery in pieces that suit a batch of this size."""
        size = self._most_rows(probes)
        for number, (chunk, offset) in enumerate(
            zip(self._snapshot.chunks, self._snapshot.chunk_starts.tolist(), strict=False)
        ):
            for start, stop in pairwise([*range(0, len(chunk), size), len(chunk)]):
                yield _Piece(number, offset, start, stop)

    def _most_rows(self, probes: int) -> int:
        """Rows of the largest piece."""
        share = -(-self._snapshot.row_count // (_PIECES_PER_THREAD * self._threads))
        fitting = min(_MOST_ROWS_AT_ONCE, _PRODUCTS_AT_ONCE // self._planes(probes), share)
        return max(_LEAST_ROWS_AT_ONCE, fitting)

    def _planes(self, probes: int) -> int:
        """How many rows the batch has as the scan sees it."""
        return 2 * probes if self._is_finer(probes) else probes

    def _is_finer(self, probes: int) -> bool:
        """Whether a second product costs less than what it spares: looking after the rows that it rules out."""
        return self._snapshot.template_length <= _SHORT_TEMPLATE or probes <= _FEW_PROBES


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


def _below(needed: Float64Array) -> Float32Array:
    """float32 (B,): at most what is needed, float64 (B,)."""
    needed = np.clip(needed, -_BEYOND, _BEYOND)
    return np.nextafter(needed.astype(np.float32), np.float32(-np.inf))
