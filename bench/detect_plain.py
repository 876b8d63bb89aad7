"""The MTCNN cascade as a first version has it, the peer of `bench.detect`.

Each level of the pyramid is shrunk from the full picture and scanned whole, each network is written layer by layer, and
large windows are shrunk by area. What `rtcc_bridge.matching.detect_mtcnn` does otherwise has to find the same faces.
"""

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rtcc_bridge.matching.boxes import faces_from_arrays, keep_best, squared
from rtcc_bridge.matching.session import Device, Network, open_network
from rtcc_bridge.matching.types import DetectedFace, Float32Array, Int64Array, RgbImage
from rtcc_bridge.modelpacks import sources
from rtcc_bridge.modelpacks.mtcnn_onnx import OUTPUT_SIZE, REFINE_SIZE, Layers
from rtcc_bridge.modelpacks.mtcnn_weights import read_weights
from rtcc_bridge.modelpacks.onnx_graph import Shape

_WINDOW = 12
_STRIDE = 2
_STEP = 0.709
_THRESHOLDS = (0.6, 0.7, 0.8)
_MAX_PROPOSALS, _MAX_REFINED, _MAX_FACES = 6000, 1000, 200
_OVERLAP = 0.7
_BATCH = 256


@dataclass(frozen=True, slots=True)
class PlainDetector:
    """A detector, see `rtcc_bridge.matching.detect.Detector`."""

    proposal: Network
    refine: Network
    output: Network
    min_face_px: int

    def detect(self, image: RgbImage) -> list[DetectedFace]:
        levels = [self._propose(image, scale) for scale in _scales(image, self.min_face_px)]
        if not levels:
            return []
        boxes, scores = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        windows = squared(boxes[keep_best(boxes, scores, _OVERLAP, _MAX_PROPOSALS)])
        found = _run(self.refine, image, windows, REFINE_SIZE)
        scores = found["probabilities"][:, 1]
        passed = scores >= _THRESHOLDS[1]
        boxes = _shifted(windows[passed], found["offsets"][passed])
        windows = squared(boxes[keep_best(boxes, scores[passed], _OVERLAP, _MAX_REFINED)])
        found = _run(self.output, image, windows, OUTPUT_SIZE)
        scores = found["probabilities"][:, 1]
        passed = scores >= _THRESHOLDS[2]
        windows = windows[passed]
        boxes = _shifted(windows, found["offsets"][passed])
        shares = found["landmarks"][passed].reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = windows[:, None, :2] + shares * (windows[:, None, 2:] - windows[:, None, :2])
        kept = keep_best(boxes, scores[passed], _OVERLAP, _MAX_FACES, share_of_smaller=True)
        return faces_from_arrays(boxes[kept], landmarks[kept], scores[passed][kept])

    def _propose(self, image: RgbImage, scale: float) -> tuple[Float32Array, Float32Array]:
        height, width = image.shape[:2]
        size = (math.ceil(width * scale), math.ceil(height * scale))
        level = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        found = self.proposal.run(_network_input(level[None]))
        probabilities = found["probabilities"][0, 1]
        rows, columns = _local_maxima(probabilities, _THRESHOLDS[0])
        best = np.argsort(-probabilities[rows, columns], kind="stable")[:_MAX_PROPOSALS]
        rows, columns = rows[best], columns[best]
        corners = np.stack([columns, rows], axis=1).astype(np.float32) * _STRIDE
        windows = np.concatenate([corners, corners + _WINDOW], axis=1) / scale
        boxes = windows + found["offsets"][0][:, rows, columns].T * (_WINDOW / scale)
        return boxes.astype(np.float32), probabilities[rows, columns]


def open_plain(min_face_px: int) -> PlainDetector:
    """Writes the three networks from the `mtcnn` wheel and opens them on one thread."""
    return PlainDetector(
        _opened(sources.PROPOSAL, _write_proposal),
        _opened(sources.REFINE, _write_refine),
        _opened(sources.OUTPUT, _write_output),
        min_face_px,
    )


def _opened(source: sources.Source, write: Callable[[list[Float32Array], Path], None]) -> Network:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        write(read_weights(sources.locate_verified(source)), path)
        return open_network(path.read_bytes(), Device.CPU, threads=1)


def _write_proposal(weights: list[Float32Array], path: Path) -> None:
    layers = Layers("plain_proposal", weights)
    value = layers.max_pool(layers.prelu(layers.convolution("windows")), 2, "SAME_UPPER")
    value = layers.prelu(layers.convolution(layers.prelu(layers.convolution(value))))
    layers.convolution(value, "offsets")
    layers.graph.add("Softmax", [layers.convolution(value)], "probabilities", axis=1)
    layers.write(path, ["N", 3, "H", "W"], {"offsets": ["N", 4, "h", "w"], "probabilities": ["N", 2, "h", "w"]})


def _write_refine(weights: list[Float32Array], path: Path) -> None:
    layers = Layers("plain_refine", weights)
    value = layers.max_pool(layers.prelu(layers.convolution("windows")), 3, "SAME_UPPER")
    value = layers.max_pool(layers.prelu(layers.convolution(value)), 3, "VALID")
    value = layers.prelu(layers.dense(layers.flatten(layers.prelu(layers.convolution(value)))))
    layers.dense(value, "offsets")
    layers.graph.add("Softmax", [layers.dense(value)], "probabilities", axis=1)
    layers.write(path, ["N", 3, REFINE_SIZE, REFINE_SIZE], {"offsets": ["N", 4], "probabilities": ["N", 2]})


def _write_output(weights: list[Float32Array], path: Path) -> None:
    layers = Layers("plain_output", weights)
    value = layers.max_pool(layers.prelu(layers.convolution("windows")), 3, "SAME_UPPER")
    value = layers.max_pool(layers.prelu(layers.convolution(value)), 3, "VALID")
    value = layers.max_pool(layers.prelu(layers.convolution(value)), 2, "SAME_UPPER")
    value = layers.prelu(layers.dense(layers.flatten(layers.prelu(layers.convolution(value)))))
    layers.dense(value, "offsets")
    layers.dense(value, "landmarks")
    layers.graph.add("Softmax", [layers.dense(value)], "probabilities", axis=1)
    outputs: dict[str, Shape] = {"offsets": ["N", 4], "landmarks": ["N", 10], "probabilities": ["N", 2]}
    layers.write(path, ["N", 3, OUTPUT_SIZE, OUTPUT_SIZE], outputs)


def _scales(image: RgbImage, min_face_px: int) -> Iterator[float]:
    scale = _WINDOW / min_face_px
    while min(image.shape[:2]) * scale >= _WINDOW:
        yield scale
        scale *= _STEP


def _local_maxima(probabilities: Float32Array, threshold: float) -> tuple[Int64Array, Int64Array]:
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
    sizes = windows[:, 2:] - windows[:, :2]
    return np.asarray(windows + offsets * np.concatenate([sizes, sizes], axis=1), np.float32)


def _network_input(pixels: RgbImage) -> Float32Array:
    return np.ascontiguousarray((pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) * 0.0078125)


def _run(network: Network, image: RgbImage, windows: Float32Array, size: int) -> dict[str, Float32Array]:
    starts = range(0, max(1, len(windows)), _BATCH)
    results = [network.run(_network_input(_cut_out(image, windows[start : start + _BATCH], size))) for start in starts]
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}


def _cut_out(image: RgbImage, windows: Float32Array, size: int) -> RgbImage:
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
    size = len(picture)
    height, width = image.shape[:2]
    inside = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if not inside.size:
        return
    pads = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    if any(pads):
        inside = np.asarray(cv2.copyMakeBorder(inside, *pads, cv2.BORDER_CONSTANT), np.uint8)
    cv2.resize(inside, (size, size), picture, interpolation=cv2.INTER_AREA)
