"""Calibrates a pack on one half of the people at hand and checks it on the other half."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from rtcc_bridge.matching.calibration import Calibration
from rtcc_bridge.matching.calibration_check import CheckedFpir, check_calibration
from rtcc_bridge.matching.calibration_fit import MIN_PEOPLE, TAIL_FRACTION, fit_calibration
from rtcc_bridge.matching.evaluation_split import LabelledPictures
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.types import BoolArray, Estimate
from rtcc_bridge.qualification.templates import TemplatesMade

MOST_PEOPLE: Final = 2000
"""To learn from: memory and time grow with the square, and the tail's interval hardly narrows any more."""


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationRun:
    calibration: Calibration
    checks: tuple[CheckedFpir, ...]

    @property
    def problem(self) -> str:
        """Why it should not be used; empty when it holds."""
        if not self.checks:
            return "the other half of the people is too small to check it on"
        broken = [check for check in self.checks if check.promises_too_much]
        if not broken:
            return ""
        worst = max(broken, key=lambda check: check.measured.low / check.estimated.high)
        return (
            f"in a gallery of {worst.gallery_people:,} people it predicts an FPIR of at most "
            f"{worst.estimated.high:.3f}, and {_shown(worst.measured)} was measured"
        )


def calibrate(pack: ModelPack, made: TemplatesMade, *, source: str, on: date, seed: int) -> CalibrationRun:
    """Fit on a seeded half of the people, check on the others. source: where the pictures come from, in words.

    What is checked is what is written: the second half is not learnt from afterwards. Blocks. ValueError: fewer than
    twice MIN_PEOPLE people.
    """
    pictures = made.pictures
    people = np.unique(pictures.people[pictures.found])
    if len(people) < 2 * MIN_PEOPLE:
        raise ValueError(
            f"{len(people)} people with a usable picture are too few: one half is learnt from and the other is checked "
            f"on, each of at least {MIN_PEOPLE} people"
        )
    shuffled = np.random.default_rng([seed, 3]).permutation(people)
    learnt = shuffled[: min(len(people) // 2, MOST_PEOPLE)]
    to_learn = np.isin(pictures.people, learnt) & pictures.found
    to_check = np.isin(pictures.people, shuffled[len(people) // 2 :])
    calibration = fit_calibration(
        pictures.templates[to_learn],
        pictures.people[to_learn],
        recognizer_sha256=pack.files[pack.recognizer.file],
        provenance={
            "people and pictures": f"{len(learnt)} people, {int(to_learn.sum())} pictures: {source}",
            "selection": "one half of the people with a usable picture, by the seed; the other half was kept to check "
            "on. No comparison was left out",
            "face": "the one nearest to the picture's middle; no quality gate",
            "comparison": "each picture with the best photo of each other person; people count alike",
            "tail": f"fitted above the score that {TAIL_FRACTION:.1%} of comparisons reach; rates far below one in "
            f"{len(learnt) * (len(learnt) - 1) // 2}, the pairs of people, are extrapolated",
            "pack": f"{pack.name} {pack.version}",
            "seed": str(seed),
            "date": on.isoformat(),
        },
        seed=seed,
        quality=pictures.quality[to_learn],
    )
    return CalibrationRun(calibration, check_calibration(calibration, only(pictures, to_check), seed))


def only(pictures: LabelledPictures, rows: BoolArray) -> LabelledPictures:
    return LabelledPictures(
        pictures.people[rows], pictures.found[rows], pictures.templates[rows], pictures.quality[rows]
    )


def check_lines(run: CalibrationRun) -> Iterator[str]:
    """The check as a table for the terminal."""
    yield "predicted and measured on people whom the calibration has not seen (95 % intervals):"
    yield "  gallery  target  threshold  predicted FPIR              measured FPIR               searches"
    for check in run.checks:
        remark = "promises too much" if check.promises_too_much else ""
        remark = "errs on the safe side" if check.errs_on_the_safe_side else remark
        counts = f"  {check.gallery_people:7,}  {check.target:6.2f}  {check.threshold:9.4f}"
        figures = f"{_shown(check.estimated):<26}  {_shown(check.measured):<26}"
        yield f"{counts}  {figures}  {check.searches:8,}  {remark}".rstrip()
    bands = ", ".join(run.calibration.bands) or "none"
    yield f"quality bands with scores of their own (at least {MIN_PEOPLE} people each): {bands}"


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
