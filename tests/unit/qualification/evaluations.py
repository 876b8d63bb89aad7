"""An evaluation run as the tests of its forms need it: real figures of made-up templates."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from rtcc_bridge.matching.evaluation import evaluate
from rtcc_bridge.matching.evaluation_split import LabelledPictures
from rtcc_bridge.qualification.evaluation_run import EvaluationRun, Plan
from tests.unit.matching.search_cases import normalised

EVALUATED_ON = date(2026, 3, 1)


def labelled(people: int, pictures: int = 2, noise: float = 0.6, seed: int = 1) -> LabelledPictures:
    """People in random directions, each picture off by some noise."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), pictures)
    templates = generator.standard_normal((people, 32))[labels] + noise * generator.standard_normal((len(labels), 32))
    quality = generator.integers(0, 101, len(labels))
    return LabelledPictures(labels, np.ones(len(labels), np.bool_), normalised(templates.astype(np.float32)), quality)


def evaluation_run(
    people: int, *, noise: float = 0.6, groups: Sequence[str] = (), on: date = EVALUATED_ON, source: str = "made up"
) -> EvaluationRun:
    """groups: people belong to these in turn."""
    pictures = labelled(people, noise=noise)
    values = [groups[person % len(groups)] for person in pictures.people.tolist()] if groups else []
    return EvaluationRun(
        plan=Plan(source, on, 1, 1 / 3, 1),
        pack_name="agency",
        pack_version="7",
        networks={"detector.detector": "a" * 64, "recognizer": "b" * 64},
        set_aside={"no face was found": 3},
        stage_ms={"decode": 2.0, "detect": 30.0, "embed": 9.5},
        template_bytes=128,
        figures=evaluate(pictures, seed=1, groups={"unit": values} if groups else {}),
    )
