"""How alike strangers look to a model: the false match rate (FMR) of a similarity score, and its inverse."""

import math
from dataclasses import dataclass

import numpy as np

from rtcc_bridge.matching.types import Estimate, Float64Array

INTERVAL_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True, eq=False)
class ImpostorBody:
    """The measured part: for each of the rising `scores` the share of impostor comparisons that reach it.

    All float64 (P,). fmr, low and high fall from 1 at the first score, at or below which every comparison scored, to
    the tail's FMR at the last score, where the tail begins. low and high: 95 % interval.
    """

    scores: Float64Array
    fmr: Float64Array
    low: Float64Array
    high: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class ImpostorTail:
    """The fitted part: above `score`, FMR(t) = fmr * ((1 - t) / (1 - score)) ** shape.

    This is the generalised Pareto tail (J. Pickands, Statistical inference using extreme order statistics, Annals of
    Statistics 3(1), 1975) whose end point is held at 1, the largest score that two templates can have. Left free, the
    end point comes out between the largest score in the sample and 1: a threshold beyond it would promise that no
    stranger ever scores as high, which no few hundred people can show. Held at 1 the tail is the heavier of the two,
    and `shape` is the rate at which neighbours grow rarer with their distance (M. Hill, A simple general approach to
    inference about the tail of a distribution, Annals of Statistics 3(5), 1975, applied to 1 / (1 - t)).

    draws: float64 (B, 2), fmr and shape fitted again to B samples of the people drawn with replacement. People are
    drawn, not comparisons: those that share a person are not independent, and one person whom the model confuses with
    many makes most of a tail's comparisons.
    """

    score: float
    fmr: float
    shape: float
    draws: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class ImpostorModel:
    """The share of strangers who score at least t: one comparison is one picture with the best photo of one person."""

    body: ImpostorBody
    tail: ImpostorTail

    def false_match_rate(self, threshold: float) -> Estimate:
        """The FMR at a threshold with its 95 % interval. ValueError when the threshold is not a number."""
        if math.isnan(threshold):
            raise ValueError("the threshold is not a number")
        if threshold < self.tail.score:
            return self._measured(threshold)
        factor = max(0.0, 1 - threshold) / (1 - self.tail.score)
        rates = self.tail.draws[:, 0] * factor ** self.tail.draws[:, 1]
        low, high = np.percentile(rates, INTERVAL_PERCENTILES)
        return Estimate(self.tail.fmr * factor**self.tail.shape, float(low), float(high))

    def threshold_for(self, false_match_rate: float) -> float:
        """The score that this share (above 0, at most 1) of strangers reaches: the inverse of `false_match_rate`."""
        if not 0 < false_match_rate <= 1:
            raise ValueError(f"a false match rate lies above 0 and at most at 1, not {false_match_rate}")
        if false_match_rate < self.tail.fmr:
            distance = (false_match_rate / self.tail.fmr) ** (1 / self.tail.shape)
            return float(1 - (1 - self.tail.score) * distance)
        rising = np.log(self.body.fmr[::-1])
        return float(np.interp(math.log(false_match_rate), rising, self.body.scores[::-1]))

    def _measured(self, threshold: float) -> Estimate:
        """Between measured scores the logarithm of the rate is taken to be straight."""
        value, low, high = (
            float(np.exp(np.interp(threshold, self.body.scores, np.log(rates))))
            for rates in (self.body.fmr, self.body.low, self.body.high)
        )
        return Estimate(value, low, high)
