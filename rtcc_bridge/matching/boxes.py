"""Arithmetic on arrays of boxes, float32 (N, 4) as left, top, right, bottom."""

import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.types import Box, DetectedFace, Float32Array, Int64Array

_BLOCK = 4096
"""Boxes that are compared at once with one another and with what was kept so far."""
_PAIRS = 500_000
"""Pairs that are looked at at once: bounds the working memory where very many boxes lie above one another."""


def areas(boxes: Float32Array) -> Float32Array:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.float32)


def squared(boxes: Float32Array) -> Float32Array:
    """Each box made square around its centre, by its longer side."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def keep_best(
    boxes: Float32Array, scores: Float32Array, overlap: float, limit: int, *, share_of_smaller: bool = False
) -> Int64Array:
    """Greedy non-maximum suppression: the indices of what stays, best first, at most `limit`.

    A box goes when it shares more than `overlap` with a better one that stays: of their union, or of the smaller box.
    Works through the boxes in blocks, best first, and stops when `limit` have been kept.
    """
    order = np.argsort(-scores, kind="stable")
    kept = np.empty(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = np.concatenate([kept, order[start : start + _BLOCK]])
        kept = block[_staying(boxes[block], overlap, share_of_smaller)]
        if len(kept) >= limit:
            break
    return kept[:limit]


def _staying(boxes: Float32Array, overlap: float, share_of_smaller: bool) -> npt.NDArray[np.bool_]:
    """Which of the boxes, given best first, stay."""
    better, worse = _overlapping_pairs(boxes, overlap, share_of_smaller)
    stays = np.ones(len(boxes), np.bool_)
    betters, first = np.unique(better, return_index=True)
    ends = [*first[1:].tolist(), len(worse)]
    for box, start, end in zip(betters.tolist(), first.tolist(), ends, strict=False):
        if stays[box]:
            stays[worse[start:end]] = False
    return stays


def _overlapping_pairs(boxes: Float32Array, overlap: float, share_of_smaller: bool) -> tuple[Int64Array, Int64Array]:
    """The pairs of rows that share more than `overlap`: the smaller row number of each, rising, and the larger.

    Two boxes meet only where the narrower one begins less than the wider one's width to its left or right. So with the
    boxes in the order of their left edges, each wider one has its partners beside it.
    """
    across = np.argsort(boxes[:, 0], kind="stable")
    sorted_boxes = boxes[across]
    lefts, widths = sorted_boxes[:, 0], sorted_boxes[:, 2] - sorted_boxes[:, 0]
    begin, end = np.searchsorted(lefts, lefts - widths, "left"), np.searchsorted(lefts, lefts + widths, "right")
    found = [
        _pairs_in_reach(sorted_boxes, begin, end, part, overlap, share_of_smaller) for part in _portions(end - begin)
    ]
    wider, narrower = (across[np.concatenate(side)] for side in zip(*found, strict=True))
    better, worse = np.minimum(wider, narrower), np.maximum(wider, narrower)
    order = np.lexsort((worse, better))
    return better[order], worse[order]


def _portions(counts: Int64Array) -> list[slice]:
    """Slices of neighbours that have about _PAIRS partners together."""
    portion = np.cumsum(counts) // _PAIRS
    starts = np.flatnonzero(np.diff(portion, prepend=-1)).tolist()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(counts)], strict=True)]


def _pairs_in_reach(
    boxes: Float32Array, begin: Int64Array, end: Int64Array, part: slice, overlap: float, share_of_smaller: bool
) -> tuple[Int64Array, Int64Array]:
    """The overlapping pairs of which the wider box is in `part` and the narrower between its `begin` and `end`."""
    counts = end[part] - begin[part]
    wider = np.repeat(np.arange(len(boxes))[part], counts)
    narrower = np.arange(len(wider)) - np.repeat(np.cumsum(counts) - counts - begin[part], counts)
    widths = boxes[:, 2] - boxes[:, 0]
    once = (widths[narrower] < widths[wider]) | ((widths[narrower] == widths[wider]) & (narrower < wider))
    wider, narrower = wider[once], narrower[once]
    shares = _overlaps(boxes[wider], boxes[narrower], overlap, share_of_smaller)
    return wider[shares], narrower[shares]


def _overlaps(
    first: Float32Array, second: Float32Array, overlap: float, share_of_smaller: bool
) -> npt.NDArray[np.bool_]:
    """Whether each box of `first` shares more than `overlap` with that of `second` in the same row."""
    across = np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0])
    down = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1])
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    first_areas, second_areas = areas(first), areas(second)
    union = first_areas + second_areas - shared
    whole = np.minimum(first_areas, second_areas) if share_of_smaller else union
    return np.asarray(shared > overlap * whole)


def faces_from_arrays(boxes: Float32Array, landmarks: Float32Array, scores: Float32Array) -> list[DetectedFace]:
    """One DetectedFace for each row, from left to right; landmarks (N, 5, 2).

    Faces that begin in the same column of pixels come from top to bottom, so that their order does not hang on a
    rounding; what still ties is ordered by the rest of the box, then by the score.
    """
    order = np.lexsort((scores, boxes[:, 3], boxes[:, 2], boxes[:, 0], boxes[:, 1], np.round(boxes[:, 0])))
    return [
        DetectedFace(Box(*map(float, boxes[index])), landmarks[index].astype(np.float32), float(scores[index]))
        for index in order
    ]
