"""Finding faces: what a detector is, how one is opened, and the bound on the pixels that it sees."""

import math
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from rtcc_bridge.matching.detect_mtcnn import open_mtcnn
from rtcc_bridge.matching.detect_yunet import open_yunet
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.types import Box, DetectedFace, RgbImage

MAX_DETECTION_PIXELS = 12_000_000

_MAX_SIDE_PX = 30_000
"""OpenCV counts the pixels of a row or column in 16 bits, with a sign."""

_OPENERS: dict[str, Callable[[ModelPack, Device, int, int], "Detector"]] = {"mtcnn": open_mtcnn, "yunet": open_yunet}


class Detector(Protocol):
    """Finds faces. Blocks; may be called from several threads at once."""

    def detect(self, image: RgbImage) -> list[DetectedFace]:
        """Every face with its landmarks, from left to right, in pixels of `image`.

        InferenceError when the network fails. A picture without faces, however small, gives an empty list.
        """
        ...


def open_detector(
    pack: ModelPack, device: Device = Device.CPU, threads: int = 1, min_face_px: int | None = None
) -> Detector:
    """Open the pack's detector; `min_face_px` overrides the pack's. Blocks. ModelPackError, DeviceError."""
    smallest = pack.detector.min_face_px if min_face_px is None else min_face_px
    return _OPENERS[pack.detector.kind](pack, device, threads, smallest)


def detect_bounded(
    detector: Detector, image: RgbImage, max_detection_pixels: int = MAX_DETECTION_PIXELS
) -> list[DetectedFace]:
    """Detect on a copy of at most `max_detection_pixels`, shrunk by area; faces come back in pixels of `image`.

    A side of the copy has at most 30,000 pixels. Faces that fall below the detector's smallest face in the copy are
    not found.
    """
    height, width = image.shape[:2]
    scale = min(math.sqrt(max_detection_pixels / (height * width)), _MAX_SIDE_PX / max(height, width))
    if scale >= 1:
        return _in_view(detector.detect(image), image)
    copy_width, copy_height = max(1, int(width * scale)), max(1, int(height * scale))
    copy = cv2.resize(image, (copy_width, copy_height), interpolation=cv2.INTER_AREA)
    growth = (width / copy_width, height / copy_height)
    found = detector.detect(np.asarray(copy, np.uint8))
    return _in_view([enlarged(face, growth) for face in found], image)


def _in_view(faces: list[DetectedFace], image: RgbImage) -> list[DetectedFace]:
    """Without faces whose box, by a slip of the network, is empty or lies wholly outside the picture."""
    height, width = image.shape[:2]
    return [
        face
        for face in faces
        if max(face.box.left, 0) < min(face.box.right, width) and max(face.box.top, 0) < min(face.box.bottom, height)
    ]


def enlarged(face: DetectedFace, growth: tuple[float, float]) -> DetectedFace:
    """The face in pixels of a picture `growth` (x, y) times as large. Landmarks are pixel centres, boxes are edges."""
    across, down = growth
    box = Box(face.box.left * across, face.box.top * down, face.box.right * across, face.box.bottom * down)
    landmarks = (face.landmarks + 0.5) * np.array(growth, np.float32) - 0.5
    return DetectedFace(box, landmarks.astype(np.float32), face.detection_score)
