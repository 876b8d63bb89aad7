"""The demo's pictures: a fair re-photograph, and a split that keeps probes out of the gallery."""

from pathlib import Path

import pytest

from rtcc_bridge.demo.pictures import portrait, rephotograph, split_faces
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceFinder
from rtcc_bridge.matching.types import Verdict

LEAST_WIDTH_PX = 40


def test_the_still_is_poor_but_fit_to_compare(default_pack: ModelPack) -> None:
    found = FaceFinder(open_detector(default_pack), DecodeLimits()).find(rephotograph(portrait()))
    (face,) = found.faces
    assert face.face.box.width >= LEAST_WIDTH_PX
    assert face.quality.verdict is not Verdict.REFUSED
    assert found.image.mean() < portrait().mean() * 0.8


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
