"""Holds a calibration against people whom it was not learnt from: is the FPIR that it predicts the one measured?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rtcc_bridge.matching.calibration import Calibration
from rtcc_bridge.matching.evaluation_figures import fpir_problem, share
from rtcc_bridge.matching.evaluation_search import search_split
from rtcc_bridge.matching.evaluation_split import LabelledPictures, split_people
from rtcc_bridge.matching.types import Estimate

TARGETS = (0.3, 0.1, 0.05, 0.03, 0.01)

ENROLLED_SHARES = (0.1, 0.4)
"""Two sizes of gallery, since a calibration has to know what a gallery's size does. With more people enrolled fewer are
left to be searched for in vain."""


@dataclass(frozen=True, slots=True)
class CheckedFpir:
    """One threshold, chosen for a target FPIR and a gallery's size, on people whom the calibration has not seen.

    estimated, measured: each with its 95 % interval; the measured one is by bootstrap over the people searched for.
    """

    gallery_people: int
    target: float
    threshold: float
    searches: int
    estimated: Estimate
    measured: Estimate

    @property
    def promises_too_much(self) -> bool:
        """Strangers are listed more often than the calibration says, and no interval explains it.

        The other way round is no fault: the estimate errs on the safe side where probes differ (see
        `Calibration.estimated_fpir`).
        """
        return self.measured.low > self.estimated.high

    @property
    def errs_on_the_safe_side(self) -> bool:
        return self.measured.high < self.estimated.low


def check_calibration(calibration: Calibration, pictures: LabelledPictures, seed: int) -> tuple[CheckedFpir, ...]:
    """Every target that the sample can support, in galleries of two sizes. Empty when it supports none. Blocks.

    pictures: of people of whom the calibration has seen none. ValueError: fewer than two people.
    """
    generator = np.random.default_rng([seed, 2])
    return tuple(
        checked
        for enrolled_share in ENROLLED_SHARES
        for checked in _check(calibration, pictures, seed, enrolled_share, generator)
    )


def _check(
    calibration: Calibration,
    pictures: LabelledPictures,
    seed: int,
    enrolled_share: float,
    generator: np.random.Generator,
) -> Iterator[CheckedFpir]:
    split = split_people(pictures.people, seed=seed, enrolled_share=enrolled_share, photos_per_person=1)
    searches = search_split(pictures, split)
    nonmated, size = searches.nonmated, searches.gallery_people
    people = len(np.unique(nonmated.people))
    for target in TARGETS:
        if fpir_problem(target, len(nonmated.scores), people):
            continue
        threshold = calibration.threshold_for(target, size)
        yield CheckedFpir(
            gallery_people=size,
            target=target,
            threshold=threshold,
            searches=len(nonmated.scores),
            estimated=calibration.estimated_fpir(threshold, size),
            measured=share(nonmated.scores >= threshold, nonmated.people, generator),
        )
