"""The rebuilt recognizer against dlib itself: the same chips have to give the same descriptors."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest

from rtcc_bridge.demo.pictures import encode_png, portrait, rephotograph
from rtcc_bridge.matching.align import extract_chips
from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceFinder
from rtcc_bridge.matching.session import Device, open_network
from rtcc_bridge.matching.types import FaceCrop, Float64Array, RgbImage
from rtcc_bridge.modelpacks import sources
from tests.integration.labelled_faces import LabelledTemplates

_PEOPLE = 40
_STILLS = 8


@pytest.fixture(scope="module", params=["portrait", "people"])
def chips(request: pytest.FixtureRequest, default_pack: ModelPack) -> RgbImage:
    """Chips of one portrait and of poor stills of it; and of many people, where there are pictures of them."""
    if request.param == "portrait":
        return _chips(default_pack, _crops_of_the_portrait(default_pack))
    return _chips(default_pack, _crops_of_people(default_pack, request.getfixturevalue("test_data")))


def _crops_of_the_portrait(pack: ModelPack) -> list[FaceCrop]:
    """The portrait, its mirror image, a smaller and a darker one, and re-photographs with noise of their own."""
    picture = portrait()
    smaller = np.asarray(cv2.resize(picture, (160, 160), interpolation=cv2.INTER_AREA), np.uint8)
    variants = [picture, np.ascontiguousarray(picture[:, ::-1]), smaller, (picture * 0.4).astype(np.uint8)]
    finder = FaceFinder(open_detector(pack), DecodeLimits())
    found = [finder.find(encode_png(variant)) for variant in variants]
    found += [finder.find(rephotograph(picture, seed)) for seed in range(_STILLS)]
    return [one.crop(1) for one in found]


def _crops_of_people(pack: ModelPack, test_data: Path) -> list[FaceCrop]:
    """40 people, booking photographs among them."""
    labelled = LabelledTemplates(pack)
    people = sorted((test_data / "faces").iterdir())
    chosen = [sorted(people[index].iterdir())[0] for index in np.linspace(0, len(people) - 1, _PEOPLE).astype(int)]
    crops = [crop for path in chosen if (crop := labelled.crop(path)) is not None]
    assert len(crops) == _PEOPLE
    return crops


def _chips(pack: ModelPack, crops: Sequence[FaceCrop]) -> RgbImage:
    chips = extract_chips(crops, np.array(pack.recognizer.alignment_template), pack.recognizer.input_size)
    assert len(np.unique(chips, axis=0)) == len(crops), "each is another picture"
    return chips


@pytest.fixture(scope="module")
def dlib_model() -> dlib.face_recognition_model_v1:
    return dlib.face_recognition_model_v1(str(sources.locate_verified(sources.RECOGNIZER)))


def _dlib_descriptors(model: dlib.face_recognition_model_v1, chips: RgbImage) -> Float64Array:
    return np.array([model.compute_face_descriptor(np.ascontiguousarray(chip), 0) for chip in chips])


def test_descriptors_equal_those_of_dlib(
    chips: RgbImage, dlib_model: dlib.face_recognition_model_v1, default_pack: ModelPack
) -> None:
    spec = default_pack.recognizer
    network = open_network(default_pack.read(spec.file), Device.CPU, threads=1)
    values = ((chips - np.array(spec.mean)) * spec.scale).astype(np.float32).transpose(0, 3, 1, 2)
    descriptors = network.run(np.ascontiguousarray(values))["descriptors"]
    assert np.abs(descriptors - _dlib_descriptors(dlib_model, chips)).max() < 1e-5


def test_templates_are_the_normalised_average_over_the_mirror_image(
    chips: RgbImage, dlib_model: dlib.face_recognition_model_v1, default_pack: ModelPack
) -> None:
    average = (_dlib_descriptors(dlib_model, chips) + _dlib_descriptors(dlib_model, chips[:, :, ::-1])) / 2
    expected = average / np.linalg.norm(average, axis=1, keepdims=True)
    assert np.abs(open_embedder(default_pack).embed(chips) - expected).max() < 1e-5
