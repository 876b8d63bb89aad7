"""Faces of a known size are found, and where a first version of the cascade finds faces, so does this one."""

from pathlib import Path

import numpy as np
import pytest

from bench.detect import face_pairs
from bench.detect_plain import PlainDetector, open_plain
from bench.detect_scenes import Portrait, face_scene, plain_ground, read_portraits, read_rgb, textured_ground
from rtcc_bridge.matching.detect import Detector, open_detector
from rtcc_bridge.matching.modelpack import ModelPack

_MIN_FACE_PX = 24


@pytest.fixture(scope="module")
def detector(default_pack: ModelPack) -> Detector:
    return open_detector(default_pack, min_face_px=_MIN_FACE_PX)


@pytest.fixture(scope="module")
def plain() -> PlainDetector:
    return open_plain(_MIN_FACE_PX)


@pytest.fixture(scope="module")
def portraits(detector: Detector, test_data: Path) -> list[Portrait]:
    return read_portraits(test_data / "faces", detector, 40)


@pytest.mark.parametrize("texture", [None, "sk_gravel.jpg"])
@pytest.mark.parametrize("width_px", [24, 32])
def test_small_faces_are_found_on_any_ground(
    detector: Detector, portraits: list[Portrait], test_data: Path, width_px: int, texture: str | None
) -> None:
    ground = plain_ground() if texture is None else textured_ground(test_data / "noface" / texture)
    scene = face_scene(portraits, ground, width_px, np.random.default_rng(width_px))
    assert len(scene.boxes) == len(portraits)
    found = [face.box for face in detector.detect(scene.pixels)]
    hits = face_pairs(found, scene.boxes)
    assert hits >= 0.93 * len(portraits)
    assert len(found) - hits <= 2


@pytest.mark.parametrize("name", ["ulfg_12.jpg", "ulfg_20.jpg", "dlib_2007_007763.jpg", "fnp_multiface.jpg"])
def test_what_the_plain_cascade_finds_is_found(
    detector: Detector, plain: PlainDetector, test_data: Path, name: str
) -> None:
    image = read_rgb(test_data / "scenes" / name)
    expected = plain.detect(image)
    found = detector.detect(image)
    assert len(expected) >= 1
    assert face_pairs([face.box for face in found], [face.box for face in expected]) >= len(expected) - 1
    assert len(found) <= len(expected) + 1
