"""A whole evaluation, from labelled templates to the figures that are reported."""

import numpy as np
import pytest

from rtcc_bridge.matching.evaluation import MIN_PEOPLE_SHOWN, NO_FACE, Evaluation, evaluate
from rtcc_bridge.matching.evaluation_split import LabelledPictures
from rtcc_bridge.matching.quality_bands import BAND_NAMES, band_of, bands_of
from tests.unit.matching.search_cases import normalised

LENGTH = 32


def people_with_pictures(people: int, pictures: int, noise: float, seed: int = 3) -> LabelledPictures:
    """People in random directions, each picture off by some noise."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((people, LENGTH))
    labels = np.repeat(np.arange(people), pictures)
    templates = centres[labels] + noise * generator.standard_normal((len(labels), LENGTH))
    quality = generator.integers(0, 101, len(labels))
    return LabelledPictures(labels, np.ones(len(labels), np.bool_), normalised(templates.astype(np.float32)), quality)


def lost(pictures: LabelledPictures, rows: list[int]) -> LabelledPictures:
    found = pictures.found.copy()
    found[rows] = False
    return LabelledPictures(pictures.people, found, pictures.templates, pictures.quality)


def values(evaluation: Evaluation) -> list[float]:
    figures = [*evaluation.ranks.values(), *(point.fnir for point in evaluation.fpirs)]
    return [figure.estimate.value for figure in figures if figure.estimate is not None]


def test_the_counts_and_figures_of_people_whom_nothing_confuses() -> None:
    evaluation = evaluate(people_with_pictures(300, 2, 0.01), seed=1)
    assert (evaluation.people, evaluation.pictures, evaluation.failure_to_detect) == (300, 600, 0)
    assert (evaluation.gallery.people, evaluation.mated.searches, evaluation.nonmated.searches) == (100, 100, 400)
    assert (evaluation.mated.people, evaluation.nonmated.people) == (100, 200)
    assert all(figure.estimate is not None and figure.estimate.value == 0 for figure in evaluation.ranks.values())
    # 400 searches of 200 people support an FPIR of .03 (334 of 100), not one of .01 (1,000 of 300).
    assert [point.fnir.estimate is not None for point in evaluation.fpirs] == [True, True, False, False]
    assert evaluation.reference_fpir == 0.03
    assert "1,000 non-mated searches" in evaluation.fpirs[2].fnir.why_not
    assert evaluation.det is not None
    assert (np.diff(evaluation.det.fnir) <= 0).all()


def test_harder_pictures_give_worse_figures() -> None:
    easy, hard = (values(evaluate(people_with_pictures(300, 2, noise), seed=1)) for noise in (0.3, 1.0))
    assert all(worse >= better for worse, better in zip(hard, easy, strict=True))
    assert hard[0] > easy[0]
    assert hard[-1] > easy[-1]


def test_the_seed_decides_and_nothing_else() -> None:
    pictures = people_with_pictures(200, 2, 0.8)
    first, again, other = (evaluate(pictures, seed=seed) for seed in (4, 4, 5))
    assert (first.ranks, first.fpirs, first.quality) == (again.ranks, again.fpirs, again.quality)
    assert first.fpirs != other.fpirs


def test_a_face_that_is_not_found_is_a_miss() -> None:
    """Every second picture lost: half of the mated searches fail outright, and half of the rest for want of a mate."""
    pictures = people_with_pictures(400, 2, 0.01)
    every_other = np.random.default_rng(1).permutation(800)[:400].tolist()
    evaluation = evaluate(lost(pictures, every_other), seed=1)
    assert evaluation.failure_to_detect == 400
    assert evaluation.not_enrolled + evaluation.gallery.people == 133
    first = evaluation.ranks[1].estimate
    assert first is not None
    assert first.value == pytest.approx(0.75, abs=0.1)
    assert evaluation.ranks[50].estimate == first or evaluation.ranks[50].estimate is not None


def test_more_photos_of_each_person_make_fewer_misses() -> None:
    pictures = people_with_pictures(200, 5, 1.3)
    one, three = (evaluate(pictures, seed=2, photos_per_person=photos) for photos in (1, 3))
    assert three.gallery.searches == 3 * one.gallery.searches
    assert values(three)[0] < values(one)[0]


def test_figures_by_quality_add_up_to_all_of_them() -> None:
    evaluation = evaluate(lost(people_with_pictures(600, 2, 0.8), list(range(0, 1200, 5))), seed=1)
    assert [part.label for part in evaluation.quality] == [*BAND_NAMES, NO_FACE]
    counts = [(part.mated, part.nonmated) for part in evaluation.quality]
    assert sum(mine.searches for mine, _ in counts if mine) == evaluation.mated.searches
    assert sum(others.searches for _, others in counts if others) == evaluation.nonmated.searches
    by_count = [
        part.fnir_rank1.estimate.value * part.mated.searches
        for part in evaluation.quality
        if part.fnir_rank1.estimate is not None and part.mated is not None
    ]
    whole = evaluation.ranks[1].estimate
    assert whole is not None
    assert sum(by_count) == pytest.approx(whole.value * evaluation.mated.searches)
    without_a_face = evaluation.quality[-1]
    assert without_a_face.fnir_rank1.estimate is not None
    assert without_a_face.fpir.estimate is not None
    assert (without_a_face.fnir_rank1.estimate.value, without_a_face.fpir.estimate.value) == (1, 0)


def test_a_group_that_the_model_confuses_stands_out_and_a_small_one_is_not_shown() -> None:
    """Group b is pulled towards one direction: its strangers look like its enrolled people."""
    pictures = people_with_pictures(600, 2, 0.5)
    drawn_in = pictures.people % 2 == 1
    templates = pictures.templates.copy()
    templates[drawn_in] += np.float32(0.25)
    pulled = LabelledPictures(pictures.people, pictures.found, normalised(templates), pictures.quality)
    few = pictures.people < MIN_PEOPLE_SHOWN
    labels = np.where(few, "few", np.where(drawn_in, "b", "a")).tolist()
    evaluation = evaluate(pulled, seed=1, groups={"origin": labels})
    a, b, rare = evaluation.groups["origin"]
    assert (a.label, b.label, rare.label) == ("a", "b", "few")
    assert a.fpir.estimate is not None
    assert b.fpir.estimate is not None
    assert b.fpir.estimate.low > a.fpir.estimate.high
    assert rare.mated is None
    assert rare.nonmated is None
    assert "fewer than 20 people" in rare.fpir.why_not


def test_pictures_without_a_value_are_in_no_group() -> None:
    pictures = people_with_pictures(100, 2, 0.5)
    labels = ["" if person < 50 else "a" for person in pictures.people.tolist()]
    (only,) = evaluate(pictures, seed=1, groups={"source": labels}).groups["source"]
    assert only.label == "a"
    with pytest.raises(ValueError, match="source has 3 values for 200 pictures"):
        evaluate(pictures, seed=1, groups={"source": ["a"] * 3})


def test_a_handful_of_people_is_measured_as_far_as_it_goes() -> None:
    evaluation = evaluate(people_with_pictures(6, 2, 0.1), seed=1)
    assert evaluation.reference_fpir is None
    assert evaluation.det is None
    assert all(point.fnir.estimate is None for point in evaluation.fpirs)
    assert evaluation.ranks[1].estimate is not None
    assert evaluation.ranks[5].why_not


def test_quality_bands_cover_the_whole_scale() -> None:
    scores = [0, 24, 25, 49, 50, 74, 75, 100]
    assert bands_of(np.array(scores)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [band_of(score) for score in scores] == [BAND_NAMES[place] for place in (0, 0, 1, 1, 2, 2, 3, 3)]
