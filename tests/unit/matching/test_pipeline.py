"""The stages follow one another, are timed, and hand on only the chosen face."""

import subprocess
import sys

import numpy as np
import pytest

from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.errors import UnreadableImageError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import CandidateFinder, FaceEmbedder, FaceFinder
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Verdict
from tests.unit.matching.pictures import PORTRAIT_LANDMARKS, encoded, gradient, portrait


@pytest.fixture
def stages() -> list[str]:
    return []


@pytest.fixture
def finder(default_pack: ModelPack, stages: list[str]) -> FaceFinder:
    return FaceFinder(open_detector(default_pack), DecodeLimits(), on_stage=lambda name, _: stages.append(name))


@pytest.fixture
def embedder(default_pack: ModelPack, stages: list[str]) -> FaceEmbedder:
    return FaceEmbedder(open_embedder(default_pack), on_stage=lambda name, _: stages.append(name))


def test_from_an_upload_to_candidates(finder: FaceFinder, embedder: FaceEmbedder, stages: list[str]) -> None:
    found = finder.find(encoded(portrait()[:190]))
    (face,) = found.faces
    assert (face.number, face.quality.verdict) == (1, Verdict.ACCEPTED)
    enrolled = embedder.templates([found.crop(1)])
    others = np.linalg.qr(np.random.default_rng(11).normal(size=(128, 20)))[0].T.astype(np.float32)
    ids = np.arange(21)
    snapshot = GallerySnapshot.build("test", 1, [StoredTemplates.of(others), StoredTemplates.of(enrolled)], ids, ids)

    again = finder.find(encoded(portrait()[:190], "JPEG", quality=40))
    candidate_finder = CandidateFinder(embedder, open_index(snapshot), on_stage=lambda name, _: stages.append(name))
    ((best, *_),) = candidate_finder.candidates([again.crop(1)], limit=5, threshold=0.9)
    assert best.subject_id == 20
    assert best.similarity_score > 0.97
    intake, matcher = ["decode", "detect", "quality"], ["align", "embed"]
    assert stages == [*intake, *matcher, *intake, *matcher, "search"]


def test_faces_are_numbered_from_left_to_right_and_cropped_by_number(finder: FaceFinder) -> None:
    pair = np.concatenate([portrait()[:190], portrait()[:190, ::-1]], axis=1)
    found = finder.find_in(pair)
    assert [face.number for face in found.faces] == [1, 2]
    assert found.faces[0].face.box.right < found.faces[1].face.box.left
    crop = found.crop(1)
    origin = found.faces[0].face.landmarks - crop.landmarks
    assert np.abs(crop.landmarks + origin - PORTRAIT_LANDMARKS).max() < 8
    for number in (0, 3, -1):
        with pytest.raises(LookupError, match="the picture has 2"):
            found.crop(number)


def test_the_face_work_needs_no_more_than_numpy_opencv_and_onnx_runtime() -> None:
    """In a process where the other packages cannot be imported; Pillow is needed only once something is decoded."""
    builders, services = ["onnx", "joblib", "lz4"], ["pydantic", "sqlalchemy", "aiohttp", "aiokafka"]
    blocked = ["PIL", *builders, *services, "prometheus_client", "structlog"]
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import rtcc_bridge.matching.pipeline"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_no_face_is_an_empty_result(finder: FaceFinder) -> None:
    assert finder.find(encoded(gradient(200, 300))).faces == ()


def test_a_stage_that_fails_is_timed_too(finder: FaceFinder, stages: list[str]) -> None:
    with pytest.raises(UnreadableImageError):
        finder.find(b"no picture")
    assert stages == ["decode"]
