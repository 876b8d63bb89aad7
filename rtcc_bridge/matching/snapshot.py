"""What a search looks at: the templates of one gallery at one version, which never change under a running search."""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.int8_kernels import products_of_pairs
from rtcc_bridge.matching.stored_templates import LENGTH_TOLERANCE, StoredTemplates, TemplateRoom
from rtcc_bridge.matching.types import BoolArray, Float64Array, Int64Array

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[np.generic])

BOUND_ROWS: Final = 8192
"""Rows that share one error bound, and the most that are scanned together for a large batch."""

_FULL_CHUNK_ROWS: Final = 65_536
"""A chunk of this size is not copied again when more rows come."""

_MEASURED_AT_ONCE: Final = 1024
"""Rows whose two planes stay in the processor's cache while they are multiplied with each other."""


@dataclass(frozen=True, slots=True, eq=False)
class TemplateChunk:
    """Some rows of a gallery that lie together, and what bounds the error of scanning their high plane alone.

    largest_rest: float64, one for each BOUND_ROWS rows: the largest Euclidean length of what the low plane adds to one.
    """

    templates: StoredTemplates
    largest_rest: Float64Array

    @classmethod
    def of(cls, templates: StoredTemplates) -> Self:
        """TemplateError: a row is not of length 1, such as one that was taken out.

        `slack` covers what storing moved a row: at most half a step in each of D components, the step below 2^-15. The
        sums are exact.
        """
        slack = math.sqrt(templates.template_length) * 2.0**-15
        lengths, rests = _lengths(templates)
        if not (np.abs(lengths - 1) <= LENGTH_TOLERANCE + slack).all():
            raise TemplateError(f"a stored template's length is not 1 within {LENGTH_TOLERANCE}")
        starts = np.arange(0, len(templates), BOUND_ROWS)
        largest = np.maximum.reduceat(rests, starts) * (1 + slack)
        return cls(templates, _read_only(largest))

    def __len__(self) -> int:
        return len(self.templates)


class ChunkCollector:
    """Gives the parts of a gallery their places in full chunks, to which they are written as they are read.

    So a gallery of many small segments needs its templates' memory once, none is copied, and each is measured once: in
    a thread, while the caller reads the next part. A context manager.
    """

    def __init__(self, template_length: int, part_rows: Sequence[int]) -> None:
        """part_rows: how many rows each part has, in their order."""
        self._template_length = template_length
        self._executor = ThreadPoolExecutor(1, "template-chunks")
        self._chunks: list[Future[TemplateChunk]] = []
        self._rooms = self._rooms_of(part_rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def next_room(self) -> TemplateRoom:
        """Where the next part belongs. Nothing may be written any more to the rooms that were given before."""
        return next(self._rooms)

    def chunks(self) -> list[TemplateChunk]:
        """All rows in their order. Every room has to be filled. Blocks. TemplateError as `TemplateChunk.of`."""
        if next(self._rooms, None) is not None:
            raise ValueError("a part of the gallery was not read")
        return [chunk.result() for chunk in self._chunks]

    def _rooms_of(self, part_rows: Sequence[int]) -> Iterator[TemplateRoom]:
        for sizes in _full_chunks(part_rows):
            whole, start = TemplateRoom.of(sum(sizes), self._template_length), 0
            for rows in sizes:
                yield whole.part(start, start + rows)
                start += rows
            if start:
                self._chunks.append(self._executor.submit(TemplateChunk.of, whole.filled()))


def _full_chunks(part_rows: Iterable[int]) -> Iterator[list[int]]:
    """The parts that lie together in one chunk: no more than make it full."""
    sizes, total = list[int](), 0
    for rows in part_rows:
        sizes.append(rows)
        total += rows
        if total >= _FULL_CHUNK_ROWS:
            yield sizes
            sizes, total = [], 0
    if sizes:
        yield sizes


@dataclass(frozen=True, slots=True, eq=False)
class GallerySnapshot:
    """One version of a gallery. Made by `build`, never written to; whoever owns the gallery swaps one for the next.

    chunks: the rows' templates, each of length D and of Euclidean length 1; there may be none, also where a service
    outside this process keeps them (`of_ids`).
    image_ids: int64 (N,), each once. subject_ids: int64 (N,), the person that each image shows.
    alive: bool (N,), False where an image was removed.

    The next version shares the chunks with this one: removing copies the mask, adding copies the ids and at most a
    chunk that is not full. So a gallery of any size follows its head at the price of what changed. The memory of
    removed rows is given back by `compacted`.
    """

    name: str
    version: int
    template_length: int
    chunks: tuple[TemplateChunk, ...]
    image_ids: Int64Array
    subject_ids: Int64Array
    alive: BoolArray

    @classmethod
    def build(
        cls, name: str, version: int, parts: Sequence[StoredTemplates], image_ids: Int64Array, subject_ids: Int64Array
    ) -> "GallerySnapshot":
        """Check the rows and make a snapshot in which all are alive. Takes the arrays over and makes them read-only.

        parts: the templates in the order of the ids, in one part at least; `StoredTemplates.empty` when there are none.
        TemplateError: a template has no component, another length than the others, or is not of Euclidean length 1.
        ValueError: the ids do not fit the templates, or an image stands there twice.
        """
        template_length = parts[0].template_length
        if template_length < 1 or any(part.template_length != template_length for part in parts):
            raise TemplateError("templates have to have one and the same length, of at least 1")
        chunks = [TemplateChunk.of(part) for part in parts if len(part)]
        return cls.of_chunks(name, version, template_length, chunks, image_ids, subject_ids)

    @classmethod
    def of_chunks(
        cls,
        name: str,
        version: int,
        template_length: int,
        chunks: Sequence[TemplateChunk],
        image_ids: Int64Array,
        subject_ids: Int64Array,
    ) -> "GallerySnapshot":
        """As `build`, of what a `ChunkCollector` gives."""
        rows = sum(map(len, chunks))
        if image_ids.shape != (rows,):
            raise ValueError(f"image_ids has to be int64 ({rows},), not {image_ids.dtype} {image_ids.shape}")
        with_ids = cls.of_ids(name, version, template_length, image_ids, subject_ids)
        return replace(with_ids, chunks=_joined(chunks))

    @classmethod
    def of_ids(
        cls, name: str, version: int, template_length: int, image_ids: Int64Array, subject_ids: Int64Array
    ) -> "GallerySnapshot":
        """A snapshot whose templates a service keeps, which searches them: only an index over that service takes it.

        17 bytes a row. Takes the arrays over and makes them read-only. ValueError as in `build`.
        """
        for ids, what in ((image_ids, "image_ids"), (subject_ids, "subject_ids")):
            if ids.dtype != np.int64 or ids.shape != (len(image_ids),):
                raise ValueError(f"{what} has to be int64 ({len(image_ids)},), not {ids.dtype} {ids.shape}")
        if _distinct(image_ids) != len(image_ids):
            raise ValueError("an image id stands twice in the gallery")
        alive = _read_only(np.ones(len(image_ids), np.bool_))
        return cls(name, version, template_length, (), _read_only(image_ids), _read_only(subject_ids), alive)

    @property
    def row_count(self) -> int:
        """Rows, also those of removed images that still take memory."""
        return len(self.alive)

    @property
    def image_count(self) -> int:
        """Images that are searched: removed ones do not count."""
        return int(np.count_nonzero(self.alive))

    @property
    def subject_count(self) -> int:
        """People with at least one image that is searched: the gallery size that a threshold is chosen for."""
        return _distinct(self.subject_ids[self.alive])

    @property
    def chunk_starts(self) -> Int64Array:
        """int64 (chunks + 1,): the row at which each chunk begins, and the number of rows."""
        return np.cumsum([0, *map(len, self.chunks)], dtype=np.int64)

    def templates_of(self, rows: Int64Array) -> StoredTemplates:
        """A copy of the templates of these rows int64 (n,), in their order. Quick when the rows rise."""
        starts = self.chunk_starts
        owners = np.searchsorted(starts, rows, side="right") - 1
        found = TemplateRoom.of(len(rows), self.template_length)
        ends = [*(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(rows)] if len(rows) else []
        for start, end in zip([0, *ends], ends, strict=False):  # rows that lie in one chunk and come together
            owner = owners[start]
            found.part(start, end).put(self.chunks[owner].templates, rows[start:end] - starts[owner])
        return found.filled()

    def appended(
        self, version: int, parts: Sequence[StoredTemplates], image_ids: Int64Array, subject_ids: Int64Array
    ) -> "GallerySnapshot":
        """The next version with more rows. Errors as in `build`.

        An id of a removed image may come back: then its old row is dropped.
        """
        return self.joined_by(GallerySnapshot.build(self.name, version, parts, image_ids, subject_ids))

    def joined_by(self, added: "GallerySnapshot") -> "GallerySnapshot":
        """The next version, that of `added`, with the rows of both. Errors and ids as in `appended`."""
        if added.template_length != self.template_length:
            raise TemplateError(
                f"templates of length {added.template_length} do not fit a gallery of {self.template_length}"
            )
        taken = np.isin(self.image_ids, added.image_ids)
        if (taken & self.alive).any():
            raise ValueError("an image id stands twice in the gallery")
        kept = self.compacted(added.version) if taken.any() else self
        return GallerySnapshot(
            self.name,
            added.version,
            self.template_length,
            _joined([*kept.chunks, *added.chunks]),
            _read_only(np.concatenate([kept.image_ids, added.image_ids])),
            _read_only(np.concatenate([kept.subject_ids, added.subject_ids])),
            _read_only(np.concatenate([kept.alive, added.alive])),
        )

    def without(self, version: int, image_ids: Int64Array) -> "GallerySnapshot":
        """The next version, in which these images are not searched. Unknown ids are no error: they are not searched."""
        alive = self.alive & ~np.isin(self.image_ids, image_ids)
        return replace(self, version=version, alive=_read_only(alive))

    def compacted(self, version: int) -> "GallerySnapshot":
        """The same living rows without the removed ones, whose bytes are gone once the older snapshots are.

        Chunks that lost nobody are shared; the others are copied one after the other.
        """
        chunks = []
        for chunk, start in zip(self.chunks, self.chunk_starts[:-1], strict=True):
            alive = self.alive[start : start + len(chunk)]
            if alive.all():
                chunks.append(chunk)
            elif alive.any():
                chunks.append(TemplateChunk.of(chunk.templates.take(np.flatnonzero(alive))))
        return GallerySnapshot(
            self.name,
            version,
            self.template_length,
            _joined(chunks),
            _read_only(self.image_ids[self.alive]),
            _read_only(self.subject_ids[self.alive]),
            _read_only(np.ones(self.image_count, np.bool_)),
        )


def _joined(chunks: Sequence[TemplateChunk]) -> tuple[TemplateChunk, ...]:
    """The same rows in fewer chunks: a chunk joins the one before it unless that is full or more than twice as long.

    So rows that come one at a time are copied a logarithmic number of times each, and the chunks stay few.
    """
    joined: list[TemplateChunk] = []
    for chunk in chunks:
        joined.append(chunk)
        while len(joined) > 1 and len(joined[-2]) < _FULL_CHUNK_ROWS and len(joined[-2]) <= 2 * len(joined[-1]):
            last = joined.pop()
            joined[-1] = TemplateChunk.of(StoredTemplates.concatenated([joined[-1].templates, last.templates]))
    return tuple(joined)


def _distinct(ids: Int64Array) -> int:
    """How many different ids there are. `np.unique` hashes them: of a million that takes thirty times as long."""
    return int(np.count_nonzero(np.diff(np.sort(ids)))) + bool(len(ids))


def _lengths(templates: StoredTemplates) -> tuple[Float64Array, Float64Array]:
    """The Euclidean length of each row, and that of what the low plane adds to it; float64 (N,) each."""
    lengths, rests = np.empty(len(templates)), np.empty(len(templates))
    for start in range(0, len(templates), _MEASURED_AT_ONCE):
        rows = slice(start, start + _MEASURED_AT_ONCE)
        high, low = templates.high[rows], templates.low[rows]
        rests[rows] = products_of_pairs(low, low)
        lengths[rows] = 65536 * products_of_pairs(high, high) + 512 * products_of_pairs(high, low) + rests[rows]
    return np.sqrt(lengths) * templates.scales, np.sqrt(rests) * templates.scales


def _read_only(array: AnyArray) -> AnyArray:
    array.flags.writeable = False
    return array
