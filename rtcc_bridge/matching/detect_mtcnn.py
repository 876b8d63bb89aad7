"""The MTCNN cascade (Zhang et al. 2016): a small network slides over a pyramid of the picture and proposes windows, a
second refines them, a third gives the face's box and five landmarks.

Memory stays small at any picture size: the pyramid is scanned in bands of rows, and the number of windows that the
later networks see is capped, best first.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from rtcc_bridge.matching.boxes import faces_from_arrays, keep_best, squared
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.session import Device, Network, open_network
from rtcc_bridge.matching.types import DetectedFace, Float32Array, Int64Array, RgbImage

_WINDOW = 12
_STRIDE = 2
_REFINE_SIZE = 24
_OUTPUT_SIZE = 48
_PYRAMID_STEP = 0.709
"""Each level has about half the pixels of the one before (the paper's factor)."""

_MAX_PROPOSALS = 6000
_MAX_REFINED = 1000
_MAX_FACES = 200
"""Windows that each stage hands on: a crowd of 320 faces gave 6,100, 700 and 320, other pictures a tenth of that."""
_BATCH = 256
_BAND_CELLS = 64
"""Rows of the proposal network's output computed at a time."""

_OVERLAP = 0.7
"""Share above which the worse of two boxes goes, as in the authors' release. Within a level it is 0.5, which
`_local_maxima` has by its neighbourhood."""


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """boxes: float32 (N, 4) left, top, right, bottom in pixels of the picture; scores: float32 (N,)."""

    boxes: Float32Array
    scores: Float32Array

    def __len__(self) -> int:
        return len(self.scores)

    def best(self, limit: int) -> "_Windows":
        kept = keep_best(self.boxes, self.scores, _OVERLAP, limit)
        return _Windows(self.boxes[kept], self.scores[kept])


class MtcnnDetector:
    """Detector of the default pack. Blocks; may be called from several threads at once."""

    def __init__(
        self, proposal: Network, refine: Network, output: Network, thresholds: dict[str, float], min_face_px: int
    ) -> None:
        self._proposal, self._refine, self._output = proposal, refine, output
        self._thresholds = thresholds
        self._min_face_px = min_face_px

    def detect(self, image: RgbImage) -> list[DetectedFace]:
        proposed = self._propose(image)
        refined = self._refine_windows(image, proposed)
        return self._find_faces(image, refined)

    def _propose(self, image: RgbImage) -> _Windows:
        levels = [self._propose_at_level(image, scale) for scale in _pyramid_scales(image, self._min_face_px)]
        if not levels:
            return _Windows(np.empty((0, 4), np.float32), np.empty(0, np.float32))
        found = _Windows(
            np.concatenate([level.boxes for level in levels]), np.concatenate([level.scores for level in levels])
        )
        return found.best(_MAX_PROPOSALS)

    def _propose_at_level(self, image: RgbImage, scale: float) -> _Windows:
        height, width = image.shape[:2]
        level_size = (math.ceil(width * scale), math.ceil(height * scale))
        level = np.asarray(cv2.resize(image, level_size, interpolation=cv2.INTER_AREA), np.uint8)
        probabilities, offsets = self._scan(level)
        rows, columns = _local_maxima(probabilities, self._thresholds["proposal"])
        best = np.argsort(-probabilities[rows, columns], kind="stable")[:_MAX_PROPOSALS]
        rows, columns = rows[best], columns[best]
        corners = np.stack([columns, rows], axis=1).astype(np.float32) * _STRIDE
        windows = np.concatenate([corners, corners + _WINDOW], axis=1) / scale
        boxes = windows + offsets[:, rows, columns].T * (_WINDOW / scale)
        return _Windows(boxes.astype(np.float32), probabilities[rows, columns])

    def _scan(self, level: RgbImage) -> tuple[Float32Array, Float32Array]:
        """The proposal network over one level: face probabilities (rows, columns) and box offsets (4, rows, columns).

        An output row depends on the 12 input rows from twice its number on, so bands give the same as the whole.
        """
        bands = [self._proposal.run(_network_input(band[None])) for band in _bands(level)]
        probabilities = np.concatenate([band["probabilities"][0, 1] for band in bands])
        offsets = np.concatenate([band["offsets"][0] for band in bands], axis=1)
        return probabilities, offsets

    def _refine_windows(self, image: RgbImage, proposed: _Windows) -> _Windows:
        windows = squared(proposed.boxes)
        found = _run_in_batches(self._refine, image, windows, _REFINE_SIZE)
        scores = found["probabilities"][:, 1]
        passed = scores >= self._thresholds["refine"]
        boxes = _shifted(windows[passed], found["offsets"][passed])
        return _Windows(boxes, scores[passed]).best(_MAX_REFINED)

    def _find_faces(self, image: RgbImage, refined: _Windows) -> list[DetectedFace]:
        windows = squared(refined.boxes)
        found = _run_in_batches(self._output, image, windows, _OUTPUT_SIZE)
        scores = found["probabilities"][:, 1]
        passed = scores >= self._thresholds["output"]
        windows, scores = windows[passed], scores[passed]
        boxes = _shifted(windows, found["offsets"][passed])
        shares = found["landmarks"][passed].reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = windows[:, None, :2] + shares * (windows[:, None, 2:] - windows[:, None, :2])
        kept = keep_best(boxes, scores, _OVERLAP, _MAX_FACES, share_of_smaller=True)
        return faces_from_arrays(boxes[kept], landmarks[kept], scores[kept])


def open_mtcnn(pack: ModelPack, device: Device, threads: int, min_face_px: int) -> MtcnnDetector:
    """Open the pack's three networks. Blocks. ModelPackError, DeviceError."""
    files = pack.detector.files
    proposal, refine, output = (
        open_network(pack.read(files[part]), device, threads) for part in ("proposal", "refine", "output")
    )
    return MtcnnDetector(proposal, refine, output, dict(pack.detector.thresholds), min_face_px)


def _pyramid_scales(image: RgbImage, min_face_px: int) -> Iterator[float]:
    """Scales from the smallest wanted face up to one that fills the picture."""
    scale = _WINDOW / min_face_px
    while min(image.shape[:2]) * scale >= _WINDOW:
        yield scale
        scale *= _PYRAMID_STEP


def _bands(level: RgbImage) -> Iterator[RgbImage]:
    height = len(level)
    step = _STRIDE * _BAND_CELLS
    for top in range(0, max(1, height - _WINDOW + 1), step):
        yield level[top : min(height, top + step + _WINDOW - _STRIDE)]


def _local_maxima(probabilities: Float32Array, threshold: float) -> tuple[Int64Array, Int64Array]:
    """Greedy suppression at a share of 0.5 within one level, where all windows have one size.

    Windows of 12 at a stride of 2 share more than half only with their eight neighbours, so what greedy suppression
    keeps are the local maxima, then those of what is left, until nothing is.
    """
    alive = np.where(probabilities >= threshold, probabilities, 0)
    kept = np.zeros(alive.shape, bool)
    neighbourhood = np.ones((3, 3), np.uint8)
    while alive.any():
        peaks = (alive > 0) & (alive >= cv2.dilate(alive, neighbourhood))
        kept |= peaks
        alive[cv2.dilate(peaks.astype(np.uint8), neighbourhood) > 0] = 0
    rows, columns = np.nonzero(kept)
    return rows.astype(np.int64), columns.astype(np.int64)


def _shifted(windows: Float32Array, offsets: Float32Array) -> Float32Array:
    """Windows moved by the network's offsets, which are shares of the window's size."""
    sizes = windows[:, 2:] - windows[:, :2]
    return np.asarray(windows + offsets * np.concatenate([sizes, sizes], axis=1), np.float32)


def _network_input(pixels: RgbImage) -> Float32Array:
    """(N, H, W, 3) bytes to float32 (N, 3, H, W) from -1 to 1, as the networks were trained."""
    values = (pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) * 0.0078125
    return np.ascontiguousarray(values)


def _run_in_batches(network: Network, image: RgbImage, windows: Float32Array, size: int) -> dict[str, Float32Array]:
    """All outputs of the network for the windows; arrays of length 0 when there are none."""
    starts = range(0, max(1, len(windows)), _BATCH)
    results = [network.run(_network_input(_cut_out(image, windows[start : start + _BATCH], size))) for start in starts]
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}


def _cut_out(image: RgbImage, windows: Float32Array, size: int) -> RgbImage:
    """The windows as pictures of size x size; what lies outside the image is black."""
    pictures = np.zeros((len(windows), size, size, 3), np.uint8)
    for picture, (left, top, right, bottom) in zip(pictures, windows.tolist(), strict=True):
        if right - left > 2 * size:
            _shrink_into(picture, image, round(left), round(top), round(right), round(bottom))
        else:
            step_x, step_y = (right - left) / size, (bottom - top) / size
            to_image = np.array([[step_x, 0, left + step_x / 2 - 0.5], [0, step_y, top + step_y / 2 - 0.5]])
            cv2.warpAffine(image, to_image, (size, size), picture, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return pictures


def _shrink_into(picture: RgbImage, image: RgbImage, left: int, top: int, right: int, bottom: int) -> None:
    """Shrink one window by area into `picture`; the part of the window outside the image stays black."""
    size = len(picture)
    height, width = image.shape[:2]
    inside = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if not inside.size:
        return
    pads = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    if any(pads):
        inside = np.asarray(cv2.copyMakeBorder(inside, *pads, cv2.BORDER_CONSTANT), np.uint8)
    cv2.resize(inside, (size, size), picture, interpolation=cv2.INTER_AREA)
