"""Calibration: what a threshold means, what is learnt from labelled people, and files that are not to be trusted."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.calibration import (
    Calibration,
    load_calibration,
    load_pack_calibration,
    save_calibration,
)
from rtcc_bridge.matching.calibration_fit import fit_calibration
from rtcc_bridge.matching.errors import ModelPackError, TemplateError
from rtcc_bridge.matching.impostors import ImpostorBody, ImpostorModel, ImpostorTail
from rtcc_bridge.matching.modelpack import DetectorSpec, ModelPack, RecognizerSpec
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.modelpacks.default_pack import CALIBRATION
from tests.unit.matching.search_cases import normalised

SIZES = st.integers(1, 10_000_000)
TARGETS = st.floats(1e-4, 0.999)


DEFAULT = load_calibration(CALIBRATION)


def people_on_a_sphere(count: int, length: int, seed: int) -> Float32Array:
    """One template each of people who resemble each other by chance alone."""
    return normalised(np.random.default_rng(seed).standard_normal((count, length)).astype(np.float32))


def fit(templates: Float32Array, people: np.ndarray[Any, Any] | None = None) -> Calibration:
    labels = np.arange(len(templates)) if people is None else people
    return fit_calibration(templates, labels, recognizer_sha256="0" * 64, provenance={"people": "none"}, seed=1)


def simple_model() -> ImpostorModel:
    """Every stranger scores at least 0.2, a tenth 0.5, and the tail falls with the square of the distance."""
    scores, fmr = np.array([0.2, 0.5]), np.array([1.0, 0.1])
    draws = np.array([[0.05, 2.0], [0.1, 2.0], [0.2, 2.0]])
    return ImpostorModel(ImpostorBody(scores, fmr, fmr / 2, fmr), ImpostorTail(0.5, 0.1, 2.0, draws))


def simple_calibration() -> Calibration:
    mean, covariance = np.array([1.0, 0.0]), np.diag([0.01, 0.04])
    return Calibration("0" * 64, {"people": "none"}, mean, covariance, simple_model(), {})


# What a threshold means


@given(target=TARGETS, size=SIZES)
def test_the_threshold_for_a_target_is_estimated_to_meet_it(target: float, size: int) -> None:
    estimate = DEFAULT.estimated_fpir(DEFAULT.threshold_for(target, size), size)
    assert estimate.value == pytest.approx(target, rel=1e-4)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@given(target=TARGETS, smaller=SIZES, larger=SIZES)
def test_a_larger_gallery_needs_a_higher_threshold(target: float, smaller: int, larger: int) -> None:
    smaller, larger = sorted((smaller, larger))
    assert DEFAULT.threshold_for(target, smaller) <= DEFAULT.threshold_for(target, larger) < 1


@given(threshold=st.floats(-1, 1), higher=st.floats(-1, 1), size=SIZES)
def test_a_higher_threshold_lists_fewer_strangers(threshold: float, higher: float, size: int) -> None:
    threshold, higher = sorted((threshold, higher))
    assert DEFAULT.estimated_fpir(threshold, size).value >= DEFAULT.estimated_fpir(higher, size).value


def test_fpir_grows_with_the_gallery_as_the_arithmetic_says() -> None:
    """The figures of the design: an FMR of 1e-6 gives about 9.5 % at 100,000 people and 63 % at a million."""
    calibration = simple_calibration()
    threshold = calibration.impostors.threshold_for(1e-6)
    assert calibration.estimated_fpir(threshold, 100_000).value == pytest.approx(0.0952, abs=1e-4)
    assert calibration.estimated_fpir(threshold, 1_000_000).value == pytest.approx(0.632, abs=1e-3)


def test_the_tail_follows_its_law_and_its_interval_that_of_the_draws() -> None:
    rate = simple_model().false_match_rate(0.9)
    assert rate.value == pytest.approx(0.1 * 0.2**2)
    assert 0.05 * 0.2**2 <= rate.low < rate.value < rate.high <= 0.2 * 0.2**2


def test_between_measured_scores_the_rate_is_interpolated() -> None:
    assert simple_model().false_match_rate(0.35).value == pytest.approx(math.sqrt(0.1))
    assert simple_model().threshold_for(math.sqrt(0.1)) == pytest.approx(0.35)


@pytest.mark.parametrize(("threshold", "rate"), [(-math.inf, 1), (-1, 1), (0.2, 1), (1, 0), (1.5, 0), (math.inf, 0)])
def test_the_rate_at_the_ends(threshold: float, rate: float) -> None:
    assert simple_model().false_match_rate(threshold).value == rate


def test_nobody_is_listed_from_an_empty_gallery() -> None:
    estimate = simple_calibration().estimated_fpir(-1, 0)
    assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_an_empty_gallery_gets_the_threshold_of_a_gallery_of_one() -> None:
    calibration = simple_calibration()
    assert calibration.threshold_for(0.05, 0) == calibration.threshold_for(0.05, 1)


@pytest.mark.parametrize("target", [0, 1, -0.1, 1.5, math.nan])
def test_a_target_that_is_no_chance_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        simple_calibration().threshold_for(target, 100)


def test_impossible_questions_are_refused() -> None:
    calibration = simple_calibration()
    with pytest.raises(ValueError, match="people"):
        calibration.threshold_for(0.05, -1)
    with pytest.raises(ValueError, match="people"):
        calibration.estimated_fpir(0.5, -1)
    with pytest.raises(ValueError, match="not a number"):
        calibration.estimated_fpir(math.nan, 10)
    with pytest.raises(ValueError, match="false match rate"):
        calibration.impostors.threshold_for(0)


# What is learnt from people


def test_the_tail_of_points_on_a_sphere_has_the_shape_that_geometry_gives() -> None:
    """On a sphere in D dimensions the share within distance r grows as r^(D-1), and 1 - score as r^2."""
    calibration = fit(people_on_a_sphere(800, 7, seed=3))
    assert calibration.impostors.tail.shape == pytest.approx(3.0, rel=0.08)


def test_what_is_predicted_for_other_people_is_what_is_measured() -> None:
    calibration = fit(people_on_a_sphere(400, 12, seed=4))
    gallery = people_on_a_sphere(5000, 12, seed=5)
    probes = people_on_a_sphere(4000, 12, seed=6)
    best = (probes @ gallery.T).max(axis=1)
    for target in (0.02, 0.1, 0.3):
        measured = float((best >= calibration.threshold_for(target, 5000)).mean())
        estimate = calibration.estimated_fpir(calibration.threshold_for(target, 5000), 5000)
        assert estimate.low <= measured <= estimate.high
        assert measured == pytest.approx(target, rel=0.5)


def test_pictures_of_the_same_person_are_no_impostors() -> None:
    templates = people_on_a_sphere(200, 12, seed=7)
    twice = np.concatenate([templates, templates])
    labels = np.concatenate([np.arange(200), np.arange(200)])
    alone, paired = fit(templates), fit(twice, labels)
    assert paired.impostors.tail.score == pytest.approx(alone.impostors.tail.score)
    assert paired.impostors.tail.shape == pytest.approx(alone.impostors.tail.shape)


def test_a_person_with_many_pictures_counts_as_one() -> None:
    """Copies of one person's picture change nothing: the weights of a person's pictures add up to one person."""
    templates = people_on_a_sphere(200, 12, seed=8)
    crowded = np.concatenate([templates, np.repeat(templates[:1], 100, axis=0)])
    labels = np.concatenate([np.arange(200), np.zeros(100, np.int64)])
    alone, with_copies = fit(templates), fit(crowded, labels)
    assert with_copies.impostors.false_match_rate(0.5).value == pytest.approx(
        alone.impostors.false_match_rate(0.5).value, rel=1e-6
    )


def test_mean_and_covariance_are_those_of_the_templates() -> None:
    templates = people_on_a_sphere(300, 5, seed=9)
    calibration = fit(templates)
    assert calibration.mean == pytest.approx(templates.mean(axis=0), abs=1e-6)
    assert calibration.covariance == pytest.approx(np.cov(templates.T), abs=1e-6)


def test_the_same_seed_gives_the_same_fit() -> None:
    templates = people_on_a_sphere(150, 8, seed=10)
    assert (fit(templates).impostors.tail.draws == fit(templates).impostors.tail.draws).all()


def probes_of_two_kinds(people: int) -> tuple[Float32Array, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two pictures of each: a good one in the person's own direction, a poor one drawn towards what all share."""
    good = people_on_a_sphere(people, 12, seed=13)
    poor = good.copy()
    poor[:, 0] += np.float32(1.5)
    templates = normalised(np.concatenate([good, poor]))
    return templates, np.tile(np.arange(people), 2), np.repeat([90, 10], people)


def test_probes_of_poor_quality_that_look_alike_have_a_higher_estimate() -> None:
    templates, people, quality = probes_of_two_kinds(200)
    calibration = fit_calibration(
        templates, people, recognizer_sha256="0" * 64, provenance={"people": "none"}, seed=1, quality=quality
    )
    assert sorted(calibration.bands) == ["0-24", "75-100"]
    threshold = calibration.threshold_for(0.1, 100)
    poor, good, both = (calibration.estimated_fpir(threshold, 100, asked) for asked in (24, 75, None))
    assert poor.low > good.high
    assert good.value < both.value < poor.value
    in_between = calibration.estimated_fpir(threshold, 100, 50)
    assert in_between == both, "there was nobody of such quality to learn from"


def test_a_band_with_pictures_of_too_few_people_has_no_scores_of_its_own() -> None:
    templates, people, quality = probes_of_two_kinds(200)
    quality[:101] = 60
    calibration = fit_calibration(
        templates, people, recognizer_sha256="0" * 64, provenance={"people": "none"}, seed=1, quality=quality
    )
    assert sorted(calibration.bands) == ["0-24", "50-74"]


def test_too_few_people_are_refused() -> None:
    with pytest.raises(ValueError, match="99 people are too few"):
        fit(people_on_a_sphere(99, 8, seed=11))


def test_templates_that_are_none_are_refused() -> None:
    with pytest.raises(TemplateError):
        fit(np.zeros((200, 8), np.float32))


# Stand-ins for strangers


def test_filler_templates_have_the_calibrations_mean_and_spread() -> None:
    calibration = fit(normalised(people_on_a_sphere(400, 6, seed=12) + np.float32(0.8)))
    filler = calibration.filler_templates(40_000, seed=1)
    assert filler.dtype == np.float32
    assert filler.shape == (40_000, 6)
    assert np.abs(np.linalg.norm(filler, axis=1) - 1).max() < 1e-6
    assert filler.mean(axis=0) == pytest.approx(calibration.mean, abs=0.03)
    assert np.sqrt(np.diag(np.cov(filler.T))) == pytest.approx(np.sqrt(np.diag(calibration.covariance)), rel=0.15)


def test_filler_looks_like_strangers_to_the_default_pack() -> None:
    """Real strangers score about .72 to .94 with this model; unit random vectors would score about 0."""
    filler = DEFAULT.filler_templates(1000, seed=2)
    scores = (filler @ filler.T)[np.triu_indices(1000, 1)]
    low, middle, high = np.percentile(scores, [1, 50, 99.9])
    assert 0.68 < low < 0.78
    assert 0.82 < middle < 0.86
    assert 0.91 < high < 0.94


def test_filler_depends_on_its_seed_alone() -> None:
    once, again, other = (DEFAULT.filler_templates(10, seed) for seed in (1, 1, 2))
    assert (once == again).all()
    assert not (once == other).any()
    assert DEFAULT.filler_templates(0, 1).shape == (0, 128)


# Files


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(DEFAULT, path)
    assert path.read_bytes() == CALIBRATION.read_bytes()


def test_the_scores_of_a_quality_band_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(replace(simple_calibration(), bands={"25-49": simple_model()}), path)
    found = load_calibration(path)
    assert found.bands.keys() == {"25-49"}
    assert found.bands["25-49"].false_match_rate(0.7) == simple_model().false_match_rate(0.7)


def test_the_shipped_calibration_says_what_it_rests_on() -> None:
    assert DEFAULT.template_length == 128
    assert "MEDS-II" in DEFAULT.provenance["people and pictures"]
    assert "LFW" in DEFAULT.provenance["people and pictures"]
    assert DEFAULT.provenance["date"]
    assert len(DEFAULT.impostors.tail.draws) == 200


def test_the_shipped_calibration_names_nobody_and_is_small() -> None:
    assert CALIBRATION.stat().st_size < 300_000


def _delete(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(key)


def _set(value: Any, *keys: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_delete("mean"), "mean is missing"),
        (_set(1, "note"), "unknown field: note"),
        (_set(1, "format"), "format"),
        (_delete("bands"), "bands is missing"),
        (_set({"0-24": None}, "bands"), "bands.25-49 is missing"),
        (_set(1, "bands", "50-74"), "bands.50-74 has to be an object"),
        (_set(None, "bands", "101-200"), "unknown field in bands: 101-200"),
        (_set([1.0], "mean"), "mean has to hold 2 numbers"),
        (_set([1.0, "x"], "mean"), "mean has to hold 2 numbers"),
        (_set([1.0, 2.0], "covariance_lower"), "covariance_lower has to hold 3 numbers"),
        (_set([1.0, math.nan, 1.0], "covariance_lower"), "covariance_lower"),
        (_set([0.5, 0.2], "impostors", "scores"), "scores have to rise"),
        (_set([1.0, 1.5], "impostors", "fmr"), "rates to fall"),
        (_set([0.5, 0.1], "impostors", "fmr"), "fall from 1"),
        (_set([1.0, 0.0], "impostors", "fmr_low"), "above 0"),
        (_set(0.6, "impostors", "tail_score"), "tail has to begin where"),
        (_set(0.2, "impostors", "tail_fmr"), "tail has to begin where"),
        (_set(0.0, "impostors", "tail_shape"), "shapes to be above 0"),
        (_set([0.1, 0.1, -0.1], "impostors", "draws_fmr"), "above 0"),
        (_set("x", "impostors", "tail_shape"), "tail_shape has to be a number"),
        (_set(1, "impostors", "points"), "points"),
    ],
)
def test_a_calibration_file_with_a_fault_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(simple_calibration(), path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ModelPackError, match=complaint) as caught:
        load_calibration(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "not JSON", "[]"])
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(ModelPackError):
        load_calibration(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelPackError, match=r"gone\.json cannot be read"):
        load_calibration(tmp_path / "gone.json")


# A pack's own calibration


def pack_with(folder: Path, calibration: str | None, recognizer_sha256: str, template_length: int = 2) -> ModelPack:
    """As much of a pack as its calibration looks at."""
    hashes = {"recognizer.onnx": recognizer_sha256}
    if calibration is not None:
        hashes[calibration] = hashlib.sha256((folder / calibration).read_bytes()).hexdigest()
    template = ((0.0, 0.0),) * 5
    recognizer = RecognizerSpec(
        file="recognizer.onnx",
        input_size=32,
        colour_order="RGB",
        layout="NCHW",
        mean=(0.0,) * 3,
        scale=(1.0,) * 3,
        alignment_template=template,
        mirrored_average=False,
        template_length=template_length,
        similarity="cosine",
    )
    detector = DetectorSpec("yunet", {}, {}, 20)
    return ModelPack(folder, "test", "1", "none", hashes, detector, recognizer, calibration, None, "0" * 64, "1" * 64)


def test_the_shipped_calibration_belongs_to_the_default_pack(default_pack: ModelPack) -> None:
    found = load_pack_calibration(default_pack)
    assert found is not None
    assert found.threshold_for(0.05, 100) == DEFAULT.threshold_for(0.05, 100)


def test_a_pack_without_a_calibration_has_none(tmp_path: Path) -> None:
    assert load_pack_calibration(pack_with(tmp_path, None, "0" * 64)) is None


def test_a_packs_calibration_is_read(tmp_path: Path) -> None:
    save_calibration(simple_calibration(), tmp_path / "calibration.json")
    found = load_pack_calibration(pack_with(tmp_path, "calibration.json", "0" * 64))
    assert found is not None
    assert found.template_length == 2


def test_a_calibration_of_another_network_is_refused(tmp_path: Path) -> None:
    save_calibration(simple_calibration(), tmp_path / "calibration.json")
    with pytest.raises(ModelPackError, match="another recognition network"):
        load_pack_calibration(pack_with(tmp_path, "calibration.json", "1" * 64))


def test_a_calibration_of_another_template_length_is_refused(tmp_path: Path) -> None:
    save_calibration(simple_calibration(), tmp_path / "calibration.json")
    with pytest.raises(ModelPackError, match="another length"):
        load_pack_calibration(pack_with(tmp_path, "calibration.json", "0" * 64, template_length=3))


def test_an_altered_calibration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(simple_calibration(), path)
    pack = pack_with(tmp_path, "calibration.json", "0" * 64)
    path.write_text(path.read_text().replace("none", "some"))
    with pytest.raises(ModelPackError, match="altered"):
        load_pack_calibration(pack)
