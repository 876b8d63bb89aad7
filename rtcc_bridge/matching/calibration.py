"""What a pack's scores mean: the FPIR of a threshold at a gallery's size, and stand-ins for strangers."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.impostors import ImpostorBody, ImpostorModel, ImpostorTail
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pack_fields import Fields, parse_json
from rtcc_bridge.matching.quality_bands import BAND_NAMES, BAND_STARTS, band_of
from rtcc_bridge.matching.types import Estimate, Float32Array, Float64Array

_FORMAT = 2
_MAX_BYTES = 200_000_000
_MAX_POINTS = 10_000
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What was learnt about a recogniser from pictures of people of whom none is another.

    recognizer_sha256: of the network's file; the scores of another network mean something else.
    mean: float64 (D,), covariance: float64 (D, D), of the templates of the calibration's pictures.
    provenance: what it was learnt from and how, in words, by heading.
    impostors: how alike strangers score, whatever the probe's quality. bands: the same for probes of one quality band,
    by its name, as far as there were enough people with such pictures.
    """

    recognizer_sha256: str
    provenance: Mapping[str, str]
    mean: Float64Array
    covariance: Float64Array
    impostors: ImpostorModel
    bands: Mapping[str, ImpostorModel]

    @property
    def template_length(self) -> int:
        return len(self.mean)

    def estimated_fpir(self, threshold: float, gallery_size: int, quality: int | None = None) -> Estimate:
        """The chance that a search for somebody who is not enrolled lists anyone at all, with its 95 % interval.

        gallery_size: people, not photos. quality: the probe's unified score, for the estimate of probes like it; all
        probes when it is not given, or when there were too few like it to learn from. FPIR = 1 - (1 - FMR)^N, with the
        FMR averaged over probes. That errs on the safe side: were every comparison independent it would be exact;
        really some probes resemble many people and most resemble none, and since (1 - x)^N is convex, Jensen's
        inequality gives mean of 1 - (1 - FMR of the probe)^N <= 1 - (1 - mean FMR)^N. The interval is that of the FMR.
        It knows nothing of what differs between the calibration's pictures and a site's own (camera, age and origin of
        the people, one photo per person or ten): an agency calibrates on its own pictures.
        ValueError: the threshold is not a number or the size is negative.
        """
        if gallery_size < 0:
            raise ValueError(f"a gallery cannot hold {gallery_size} people")
        rate = self._impostors_for(quality).false_match_rate(threshold)
        value, low, high = (_any_of(gallery_size, one) for one in (rate.value, rate.low, rate.high))
        return Estimate(value, low, high)

    def estimated_fpir_by_band(self, threshold: float, gallery_size: int) -> dict[str, Estimate]:
        """As `estimated_fpir`, for each quality band that has scores of its own."""
        starts = dict(zip(BAND_NAMES, BAND_STARTS, strict=True))
        return {name: self.estimated_fpir(threshold, gallery_size, starts[name]) for name in self.bands}

    def _impostors_for(self, quality: int | None) -> ImpostorModel:
        if quality is None:
            return self.impostors
        return self.bands.get(band_of(quality), self.impostors)

    def threshold_for(self, target_fpir: float, gallery_size: int) -> float:
        """The lowest score at which the estimated FPIR is the target (between 0 and 1) for so many people.

        An empty gallery gets the threshold of a gallery of one. ValueError: the target or the size is out of range.
        """
        if not 0 < target_fpir < 1:
            raise ValueError(f"a target FPIR lies between 0 and 1, not at {target_fpir}")
        if gallery_size < 0:
            raise ValueError(f"a gallery cannot hold {gallery_size} people")
        # 1 - (1 - target)^(1/N), without losing the digits of a small rate.
        return self.impostors.threshold_for(-math.expm1(math.log1p(-target_fpir) / max(gallery_size, 1)))

    def filler_templates(self, count: int, seed: int) -> Float32Array:
        """Templates of people who do not exist: float32 (count, D), normalised, for a demonstration's gallery.

        Drawn from the normal distribution with the calibration's mean and covariance, then normalised. They crowd the
        space as real strangers do in the bulk; look-alikes, the heavy tail of real people, are not among them, so a
        threshold must never be learnt from them. The same seed gives the same templates up to rounding.
        """
        generator = np.random.default_rng(seed)
        values, vectors = np.linalg.eigh(self.covariance)
        spread = vectors * np.sqrt(np.maximum(values, 0))
        templates = np.empty((count, self.template_length), np.float32)
        for start in range(0, count, _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, count - start)
            drawn = self.mean + generator.standard_normal((rows, self.template_length)) @ spread.T
            templates[start : start + rows] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return templates


def _any_of(count: int, rate: float) -> float:
    """The chance that at least one of `count` independent events of this rate happens."""
    if rate >= 1:
        return 1.0 if count else 0.0
    return -math.expm1(count * math.log1p(-rate))


def load_calibration(path: Path) -> Calibration:
    """Read a calibration file strictly. Blocks. ModelPackError names the file, the field and the remedy."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelPackError(f"{path} is larger than {_MAX_BYTES} bytes: it is not a calibration")
        return _parse(path, path.read_bytes())
    except OSError as error:
        raise ModelPackError(f"{path} cannot be read: {error.strerror}; calibrate the pack or give its path") from error


def load_pack_calibration(pack: ModelPack) -> Calibration | None:
    """The calibration that a pack brings along, None when it has none. Blocks.

    ModelPackError: the file is altered, or was made with another recognition network than the pack's.
    """
    if pack.calibration is None:
        return None
    path = pack.folder / pack.calibration
    calibration = _parse(path, pack.read(pack.calibration))
    if calibration.recognizer_sha256 != pack.files[pack.recognizer.file]:
        raise ModelPackError(
            f"{path} was made with another recognition network than {pack.recognizer.file}: calibrate anew"
        )
    if calibration.template_length != pack.recognizer.template_length:
        raise ModelPackError(f"{path} is for templates of another length than the pack's: calibrate anew")
    return calibration


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write the file that `load_calibration` reads; nine digits each, which is all that float32 knows. Blocks."""
    below = np.tril_indices(calibration.template_length)
    document = {
        "format": _FORMAT,
        "recognizer_sha256": calibration.recognizer_sha256,
        "provenance": dict(calibration.provenance),
        "template_length": calibration.template_length,
        "mean": _digits(calibration.mean),
        "covariance_lower": _digits(calibration.covariance[below]),
        "impostors": _impostors_document(calibration.impostors),
        "bands": {
            name: _impostors_document(calibration.bands[name]) if name in calibration.bands else None
            for name in BAND_NAMES
        },
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _impostors_document(model: ImpostorModel) -> dict[str, Any]:
    return {
        "points": len(model.body.scores),
        "scores": _digits(model.body.scores),
        "fmr": _digits(model.body.fmr),
        "fmr_low": _digits(model.body.low),
        "fmr_high": _digits(model.body.high),
        "tail_score": model.tail.score,
        "tail_fmr": model.tail.fmr,
        "tail_shape": model.tail.shape,
        "draws": len(model.tail.draws),
        "draws_fmr": _digits(model.tail.draws[:, 0]),
        "draws_shape": _digits(model.tail.draws[:, 1]),
    }


def _digits(values: Float64Array) -> list[float]:
    return [float(f"{value:.9g}") for value in values]


def _parse(path: Path, data: bytes) -> Calibration:
    fields = Fields(path, parse_json(path, data))
    fields.whole_number("format", _FORMAT, _FORMAT)
    length = fields.whole_number("template_length", 1, 4096)
    calibration = Calibration(
        recognizer_sha256=fields.text("recognizer_sha256"),
        provenance=fields.texts_by_name("provenance"),
        mean=np.array(fields.numbers("mean", length)),
        covariance=_symmetric(np.array(fields.numbers("covariance_lower", length * (length + 1) // 2)), length),
        impostors=_parse_impostors(fields.section("impostors")),
        bands=_parse_bands(fields.section("bands")),
    )
    fields.end()
    return calibration


def _parse_bands(fields: Fields) -> dict[str, ImpostorModel]:
    sections = {name: fields.optional_section(name) for name in BAND_NAMES}
    fields.end()
    return {name: _parse_impostors(section) for name, section in sections.items() if section is not None}


def _symmetric(lower: Float64Array, length: int) -> Float64Array:
    full = np.zeros((length, length))
    full[np.tril_indices(length)] = lower
    return full + np.tril(full, -1).T


def _parse_impostors(fields: Fields) -> ImpostorModel:
    points = fields.whole_number("points", 2, _MAX_POINTS)
    scores, fmr, low, high = (
        np.array(fields.numbers(name, points)) for name in ("scores", "fmr", "fmr_low", "fmr_high")
    )
    tail_score, tail_fmr, tail_shape = (fields.number(name) for name in ("tail_score", "tail_fmr", "tail_shape"))
    draws = fields.whole_number("draws", 1, _MAX_POINTS)
    drawn = np.column_stack([fields.numbers("draws_fmr", draws), fields.numbers("draws_shape", draws)])
    fields.end()
    falling = all(
        (np.diff(rates) <= 0).all() and (rates > 0).all() and (rates <= 1).all() for rates in (fmr, low, high)
    )
    if not falling or (np.diff(scores) <= 0).any() or fmr[0] != 1:
        fields.fail(f"{fields.name}: scores have to rise, and rates to fall from 1 and to stay above 0")
    if not math.isclose(tail_fmr, fmr[-1], rel_tol=1e-6) or not math.isclose(tail_score, scores[-1], rel_tol=1e-6):
        fields.fail(f"{fields.name}: the tail has to begin where the measured rates end")
    if tail_score >= 1 or tail_shape <= 0 or (drawn <= 0).any() or (drawn[:, 0] > 1).any():
        fields.fail(f"{fields.name}: the tail has to begin below 1 and its rates and shapes to be above 0")
    return ImpostorModel(ImpostorBody(scores, fmr, low, high), ImpostorTail(tail_score, tail_fmr, tail_shape, drawn))
