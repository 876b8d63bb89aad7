"""The first stage of the MTCNN cascade: a small network slides over a picture in many sizes and proposes windows.

Memory stays small at any picture size: each size is scanned in tiles, and of a tile only the places that may show a
face are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rtcc_bridge.matching.boxes import keep_best
from rtcc_bridge.matching.mtcnn_windows import network_input
from rtcc_bridge.matching.pyramid import Pyramid
from rtcc_bridge.matching.session import Network
from rtcc_bridge.matching.types import Float32Array, Int64Array, RgbImage

WINDOW_PX = 12
"""Side of the square that the network judges."""
_STRIDE = 2
_PYRAMID_STEP = 0.709
"""Each level has about half the pixels of the one before (the paper's factor)."""

MAX_PROPOSALS = 6000
"""Windows that are handed on, best first: a crowd of 320 faces gave 6,100, other pictures a tenth of that."""

OVERLAP = 0.7
"""Share above which the worse of two boxes goes, as in the authors' release. Within a level it is 0.5, which
`local_maxima` has by its neighbourhood."""

_TILE_PX = 240
"""Longest side of what is scanned at a time: what the network makes of more does not fit the cache of a processor core
(five times as many pixels took a third longer for each), and of smaller tiles more is seen twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """boxes: float32 (N, 4) left, top, right, bottom in pixels of the picture; scores: float32 (N,)."""

    boxes: Float32Array
    scores: Float32Array

    def __len__(self) -> int:
        return len(self.scores)

    def best(self, limit: int) -> "Windows":
        kept = keep_best(self.boxes, self.scores, OVERLAP, limit)
        return Windows(self.boxes[kept], self.scores[kept])


class _Places(NamedTuple):
    """Where the network's output passed the threshold: int64 (N,), int64 (N,), float32 (N,), float32 (N, 4)."""

    rows: Int64Array
    columns: Int64Array
    scores: Float32Array
    offsets: Float32Array


class ProposalScan:
    """Proposes windows that may hold a face at least `min_face_px` wide. May be called from several threads at once."""

    def __init__(self, network: Network, threshold: float, min_face_px: int) -> None:
        self._network = network
        self._threshold = threshold
        self._min_face_px = min_face_px

    def propose(self, picture: Pyramid) -> Windows:
        """Blocks. InferenceError when the network fails."""
        levels = [self._scan(picture.level(scale)) for scale in _scales(picture.size, self._min_face_px)]
        if not levels:
            return Windows(np.empty((0, 4), np.float32), np.empty(0, np.float32))
        sizes = np.array([size for size, _ in levels])
        places = _joined([found for _, found in levels])
        level = np.repeat(np.arange(len(levels)), [len(found.scores) for _, found in levels])
        below = np.cumsum(sizes[:, 1]) - sizes[:, 1]
        kept = local_maxima(places.rows + below[level], places.columns, places.scores)
        growth = (np.array(picture.size) / sizes)[level[kept]]
        corners = np.stack([places.columns[kept], places.rows[kept]], axis=1) * _STRIDE
        boxes = np.concatenate([corners, corners + WINDOW_PX], axis=1) + places.offsets[kept] * WINDOW_PX
        boxes = (boxes * np.concatenate([growth, growth], axis=1)).astype(np.float32)
        return Windows(boxes, places.scores[kept]).best(MAX_PROPOSALS)

    def _scan(self, level: RgbImage) -> tuple[tuple[int, int], _Places]:
        """The level's width and height, and what was found in it.

        A place of the output depends on the 12 x 12 pixels from twice its row and column on, so tiles that overlap by
        ten give the same as the whole.
        """
        height, width = level.shape[:2]
        down, across = _spans(height), list(_spans(width))
        tiles = [(level[top:bottom, left:right], top, left) for top, bottom in down for left, right in across]
        return (width, height), _joined([self._scan_tile(*tile) for tile in tiles])

    def _scan_tile(self, tile: RgbImage, top: int, left: int) -> _Places:
        found = self._network.run(network_input(tile[None]))
        # The face's probability is the last of one or, in packs made by other programs, of two.
        probabilities = found["probabilities"][0, -1]
        rows, columns = np.nonzero(probabilities >= self._threshold)
        offsets = found["offsets"][0][:, rows, columns].T
        return _Places(rows + top // _STRIDE, columns + left // _STRIDE, probabilities[rows, columns], offsets)


def _joined(parts: Sequence[_Places]) -> _Places:
    return _Places(*map(np.concatenate, zip(*parts, strict=True)))


def _scales(size: tuple[int, int], min_face_px: int) -> Iterator[float]:
    """From the smallest wanted face up to one that fills the picture."""
    scale = WINDOW_PX / min_face_px
    while min(size) * scale >= WINDOW_PX:
        yield scale
        scale *= _PYRAMID_STEP


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """Where each tile begins and ends along a side of the level: as few as there can be, about alike in length, and
    every place of the window in one of them."""
    overlap = WINDOW_PX - _STRIDE
    places = max(1, (length - overlap) // _STRIDE)
    tiles = -(-places // ((_TILE_PX - overlap) // _STRIDE))
    step = _STRIDE * -(-places // tiles)
    for start in range(0, _STRIDE * places, step):
        yield start, min(length, start + step + overlap)


def local_maxima(rows: Int64Array, columns: Int64Array, scores: Float32Array) -> Int64Array:
    """Greedy suppression at a share of 0.5 among windows of one size: the indices that stay, rising.

    Windows of 12 at a stride of 2 share more than half only with their eight neighbours, so what greedy suppression
    keeps are the local maxima, then those of what is left, until nothing is. Equal neighbours stay both. Several levels
    can be given below one another, with a row or more between them.
    """
    if not len(rows):
        return np.empty(0, np.int64)
    width = int(columns.max()) + 3
    grid = np.zeros((int(rows.max()) + 3) * width, np.float32)
    cells = (rows + 1) * width + columns + 1
    around = np.array([down * width + across for down in (-1, 0, 1) for across in (-1, 0, 1)])
    grid[cells] = scores
    left, kept = np.arange(len(rows)), []
    while len(left):
        neighbours = cells[left, None] + around
        peaks = grid[cells[left]] >= grid[neighbours].max(axis=1)
        kept.append(left[peaks])
        grid[neighbours[peaks]] = 0
        left = left[grid[cells[left]] > 0]
    return np.sort(np.concatenate(kept)).astype(np.int64)
