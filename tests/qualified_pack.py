"""An agency's pack on its last steps to a live gallery: what its scores mean, what it showed, who vouches for it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.calibration import save_calibration
from rtcc_bridge.matching.calibration_fit import MIN_PEOPLE, fit_calibration
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.qualification.evaluation_run import as_document, networks_of
from rtcc_bridge.qualification.pack_files import put_into_pack
from rtcc_bridge.qualification.signature import sign_pack
from tests.integration.labelled_faces import LabelledTemplates
from tests.signing_keys import key_pair
from tests.unit.qualification.evaluations import evaluation_run

CALIBRATED_ON = MIN_PEOPLE + 20

LIMITS = """
evaluation:
  max_fnir_rank20: 0.5
  max_group_fnir_rank1: 0.5
  max_group_fpir: 0.5
"""
"""For a policy file; the evaluation of `qualified` keeps to them."""


def write_calibration(pack: ModelPack, test_data: Path, file: Path) -> Path:
    """Learnt as an agency would: from pictures of people of whom none is another. Takes seconds."""
    alone = [folder for folder in sorted((test_data / "faces").iterdir()) if len(list(folder.iterdir())) == 1]
    pictures = [next(folder.iterdir()) for folder in alone[:CALIBRATED_ON]]
    templates, _ = LabelledTemplates(pack).of(pictures)
    fitted = fit_calibration(
        np.stack(list(templates.values())),
        np.arange(len(templates)),
        recognizer_sha256=pack.files[pack.recognizer.file],
        provenance={"people and pictures": "a test's"},
        seed=1,
    )
    save_calibration(fitted, file)
    return file


def qualified(pack: ModelPack, keys: Path) -> Path:
    """Gives a calibrated pack an evaluation of today and a signature; returns the public key that vouches for it.

    The figures are those of made-up templates: `tests/e2e/test_qualification.py` comes by them as an agency does.
    """
    pair = key_pair(keys)
    document = as_document(evaluation_run(300, noise=0.4, on=datetime.now(UTC).date()))
    document = {**document, "networks": dict(networks_of(pack))}
    sign_pack(put_into_pack(pack, "evaluation", lambda file: _write(file, json.dumps(document))), pair.private)
    return pair.public


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
