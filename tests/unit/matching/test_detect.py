"""Faces are found where they are, at any size, in any number, and within bounds of memory and count."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtcc_bridge.matching import mtcnn_scan
from rtcc_bridge.matching.detect import Detector, detect_bounded, enlarged, open_detector
from rtcc_bridge.matching.detect_yunet import YuNetDetector
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.session import Device, Network
from rtcc_bridge.matching.types import Box, DetectedFace, Float32Array, RgbImage
from tests.unit.matching.pictures import PORTRAIT_LANDMARKS, face_at, portrait


@pytest.fixture(scope="module")
def mtcnn(default_pack: ModelPack) -> Detector:
    return open_detector(default_pack, Device.CPU, threads=1)


def _scaled(image: RgbImage, scale: float) -> RgbImage:
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=way), np.uint8)


def _largest(faces: list[DetectedFace]) -> DetectedFace:
    return max(faces, key=lambda face: face.box.width)


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 2.0])
def test_the_portrait_is_found_at_any_size(mtcnn: Detector, scale: float) -> None:
    face = _largest(mtcnn.detect(_scaled(portrait(), scale)))
    assert face.detection_score > 0.95
    assert 70 < face.box.width / scale < 110
    away = np.linalg.norm(face.landmarks / scale - PORTRAIT_LANDMARKS, axis=1)
    assert away.max() < 8


def test_faces_are_sorted_from_left_to_right(mtcnn: Detector) -> None:
    head, small = portrait()[:190], _scaled(portrait()[:190], 0.5)
    row = np.zeros((190, 3 * 512, 3), np.uint8)
    row[:, :512], row[:95, 512:768], row[:, 1024:] = head, small, head[:, ::-1]
    faces = mtcnn.detect(row)
    assert [round(face.box.left / 100) for face in faces] == [2, 6, 13]
    assert all(face.landmarks[0, 0] < face.landmarks[1, 0] for face in faces)


@pytest.mark.parametrize("shape", [(1, 1), (11, 300), (12, 12), (20, 20), (5, 2000), (1000, 13)])
def test_no_picture_is_too_small_or_too_narrow(mtcnn: Detector, shape: tuple[int, int]) -> None:
    assert mtcnn.detect(np.full((*shape, 3), 127, np.uint8)) == []


def test_the_smallest_face_is_a_setting(default_pack: ModelPack) -> None:
    tiny = _scaled(portrait(), 0.35)
    assert len(open_detector(default_pack, min_face_px=20).detect(tiny)) == 1
    assert open_detector(default_pack, min_face_px=150).detect(tiny) == []


def test_tiles_give_what_the_whole_gives(mtcnn: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    image = _scaled(portrait(), 1.3)[:601, :577]
    monkeypatch.setattr(mtcnn_scan, "_TILE_PX", 10_000)
    expected = mtcnn.detect(image)
    for side in (40, 101, 240):
        monkeypatch.setattr(mtcnn_scan, "_TILE_PX", side)
        for found, face in zip(mtcnn.detect(image), expected, strict=True):
            np.testing.assert_allclose(found.landmarks, face.landmarks, atol=0.05)


def test_faces_at_the_edge_are_found_and_may_reach_over_it(mtcnn: Detector) -> None:
    cut = portrait()[60:, 180:]
    face = _largest(mtcnn.detect(cut))
    assert face.box.left < 2
    assert np.abs(face.landmarks - (PORTRAIT_LANDMARKS - (180, 60))).max() < 10


def test_detection_may_run_in_several_threads(mtcnn: Detector) -> None:
    found: list[float] = []

    def work() -> None:
        found.append(_largest(mtcnn.detect(portrait())).box.left)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 3
    assert len(set(found)) == 1


class _SeesOneFace:
    """Reports a face over the picture's left half and remembers what it was shown."""

    def __init__(self) -> None:
        self.pixels = 0

    def detect(self, image: RgbImage) -> list[DetectedFace]:
        height, width = image.shape[:2]
        self.pixels = height * width
        box = Box(0, 0, width / 2, height)
        outside = face_at(np.full((5, 2), 10.0 * width, np.float32))
        return [DetectedFace(box, np.array([[width / 4, height / 2]] * 5, np.float32), 1.0), outside]


@pytest.mark.parametrize("shape", [(400, 600), (399, 601), (2000, 77)])
def test_detection_runs_on_a_bounded_copy_and_comes_back_in_full_pixels(shape: tuple[int, int]) -> None:
    detector = _SeesOneFace()
    (face,) = detect_bounded(detector, np.zeros((*shape, 3), np.uint8), 10_000)
    assert detector.pixels <= 10_000
    height, width = shape
    assert (face.box.right, face.box.bottom) == pytest.approx((width / 2, height))
    grown = np.sqrt(height * width / 10_000)
    np.testing.assert_allclose(face.landmarks[0], (width / 4, height / 2), atol=grown / 2)


def test_a_small_picture_is_not_copied_smaller() -> None:
    detector = _SeesOneFace()
    detect_bounded(detector, np.zeros((100, 100, 3), np.uint8), 10_000)
    assert detector.pixels == 10_000


def test_the_real_face_comes_back_from_the_copy(mtcnn: Detector) -> None:
    face = _largest(detect_bounded(mtcnn, _scaled(portrait(), 2.0), 512 * 512))
    assert np.linalg.norm(face.landmarks / 2 - PORTRAIT_LANDMARKS, axis=1).max() < 8


def test_enlarging_keeps_pixel_centres() -> None:
    """The centre of the first pixel of a picture half as large lies between the first two of the large one."""
    face = DetectedFace(Box(0, 0, 10, 10), np.zeros((5, 2), np.float32), 1.0)
    grown = enlarged(face, (2.0, 4.0))
    assert grown.box == Box(0, 0, 20, 40)
    assert grown.landmarks[0].tolist() == [0.5, 1.5]


def test_a_crowd_is_cut_off_at_the_best_two_hundred(mtcnn: Detector, test_data: Path) -> None:
    crowd = np.asarray(cv2.imread(str(test_data / "scenes" / "ulfg_17.jpg")), np.uint8)[:, :, ::-1]
    faces = mtcnn.detect(np.ascontiguousarray(crowd))
    assert len(faces) == 200
    assert min(face.detection_score for face in faces) > 0.8


class _OneCellSession:
    """Stands in for ONNX Runtime: YuNet's outputs for 64 x 96 pixels, where one cell of stride 16 sees a face."""

    column, row = 3, 2

    def __init__(self) -> None:
        self.outputs: dict[str, Float32Array] = {}
        for stride in (8, 16, 32):
            cells = (64 // stride) * (96 // stride)
            for head, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
                self.outputs[f"{head}_{stride}"] = np.zeros((1, cells, width), np.float32)
        cell = self.row * (96 // 16) + self.column
        self.outputs["cls_16"][0, cell] = 0.81
        self.outputs["obj_16"][0, cell] = 1.0
        self.outputs["bbox_16"][0, cell] = (0.5, 0.25, np.log(2.0), np.log(2.5))
        self.outputs["kps_16"][0, cell] = np.arange(10) / 10

    def get_inputs(self) -> list["_OneCellSession"]:
        return [self]

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def get_outputs(self) -> list[object]:
        return [type("Output", (), {"name": name})() for name in self.outputs]

    name = "input"
    shape = ("N", 3, "H", "W")
    seen: Float32Array

    def run(self, names: list[str], inputs: dict[str, Float32Array]) -> list[Float32Array]:
        self.seen = inputs["input"]
        return [self.outputs[name] for name in names]


def test_yunet_is_decoded_as_its_authors_define() -> None:
    session = _OneCellSession()
    detector = YuNetDetector(Network(session), threshold=0.6, min_face_px=20)
    image = np.zeros((50, 90, 3), np.uint8)
    image[..., 0] = 200
    (face,) = detector.detect(image)
    assert session.seen.shape == (1, 3, 64, 96)
    assert session.seen[0, 2, :50, :90].min() == 200
    assert session.seen[0, :, 50:].max() == 0
    assert face.detection_score == pytest.approx(0.9)
    assert face.box.left == pytest.approx(3.5 * 16 - 16)
    assert face.box.right == pytest.approx(3.5 * 16 + 16)
    assert face.box.top == pytest.approx(2.25 * 16 - 20)
    assert face.box.bottom == pytest.approx(2.25 * 16 + 20)
    np.testing.assert_allclose(face.landmarks[1], (16 * 3.2, 16 * 2.3), rtol=1e-5)
    assert YuNetDetector(Network(session), threshold=0.95, min_face_px=20).detect(image) == []
    assert YuNetDetector(Network(session), threshold=0.6, min_face_px=40).detect(image) == []
