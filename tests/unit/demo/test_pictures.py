"""The demo's pictures: a fair re-photograph, and a split that keeps probes out of the gallery."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from rtcc_bridge.demo.pictures import encode_png, portrait, rephotograph, split_faces
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceFinder
from rtcc_bridge.matching.quality_measures import pose_angles
from rtcc_bridge.matching.types import Int64Array, NumberedFace, Verdict

LEAST_WIDTH_PX = 40
POOR_JPEG_QUALITY = 50
"""On the scale of libjpeg, which OpenCV and Pillow share."""


@pytest.fixture(scope="module")
def finder(default_pack: ModelPack) -> FaceFinder:
    return FaceFinder(open_detector(default_pack), DecodeLimits())


@pytest.fixture(scope="module")
def original(finder: FaceFinder) -> NumberedFace:
    return only_face(finder, encode_png(portrait()))


@pytest.fixture(scope="module")
def still() -> bytes:
    return rephotograph(portrait())


@pytest.fixture(scope="module")
def face(finder: FaceFinder, still: bytes) -> NumberedFace:
    return only_face(finder, still)


def only_face(finder: FaceFinder, picture: bytes) -> NumberedFace:
    (face,) = finder.find(picture).faces
    return face


def measured(face: NumberedFace, name: str) -> float:
    return next(component.value for component in face.quality.components if component.name == name)


def roll(face: NumberedFace) -> float:
    """Degrees by which the line of the eyes falls to the right."""
    return pose_angles(face.face.landmarks.astype(np.float64))[2]


def test_the_still_is_fit_to_compare(face: NumberedFace) -> None:
    assert face.face.box.width >= LEAST_WIDTH_PX
    assert face.quality.verdict is not Verdict.REFUSED


def test_the_still_is_small(face: NumberedFace, original: NumberedFace) -> None:
    assert face.face.box.width < original.face.box.width * 0.8


def test_the_still_is_dark(face: NumberedFace, original: NumberedFace) -> None:
    assert measured(face, "luminance_mean") < measured(original, "luminance_mean") * 0.8


def test_the_still_is_turned(face: NumberedFace, original: NumberedFace) -> None:
    """The line of the eyes is measured to about one degree."""
    assert abs(roll(face) - roll(original)) == pytest.approx(7, abs=2.5)


def test_the_still_is_blurred(face: NumberedFace, original: NumberedFace) -> None:
    """The portrait's sharpness is 440; merely made smaller it has 180, which noise and compression change little."""
    assert measured(face, "sharpness") < measured(original, "sharpness") / 4


def test_the_still_is_compressed(still: bytes) -> None:
    """Coarser in each frequency than a JPEG of middling quality."""
    middling = io.BytesIO()
    Image.new("RGB", (8, 8)).save(middling, "JPEG", quality=POOR_JPEG_QUALITY)
    assert np.all(quantization(still) >= quantization(middling.getvalue()))


def quantization(jpeg: bytes) -> Int64Array:
    """The divisors of a JPEG's luminance (ITU-T T.81, A.3.4), int64 (64,)."""
    with Image.open(io.BytesIO(jpeg)) as opened:
        assert isinstance(opened, JpegImageFile)
        return np.asarray(opened.quantization[0], np.int64)


def test_the_still_is_noisy(finder: FaceFinder, still: bytes) -> None:
    """Its corner shows an even wall, of which compression leaves a deviation of 1 in each colour."""
    corner = finder.find(still).image[:64, :64]
    assert np.all(corner.std(axis=(0, 1)) > 0.3)


def folder_of(root: Path, people: dict[str, int]) -> Path:
    for name, pictures in people.items():
        (root / name).mkdir()
        for number in range(pictures):
            (root / name / f"{number}.jpg").write_bytes(b"-")
    return root


def test_no_probe_is_enrolled_and_nobody_is_on_both_sides(tmp_path: Path) -> None:
    split = split_faces(folder_of(tmp_path, {f"p{number}": 1 + number % 3 for number in range(20)}))
    assert len(split.enrolled) == 10
    assert all(person.probe not in person.enrolled for person in split.mated)
    assert not {person.reference for person in split.enrolled} & {person.reference for person in split.nonmated}
    assert len(split.nonmated) == 10


def test_one_seed_gives_one_split(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {f"p{number}": 2 for number in range(20)})
    assert split_faces(root, 7) == split_faces(root, 7)
    assert split_faces(root, 7) != split_faces(root, 8)


@pytest.mark.parametrize("people", [{}, {"one": 5}, {"one": 1, "two": 1}])
def test_too_few_people_are_told(people: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too few"):
        split_faces(folder_of(tmp_path, people))
