"""Cuts windows out of a picture at the size that a network takes, and runs the network over them in batches."""

from collections.abc import Iterator

import cv2
import numpy as np

from rtcc_bridge.matching.pyramid import Pyramid
from rtcc_bridge.matching.session import Network
from rtcc_bridge.matching.types import Float32Array, Int64Array, RgbImage

_CUT_PIXELS = 256 * 24 * 24
"""Of the windows that are cut out together."""
_RUN_PIXELS = 16 * 24 * 24
"""Of those that the network sees together: what it makes of so many still fits the cache of a processor's core (four
times as many took a fifth longer for each window)."""

_MEAN, _SCALE = 127.5, 1 / 128
"""Brings bytes to about -1 to 1, as the networks were trained."""


def network_input(pictures: RgbImage) -> Float32Array:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W) from -1 to 1."""
    values = cv2.dnn.blobFromImages(list(pictures), _SCALE, mean=(_MEAN, _MEAN, _MEAN))
    return np.asarray(values, np.float32)


def run_on_windows(network: Network, picture: Pyramid, windows: Float32Array, size: int) -> dict[str, Float32Array]:
    """All outputs of the network for square windows, float32 (N, 4); arrays of length 0 when there are none."""
    results = [network.run(_blob(pictures)) for pictures in _batches(picture, windows, size)]
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}


def _batches(picture: Pyramid, windows: Float32Array, size: int) -> Iterator[RgbImage]:
    """The windows as pictures, as many as the network sees together; one batch of none when there are none."""
    cut, run = max(1, _CUT_PIXELS // size**2), max(1, _RUN_PIXELS // size**2)
    for first in range(0, max(1, len(windows)), cut):
        pictures = cut_out(picture, windows[first : first + cut], size)
        for start in range(0, max(1, len(pictures)), run):
            yield pictures[start : start + run]


def _blob(pictures: RgbImage) -> Float32Array:
    return network_input(pictures) if len(pictures) else np.empty((0, 3, *pictures.shape[1:3]), np.float32)


def cut_out(picture: Pyramid, windows: Float32Array, size: int) -> RgbImage:
    """The windows as pictures, uint8 (N, size, size, 3); what lies outside the picture is black.

    Sampled between pixels from the copy in which a window is at most twice as wide as what is made of it: there the
    four pixels around each sample leave none out.
    """
    cut = np.zeros((len(windows), size, size, 3), np.uint8)
    halvings = _halvings(windows, size)
    for times in np.unique(halvings).tolist():
        (chosen,) = np.nonzero(halvings == times)
        source = picture.halved(times)
        shrinkage = np.array(source.shape[1::-1], np.float32) / picture.size
        cut[chosen] = _sampled(source, windows[chosen] * np.tile(shrinkage, 2), size)
    return cut


def _halvings(windows: Float32Array, size: int) -> Int64Array:
    widths = np.maximum((windows[:, 2] - windows[:, 0]) / size, 2)
    return np.ceil(np.log2(widths)).astype(np.int64) - 1


def _sampled(source: RgbImage, windows: Float32Array, size: int) -> RgbImage:
    """Windows of one copy, given in its pixels; whole coordinates of the samples are the centres of pixels."""
    steps = (windows[:, 2:] - windows[:, :2]) / size
    at = windows[:, :2, None] + steps[:, :, None] * (np.arange(size) + 0.5) - 0.5
    shape = (len(windows), size, size)
    across = np.broadcast_to(at[:, 0, None, :], shape).reshape(-1, size).astype(np.float32)
    down = np.broadcast_to(at[:, 1, :, None], shape).reshape(-1, size).astype(np.float32)
    return np.asarray(cv2.remap(source, across, down, cv2.INTER_LINEAR), np.uint8).reshape(*shape, 3)
