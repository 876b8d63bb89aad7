"""Learns a calibration from the templates of labelled people."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rtcc_bridge.matching.calibration import Calibration
from rtcc_bridge.matching.impostors import INTERVAL_PERCENTILES, ImpostorBody, ImpostorModel, ImpostorTail
from rtcc_bridge.matching.quality_bands import BAND_NAMES, bands_of
from rtcc_bridge.matching.stored_templates import check_templates
from rtcc_bridge.matching.types import BoolArray, Float32Array, Float64Array, Int64Array

TAIL_FRACTION = 0.003
"""The share of impostor comparisons that the tail is fitted to: deep enough for the tail's law, and still some hundred
comparisons of several hundred people. Fixed beforehand, not chosen by the outcome."""

MIN_PEOPLE = 100
"""With fewer people the tail would rest on a handful of comparisons."""

BOOTSTRAP_DRAWS = 200

_BODY_POINTS = 48


@dataclass(frozen=True, slots=True, eq=False)
class _Comparisons:
    """Every picture against the best photo of every other person, best first. All arrays (C,).

    probes: the row of the picture. weights: each person counts the same as a probe, however many pictures of them there
    are; they add up to 1.
    """

    scores: Float64Array
    probes: Int64Array
    probe_people: Int64Array
    gallery_people: Int64Array
    weights: Float64Array

    def of(self, probes: BoolArray) -> "_Comparisons":
        """Those with one of these pictures (n,) as the probe; again each person with such pictures counts the same."""
        kept = probes[self.probes]
        own = self.probe_people[kept]
        shares = 1 / np.bincount(own)[own]
        return _Comparisons(self.scores[kept], self.probes[kept], own, self.gallery_people[kept], shares / shares.sum())

    def reaching(self, score: float) -> slice:
        return slice(0, int(np.searchsorted(-self.scores, -score, side="right")))


def fit_calibration(
    templates: Float32Array,
    people: Int64Array,
    *,
    recognizer_sha256: str,
    provenance: Mapping[str, str],
    seed: int,
    quality: Int64Array | None = None,
) -> Calibration:
    """Fit mean, covariance and impostor scores. templates: float32 (n, D); people: int64 (n,), who each one shows.

    quality: int64 (n,), the unified scores; quality bands with pictures of at least MIN_PEOPLE people get impostor
    scores of their own. Without it there are none.
    Memory and time grow with n times the number of people. Blocks: a second for 800 pictures of 400 people.
    ValueError: fewer than MIN_PEOPLE people. TemplateError: templates that are none.
    """
    check_templates(templates)
    _, labels = np.unique(people, return_inverse=True)
    count = int(labels.max(initial=-1)) + 1
    if count < MIN_PEOPLE:
        raise ValueError(f"{count} people are too few to calibrate on: at least {MIN_PEOPLE} are needed")
    comparisons = _compare(templates, labels.astype(np.int64), count)
    generator = np.random.default_rng(seed)
    impostors = _fit_impostors(comparisons, count, generator)
    return Calibration(
        recognizer_sha256=recognizer_sha256,
        provenance=provenance,
        mean=templates.mean(axis=0, dtype=np.float64),
        covariance=np.cov(templates.astype(np.float64), rowvar=False),
        impostors=impostors,
        bands={} if quality is None else _fit_bands(comparisons, count, bands_of(quality), generator),
    )


def _fit_bands(
    comparisons: _Comparisons, count: int, bands: Int64Array, generator: np.random.Generator
) -> dict[str, ImpostorModel]:
    found = {name: comparisons.of(bands == place) for place, name in enumerate(BAND_NAMES)}
    return {
        name: _fit_impostors(part, count, generator)
        for name, part in found.items()
        if len(np.unique(part.probe_people)) >= MIN_PEOPLE
    }


def _compare(templates: Float32Array, labels: Int64Array, count: int) -> _Comparisons:
    scores = templates.astype(np.float64) @ templates.astype(np.float64).T
    best = np.stack([scores[:, labels == person].max(axis=1) for person in range(count)], axis=1)
    probe, other = np.nonzero(labels[:, None] != np.arange(count))
    values = best[probe, other]
    order = np.argsort(-values, kind="stable")
    pictures = np.bincount(labels)
    weights = 1 / (pictures[labels[probe]] * count * (count - 1))
    return _Comparisons(
        values[order],
        probe[order].astype(np.int64),
        labels[probe][order],
        other[order].astype(np.int64),
        weights[order],
    )


def _fit_impostors(comparisons: _Comparisons, count: int, generator: np.random.Generator) -> ImpostorModel:
    reached = np.cumsum(comparisons.weights)
    rates = np.geomspace(1, TAIL_FRACTION, _BODY_POINTS)
    found = comparisons.scores[np.minimum(np.searchsorted(reached, rates), len(reached) - 1)]
    scores = np.unique(np.append(found, comparisons.scores[-1]))
    fmr = _rates(comparisons, comparisons.weights, scores)
    draws = [_draw(comparisons, count, scores, generator) for _ in range(BOOTSTRAP_DRAWS)]
    low, high = np.percentile([drawn_rates for drawn_rates, _ in draws], INTERVAL_PERCENTILES, axis=0)
    tail = ImpostorTail(
        score=float(scores[-1]),
        fmr=float(fmr[-1]),
        shape=_tail_shape(comparisons, comparisons.weights, float(scores[-1])),
        draws=np.array([(drawn_rates[-1], shape) for drawn_rates, shape in draws]),
    )
    return ImpostorModel(ImpostorBody(scores, fmr, low, high), tail)


def _draw(
    comparisons: _Comparisons, count: int, scores: Float64Array, generator: np.random.Generator
) -> tuple[Float64Array, float]:
    """Rates at `scores` and the tail's shape for people drawn with replacement."""
    times = np.bincount(generator.integers(0, count, count), minlength=count)
    weights = comparisons.weights * times[comparisons.probe_people] * times[comparisons.gallery_people]
    weights /= weights.sum()
    return _rates(comparisons, weights, scores), _tail_shape(comparisons, weights, float(scores[-1]))


def _rates(comparisons: _Comparisons, weights: Float64Array, scores: Float64Array) -> Float64Array:
    """The weight of the comparisons that reach each score, as a share of all; exactly 1 where all do."""
    reached = np.concatenate([[0.0], np.cumsum(weights)])
    counts = np.searchsorted(-comparisons.scores, -scores, side="right")
    return np.asarray(reached[counts] / reached[-1])


def _tail_shape(comparisons: _Comparisons, weights: Float64Array, score: float) -> float:
    """Maximum likelihood: one over the mean of log((1 - score) / (1 - s)) over the scores s of the tail."""
    tail = comparisons.reaching(score)
    nearer = np.log((1 - score) / np.maximum(1 - comparisons.scores[tail], np.finfo(np.float64).tiny))
    return float(weights[tail].sum() / (weights[tail] * nearer).sum())
