"""A pack is calibrated on one half of the people and checked on the other."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from rtcc_bridge.matching.calibration_check import CheckedFpir
from rtcc_bridge.matching.evaluation_split import LabelledPictures
from rtcc_bridge.matching.types import Estimate
from rtcc_bridge.qualification.calibration_run import CalibrationRun, calibrate, check_lines
from rtcc_bridge.qualification.templates import TemplatesMade
from tests.unit.qualification.evaluations import labelled
from tests.unit.qualification.packs import paper_pack


def made_of(pictures: LabelledPictures) -> TemplatesMade:
    people = int(pictures.people.max()) + 1
    return TemplatesMade(pictures, tuple(f"person-{number}" for number in range(people)), (), {"embed": 1.0})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> CalibrationRun:
    pack = paper_pack(tmp_path_factory.mktemp("pack"))
    return calibrate(pack, made_of(labelled(500, pictures=1)), source="made up", on=date(2026, 3, 1), seed=1)


def test_one_half_is_learnt_from_and_the_other_checked_on(run: CalibrationRun) -> None:
    assert "250 people, 250 pictures: made up" in run.calibration.provenance["people and pictures"]
    assert {check.gallery_people for check in run.checks} == {25, 100}
    assert run.checks[0].searches == 225
    assert run.problem == ""
    text = "\n".join(check_lines(run))
    assert text.count("0.100 (") >= 2
    assert "(at least 100 people each): none" in text


def test_faces_that_were_not_found_are_not_learnt_from(tmp_path: Path) -> None:
    pictures = labelled(300, pictures=2)
    found = np.tile([True, False], 300)
    lost = LabelledPictures(pictures.people, found, pictures.templates, pictures.quality)
    run = calibrate(paper_pack(tmp_path), made_of(lost), source="made up", on=date(2026, 3, 1), seed=1)
    assert "150 people, 150 pictures" in run.calibration.provenance["people and pictures"]


def test_too_few_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="199 people with a usable picture are too few"):
        calibrate(paper_pack(tmp_path), made_of(labelled(199)), source="made up", on=date(2026, 3, 1), seed=1)


def test_a_prediction_that_does_not_hold_is_a_problem(run: CalibrationRun) -> None:
    broken = CheckedFpir(180, 0.1, 0.5, 900, Estimate(0.1, 0.08, 0.12), Estimate(0.3, 0.25, 0.35))
    assert "at most 0.120, and 0.300 (0.250 to 0.350) was measured" in replace(run, checks=(broken,)).problem
    assert "promises too much" in "\n".join(check_lines(replace(run, checks=(broken,))))
    safe = CheckedFpir(180, 0.1, 0.5, 900, Estimate(0.1, 0.08, 0.12), Estimate(0.02, 0.01, 0.03))
    assert replace(run, checks=(safe,)).problem == ""
    assert "errs on the safe side" in "\n".join(check_lines(replace(run, checks=(safe,))))
    assert "too small" in replace(run, checks=()).problem
