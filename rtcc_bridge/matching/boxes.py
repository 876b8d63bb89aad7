"""Arithmetic on arrays of boxes, float32 (N, 4) as left, top, right, bottom."""

import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.types import Box, DetectedFace, Float32Array, Int64Array

_BLOCK = 256
"""Boxes that are compared at once: bounds the working memory."""


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
        block = order[start : start + _BLOCK]
        block = block[~_overlapping(boxes[kept], boxes[block], overlap, share_of_smaller).any(axis=0)]
        among = _overlapping(boxes[block], boxes[block], overlap, share_of_smaller)
        stays = np.ones(len(block), np.bool_)
        for place in range(len(block)):
            if stays[place]:
                stays[place + 1 :] &= ~among[place, place + 1 :]
        kept = np.concatenate([kept, block[stays]])
        if len(kept) >= limit:
            break
    return kept[:limit]


def _overlapping(
    first: Float32Array, second: Float32Array, overlap: float, share_of_smaller: bool
) -> npt.NDArray[np.bool_]:
    """Which of `first` (rows) shares more than `overlap` with which of `second` (columns)."""
    across = np.minimum(first[:, None, 2], second[:, 2]) - np.maximum(first[:, None, 0], second[:, 0])
    down = np.minimum(first[:, None, 3], second[:, 3]) - np.maximum(first[:, None, 1], second[:, 1])
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    first_areas, second_areas = areas(first)[:, None], areas(second)
    union = first_areas + second_areas - shared
    whole = np.minimum(first_areas, second_areas) if share_of_smaller else union
    return np.asarray(shared > overlap * whole)


def faces_from_arrays(boxes: Float32Array, landmarks: Float32Array, scores: Float32Array) -> list[DetectedFace]:
    """One DetectedFace for each row, from left to right; landmarks (N, 5, 2)."""
    order = np.argsort(boxes[:, 0], kind="stable")
    return [
        DetectedFace(Box(*map(float, boxes[index])), landmarks[index].astype(np.float32), float(scores[index]))
        for index in order
    ]
