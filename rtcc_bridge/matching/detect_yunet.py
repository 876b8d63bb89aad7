"""Decodes the outputs of YuNet (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"): an anchor-free
detector with heads at strides 8, 16 and 32, each giving a class and an object score, a box and five landmarks per cell.
"""

import numpy as np

from rtcc_bridge.matching.boxes import faces_from_arrays, keep_best
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.session import Device, Network, open_network
from rtcc_bridge.matching.types import DetectedFace, Float32Array, RgbImage

_STRIDES = (8, 16, 32)
_HEADS = ("cls", "obj", "bbox", "kps")
_OVERLAP = 0.3
_MAX_FACES = 200


class YuNetDetector:
    """Blocks; may be called from several threads at once."""

    def __init__(self, network: Network, threshold: float, min_face_px: int) -> None:
        self._network = network
        self._threshold = threshold
        self._min_face_px = min_face_px

    def detect(self, image: RgbImage) -> list[DetectedFace]:
        padded = _padded(image)
        outputs = self._network.run(np.ascontiguousarray(padded[..., ::-1].transpose(2, 0, 1)[None], np.float32))
        heads = [self._decode(outputs, stride, padded.shape[1] // stride) for stride in _STRIDES]
        boxes, landmarks, scores = (np.concatenate(parts) for parts in zip(*heads, strict=True))
        kept = keep_best(boxes, scores, _OVERLAP, _MAX_FACES)
        kept = kept[boxes[kept, 2] - boxes[kept, 0] >= self._min_face_px]
        return faces_from_arrays(boxes[kept], landmarks[kept], scores[kept])

    def _decode(
        self, outputs: dict[str, Float32Array], stride: int, columns: int
    ) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Boxes (N, 4), landmarks (N, 5, 2) and scores (N,) of one head, those over the threshold."""
        classes, objects = (outputs[f"{name}_{stride}"].reshape(-1).clip(0, 1) for name in ("cls", "obj"))
        scores = np.sqrt(classes * objects)
        (passed,) = np.nonzero(scores >= self._threshold)
        cells = np.stack([passed % columns, passed // columns], axis=1).astype(np.float32)
        box = outputs[f"bbox_{stride}"].reshape(-1, 4)[passed]
        centres, halves = (cells + box[:, :2]) * stride, np.exp(box[:, 2:]) * (stride / 2)
        landmarks = (outputs[f"kps_{stride}"].reshape(-1, 5, 2)[passed] + cells[:, None]) * stride
        return np.concatenate([centres - halves, centres + halves], axis=1), landmarks, scores[passed]


def open_yunet(pack: ModelPack, device: Device, threads: int, min_face_px: int) -> YuNetDetector:
    """Open the pack's network. Blocks. ModelPackError when its outputs are not YuNet's; DeviceError."""
    file = pack.detector.files["detector"]
    network = open_network(pack.read(file), device, threads)
    wanted = {f"{head}_{stride}" for head in _HEADS for stride in _STRIDES}
    if missing := sorted(wanted - set(network.output_names)):
        raise ModelPackError(
            f"{pack.folder / file} lacks YuNet's outputs {', '.join(missing)}: name another detector kind"
        )
    return YuNetDetector(network, pack.detector.thresholds["face"], min_face_px)


def _padded(image: RgbImage) -> RgbImage:
    """The picture with black added on the right and below, up to whole cells of the coarsest head."""
    height, width = image.shape[:2]
    coarsest = _STRIDES[-1]
    padded = np.zeros((-(-height // coarsest) * coarsest, -(-width // coarsest) * coarsest, 3), np.uint8)
    padded[:height, :width] = image
    return padded
