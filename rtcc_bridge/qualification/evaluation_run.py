"""An evaluation of a pack with all that says how it was made, and its form as one JSON object."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Any, Final

import numpy as np

from rtcc_bridge.matching.evaluation import Breakdown, Counts, Evaluation, evaluate
from rtcc_bridge.matching.evaluation_figures import Figure, FpirFigures
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.qualification.templates import TemplatesMade

FORMAT: Final = 1
NOT_MEASURABLE: Final = "not measurable"

_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """What an evaluation is asked to do. source: where the pictures come from, in words."""

    source: str
    on: date
    seed: int
    enrolled_share: float
    photos_per_person: int


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationRun:
    """stage_ms: mean of each stage per picture. template_bytes: of one template as it is stored and searched."""

    plan: Plan
    pack_name: str
    pack_version: str
    networks: Mapping[str, str]
    set_aside: Mapping[str, int]
    stage_ms: Mapping[str, float]
    template_bytes: int
    figures: Evaluation

    @property
    def ms_per_template(self) -> float:
        return sum(self.stage_ms.values())


def run_evaluation(
    pack: ModelPack, made: TemplatesMade, plan: Plan, groups: Mapping[str, Mapping[str, str]]
) -> EvaluationRun:
    """groups: by attribute the value of each person. Blocks. ValueError as `evaluate`."""
    labels = {
        attribute: [values.get(made.people[person], "") for person in made.pictures.people.tolist()]
        for attribute, values in groups.items()
    }
    figures = evaluate(
        made.pictures,
        seed=plan.seed,
        enrolled_share=plan.enrolled_share,
        photos_per_person=plan.photos_per_person,
        groups=labels,
    )
    return EvaluationRun(
        plan=plan,
        pack_name=pack.name,
        pack_version=pack.version,
        networks=networks_of(pack),
        set_aside=made.reasons,
        stage_ms=made.stage_ms,
        template_bytes=_stored_bytes(pack.recognizer.template_length),
        figures=figures,
    )


def networks_of(pack: ModelPack) -> Mapping[str, str]:
    """The sha256 of each network by its part: whose evaluation it is."""
    parts = {f"detector.{part}": file for part, file in pack.detector.files.items()}
    return {part: pack.files[file] for part, file in {**parts, "recognizer": pack.recognizer.file}.items()}


def _stored_bytes(template_length: int) -> int:
    template = np.zeros((1, template_length), np.float32)
    template[0, 0] = 1
    stored = StoredTemplates.of(template)
    return stored.high.nbytes + stored.low.nbytes + stored.scales.nbytes


def as_document(run: EvaluationRun) -> dict[str, Any]:
    """The last line of `rtcc-bridge evaluate --json`, and the file that a pack keeps."""
    figures, plan = run.figures, run.plan
    named = {f"fnir_rank{rank}": figure for rank, figure in figures.ranks.items()}
    named |= {f"fnir_at_fpir_{point.fpir:g}": point.fnir for point in figures.fpirs}
    return {
        "format": FORMAT,
        "pack": run.pack_name,
        "pack_version": run.pack_version,
        "networks": dict(run.networks),
        "source": plan.source,
        "date": plan.on.isoformat(),
        "seed": plan.seed,
        "enrolled_share": _rounded(plan.enrolled_share),
        "photos_per_person": plan.photos_per_person,
        "people": figures.people,
        "pictures": figures.pictures,
        "gallery_people": figures.gallery.people,
        "gallery_templates": figures.gallery.searches,
        "mated": figures.mated.searches,
        "mated_people": figures.mated.people,
        "nonmated": figures.nonmated.searches,
        "nonmated_people": figures.nonmated.people,
        "failure_to_detect": figures.failure_to_detect,
        "not_enrolled": figures.not_enrolled,
        "set_aside": dict(run.set_aside),
        **{name: _value(figure) for name, figure in named.items()},
        "intervals": {name: _interval(figure) for name, figure in named.items() if figure.estimate is not None},
        "not_measurable": {name: figure.why_not for name, figure in named.items() if figure.estimate is None},
        "thresholds": {
            f"{point.fpir:g}": _rounded(point.threshold)
            for point in figures.fpirs
            if point.threshold is not None and isfinite(point.threshold)
        },
        "det": _curve(figures.det),
        "reference_fpir": figures.reference_fpir,
        "quality": [_breakdown(part) for part in figures.quality],
        "groups": {attribute: [_breakdown(part) for part in parts] for attribute, parts in figures.groups.items()},
        "template_bytes": run.template_bytes,
        "ms_per_template": round(run.ms_per_template, 3),
        "ms_per_stage": {stage: round(value, 3) for stage, value in run.stage_ms.items()},
    }


def _value(figure: Figure) -> float | str:
    return NOT_MEASURABLE if figure.estimate is None else _rounded(figure.estimate.value)


def _interval(figure: Figure) -> list[float]:
    assert figure.estimate is not None
    return [_rounded(figure.estimate.low), _rounded(figure.estimate.high)]


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


def _curve(det: FpirFigures | None) -> dict[str, list[float]] | None:
    if det is None:
        return None
    arrays = {"fpir": det.fpir, "fnir": det.fnir, "low": det.low, "high": det.high}
    return {name: [_rounded(value) for value in values.tolist()] for name, values in arrays.items()}


def _breakdown(part: Breakdown) -> dict[str, Any]:
    named = {"fnir_rank1": part.fnir_rank1, "fnir": part.fnir, "fpir": part.fpir}
    return {
        "label": part.label,
        **_counts("mated", part.mated),
        **_counts("nonmated", part.nonmated),
        **{name: _value(figure) for name, figure in named.items()},
        "intervals": {name: _interval(figure) for name, figure in named.items() if figure.estimate is not None},
    }


def _counts(kind: str, counts: Counts | None) -> dict[str, int | None]:
    """None: too few to be shown."""
    return {
        kind: None if counts is None else counts.searches,
        f"{kind}_people": None if counts is None else counts.people,
    }
