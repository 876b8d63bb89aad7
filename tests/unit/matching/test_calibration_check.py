"""A calibration is held against people it has not seen: it stands when it is right and falls when it is not."""

from dataclasses import replace

import numpy as np
import pytest

from rtcc_bridge.matching.calibration import Calibration
from rtcc_bridge.matching.calibration_check import check_calibration
from rtcc_bridge.matching.calibration_fit import fit_calibration
from rtcc_bridge.matching.evaluation_split import LabelledPictures
from rtcc_bridge.matching.impostors import ImpostorBody, ImpostorModel
from rtcc_bridge.matching.types import Float32Array, Float64Array
from tests.unit.matching.search_cases import normalised

LENGTH = 12


def strangers(people: int, seed: int) -> Float32Array:
    return normalised(np.random.default_rng(seed).standard_normal((people, LENGTH)).astype(np.float32))


def pictures_of(templates: Float32Array) -> LabelledPictures:
    count = len(templates)
    return LabelledPictures(np.arange(count), np.ones(count, np.bool_), templates, np.full(count, 50))


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    templates = strangers(400, seed=1)
    return fit_calibration(templates, np.arange(400), recognizer_sha256="0" * 64, provenance={"people": "none"}, seed=1)


def too_optimistic(calibration: Calibration) -> Calibration:
    """A model that takes strangers for a fifth as alike as they are."""
    body, tail = calibration.impostors.body, calibration.impostors.tail

    def smaller(rates: Float64Array) -> Float64Array:
        return np.concatenate([[1.0], rates[1:] / 5])

    draws = np.column_stack([tail.draws[:, 0] / 5, tail.draws[:, 1]])
    lower = ImpostorBody(body.scores, smaller(body.fmr), smaller(body.low), smaller(body.high))
    return replace(calibration, impostors=ImpostorModel(lower, replace(tail, fmr=tail.fmr / 5, draws=draws)))


def test_a_right_calibration_holds_at_both_sizes(calibration: Calibration) -> None:
    checks = check_calibration(calibration, pictures_of(strangers(1500, seed=2)), seed=1)
    assert {check.gallery_people for check in checks} == {150, 600}
    assert {check.target for check in checks} == {0.3, 0.1, 0.05, 0.03, 0.01}
    assert not any(check.promises_too_much for check in checks)
    for check in checks:
        assert check.estimated.value == pytest.approx(check.target, rel=1e-3)
        assert check.measured.low <= check.target * 1.5
        assert check.measured.high >= check.target / 1.5


def test_a_calibration_that_promises_too_much_is_told(calibration: Calibration) -> None:
    checks = check_calibration(too_optimistic(calibration), pictures_of(strangers(1500, seed=2)), seed=1)
    assert sum(check.promises_too_much for check in checks) >= 4
    assert not any(check.errs_on_the_safe_side for check in checks)


def test_one_that_promises_too_little_is_told_and_is_no_fault(calibration: Calibration) -> None:
    """People of whom most resemble nobody: strangers are listed more seldom than was learnt."""
    apart = normalised(np.random.default_rng(3).standard_normal((1500, 200)).astype(np.float32))
    checks = check_calibration(calibration, pictures_of(apart), seed=1)
    assert all(check.errs_on_the_safe_side for check in checks if check.target >= 0.1)
    assert not any(check.promises_too_much for check in checks)


def test_a_sample_that_supports_nothing_checks_nothing(calibration: Calibration) -> None:
    assert check_calibration(calibration, pictures_of(strangers(20, seed=4)), seed=1) == ()
