"""An agency's own pack: YuNet and MobileFaceNet, described by nothing but a pack.json, load and rank."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.modelpacks.add_pack import add_pack
from tests.integration.labelled_faces import LabelledTemplates, read_pairs

_DETECTOR = "face_detection_yunet_2026may.onnx"
_RECOGNIZER = "mobilefacenet_kenneth_128d.onnx"


@pytest.fixture(scope="module")
def second_pack(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    source = tmp_path_factory.mktemp("agency")
    for name in (_DETECTOR, _RECOGNIZER):
        shutil.copyfile(test_data / "models" / name, source / name)
    description = {
        "format": 1,
        "name": "agency-test",
        "version": "1",
        "licence": "a stand-in for tests",
        "files": {name: hashlib.sha256((source / name).read_bytes()).hexdigest() for name in (_DETECTOR, _RECOGNIZER)},
        "detector": {
            "kind": "yunet",
            "files": {"detector": _DETECTOR},
            "thresholds": {"face": 0.6},
            "min_face_px": 20,
        },
        "recognizer": {
            "file": _RECOGNIZER,
            "input_size": 112,
            "colour_order": "RGB",
            "layout": "NCHW",
            "mean": [127.5, 127.5, 127.5],
            "scale": [1 / 127.5, 1 / 127.5, 1 / 127.5],
            "alignment_template": [
                [38.2946, 51.6963],
                [73.5318, 51.5014],
                [56.0252, 71.7366],
                [41.5493, 92.3655],
                [70.7299, 92.2041],
            ],
            "mirrored_average": False,
            "template_length": 128,
            "similarity": "cosine",
        },
        "calibration": None,
        "evaluation": None,
    }
    (source / "pack.json").write_text(json.dumps(description))
    return load_pack(add_pack(source, tmp_path_factory.mktemp("packs")))


def test_the_same_person_outranks_others(second_pack: ModelPack, test_data: Path) -> None:
    """50 genuine and 50 impostor pairs: nine in ten genuine scores lie above every impostor's."""
    pairs = read_pairs(test_data)
    chosen = [
        *[pair for pair in pairs if pair.same][::22][:50],
        *[pair for pair in pairs if not pair.same][::60][:50],
    ]
    paths = sorted({path for pair in chosen for path in (pair.first, pair.second)})
    templates, missed = LabelledTemplates(second_pack).of(paths)
    assert not missed
    scores = np.array([float(templates[pair.first] @ templates[pair.second]) for pair in chosen])
    same = np.array([pair.same for pair in chosen])
    assert (scores[same] > scores[~same].max()).mean() > 0.9


def test_the_packs_differ_in_name_and_hash(second_pack: ModelPack, default_pack: ModelPack) -> None:
    assert second_pack.name == "agency-test"
    assert second_pack.pack_hash != default_pack.pack_hash
