"""The rebuilt recognizer against dlib itself: the same chips have to give the same descriptors."""

from pathlib import Path

import dlib
import numpy as np
import pytest

from rtcc_bridge.matching.align import extract_chip
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.session import Device, open_network
from rtcc_bridge.matching.types import Float64Array, RgbImage
from rtcc_bridge.modelpacks import sources
from tests.integration.labelled_faces import LabelledTemplates

_CHIPS = 40


@pytest.fixture(scope="module")
def chips(test_data: Path, default_pack: ModelPack) -> RgbImage:
    """Chips of 40 people, booking photographs among them."""
    labelled = LabelledTemplates(default_pack)
    people = sorted((test_data / "faces").iterdir())
    chosen = [sorted(people[index].iterdir())[0] for index in np.linspace(0, len(people) - 1, _CHIPS).astype(int)]
    template = np.array(default_pack.recognizer.alignment_template)
    crops = [crop for path in chosen if (crop := labelled.crop(path)) is not None]
    assert len(crops) == _CHIPS
    return np.stack([extract_chip(crop.pixels, crop.landmarks, template, 150) for crop in crops])


@pytest.fixture(scope="module")
def dlib_model() -> dlib.face_recognition_model_v1:
    return dlib.face_recognition_model_v1(str(sources.locate_verified(sources.RECOGNIZER)))


def _dlib_descriptors(model: dlib.face_recognition_model_v1, chips: RgbImage) -> Float64Array:
    return np.array([model.compute_face_descriptor(np.ascontiguousarray(chip), 0) for chip in chips])


def test_descriptors_equal_those_of_dlib(
    chips: RgbImage, dlib_model: dlib.face_recognition_model_v1, default_pack: ModelPack
) -> None:
    spec = default_pack.recognizer
    network = open_network(default_pack.read(spec.file), Device.CPU, threads=2)
    values = ((chips - np.array(spec.mean)) * spec.scale).astype(np.float32).transpose(0, 3, 1, 2)
    descriptors = network.run(np.ascontiguousarray(values))["descriptors"]
    assert np.abs(descriptors - _dlib_descriptors(dlib_model, chips)).max() < 1e-5


def test_templates_are_the_normalised_average_over_the_mirror_image(
    chips: RgbImage, dlib_model: dlib.face_recognition_model_v1, default_pack: ModelPack
) -> None:
    average = (_dlib_descriptors(dlib_model, chips) + _dlib_descriptors(dlib_model, chips[:, :, ::-1])) / 2
    expected = average / np.linalg.norm(average, axis=1, keepdims=True)
    assert np.abs(open_embedder(default_pack).embed(chips) - expected).max() < 1e-5
