"""The MTCNN cascade (Zhang et al. 2016): a small network slides over a pyramid of the picture and proposes windows, a
second refines them, a third gives the face's box and five landmarks.

The number of windows that the later networks see is capped, best first, and they see them in batches from all sizes.
"""

import numpy as np

from rtcc_bridge.matching.boxes import faces_from_arrays, keep_best, squared
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.mtcnn_scan import OVERLAP, ProposalScan, Windows
from rtcc_bridge.matching.mtcnn_windows import run_on_windows
from rtcc_bridge.matching.pyramid import Pyramid
from rtcc_bridge.matching.session import Device, Network, open_network
from rtcc_bridge.matching.types import DetectedFace, Float32Array, RgbImage

_REFINE_SIZE = 24
_OUTPUT_SIZE = 48

_MAX_REFINED = 1000
_MAX_FACES = 200
"""Windows that each stage hands on: a crowd of 320 faces gave 700 and 320, other pictures a tenth of that."""


class MtcnnDetector:
    """Detector of the default pack. Blocks; may be called from several threads at once."""

    def __init__(
        self, proposal: Network, refine: Network, output: Network, thresholds: dict[str, float], min_face_px: int
    ) -> None:
        self._scan = ProposalScan(proposal, thresholds["proposal"], min_face_px)
        self._refine, self._output = refine, output
        self._thresholds = thresholds

    def detect(self, image: RgbImage) -> list[DetectedFace]:
        picture = Pyramid(image)
        return self._find_faces(picture, self._refined(picture, self._scan.propose(picture)))

    def _refined(self, picture: Pyramid, proposed: Windows) -> Windows:
        windows = squared(proposed.boxes)
        found = run_on_windows(self._refine, picture, windows, _REFINE_SIZE)
        scores = found["probabilities"][:, 1]
        passed = scores >= self._thresholds["refine"]
        boxes = _shifted(windows[passed], found["offsets"][passed])
        return Windows(boxes, scores[passed]).best(_MAX_REFINED)

    def _find_faces(self, picture: Pyramid, refined: Windows) -> list[DetectedFace]:
        windows = squared(refined.boxes)
        found = run_on_windows(self._output, picture, windows, _OUTPUT_SIZE)
        scores = found["probabilities"][:, 1]
        passed = scores >= self._thresholds["output"]
        windows, scores = windows[passed], scores[passed]
        boxes = _shifted(windows, found["offsets"][passed])
        shares = found["landmarks"][passed].reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = windows[:, None, :2] + shares * (windows[:, None, 2:] - windows[:, None, :2])
        kept = keep_best(boxes, scores, OVERLAP, _MAX_FACES, share_of_smaller=True)
        return faces_from_arrays(boxes[kept], landmarks[kept], scores[kept])


def open_mtcnn(pack: ModelPack, device: Device, threads: int, min_face_px: int) -> MtcnnDetector:
    """Open the pack's three networks. Blocks. ModelPackError, DeviceError."""
    files = pack.detector.files
    proposal, refine, output = (
        open_network(pack.read(files[part]), device, threads) for part in ("proposal", "refine", "output")
    )
    return MtcnnDetector(proposal, refine, output, dict(pack.detector.thresholds), min_face_px)


def _shifted(windows: Float32Array, offsets: Float32Array) -> Float32Array:
    """Windows moved by the network's offsets, which are shares of the window's size."""
    sizes = windows[:, 2:] - windows[:, :2]
    return np.asarray(windows + offsets * np.concatenate([sizes, sizes], axis=1), np.float32)
