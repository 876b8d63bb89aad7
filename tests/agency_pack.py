"""Model packs as they would come from an agency: files and a pack.json."""

import hashlib
import json
import shutil
from pathlib import Path

from rtcc_bridge.matching.modelpack import PACK_FILE, ModelPack, load_pack

AGENCY_PACK = "agency-test"
DETECTOR = "face_detection_yunet_2026may.onnx"
RECOGNIZER = "mobilefacenet_kenneth_128d.onnx"


def write_agency_pack(folder: Path, models: Path, calibration: Path | None = None) -> Path:
    """YuNet and MobileFaceNet, whose networks lie in `models`, as a pack in the folder; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [models / DETECTOR, models / RECOGNIZER, *([calibration] if calibration else [])]
    for file in files:
        shutil.copyfile(file, folder / file.name)
    description = {
        "format": 1,
        "name": AGENCY_PACK,
        "version": "1",
        "licence": "a stand-in for tests",
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "detector": {
            "kind": "yunet",
            "files": {"detector": DETECTOR},
            "thresholds": {"face": 0.6},
            "min_face_px": 20,
        },
        "recognizer": {
            "file": RECOGNIZER,
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
        "calibration": calibration.name if calibration else None,
        "evaluation": None,
    }
    (folder / PACK_FILE).write_text(json.dumps(description))
    return folder


def write_pack_for_faces_of(min_face_px: int, pack: ModelPack, folder: Path) -> ModelPack:
    """The same pack, put into the folder with a smallest face of its own."""
    shutil.copytree(pack.folder, folder)
    description = json.loads((folder / PACK_FILE).read_text())
    description["detector"]["min_face_px"] = min_face_px
    (folder / PACK_FILE).write_text(json.dumps(description))
    return load_pack(folder)
