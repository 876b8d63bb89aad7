"""A pack of which only the description and the hashes matter: its networks are a few bytes that nobody opens."""

import hashlib
import json
from pathlib import Path
from typing import Any

from rtcc_bridge.matching.modelpack import PACK_FILE, ModelPack, load_pack


def paper_pack(folder: Path, name: str = "agency") -> ModelPack:
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("detector.onnx", "recognizer.onnx"):
        (folder / file).write_bytes(f"{name} {file}".encode())
    description: dict[str, Any] = {
        "format": 1,
        "name": name,
        "version": "1",
        "licence": "none",
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.onnx"))},
        "detector": {
            "kind": "yunet",
            "files": {"detector": "detector.onnx"},
            "thresholds": {"face": 0.6},
            "min_face_px": 20,
        },
        "recognizer": {
            "file": "recognizer.onnx",
            "input_size": 112,
            "colour_order": "RGB",
            "layout": "NCHW",
            "mean": [0, 0, 0],
            "scale": [1, 1, 1],
            "alignment_template": [[1, 1], [2, 1], [1.5, 2], [1, 3], [2, 3]],
            "mirrored_average": False,
            "template_length": 32,
            "similarity": "cosine",
        },
        "calibration": None,
        "evaluation": None,
    }
    (folder / PACK_FILE).write_text(json.dumps(description), encoding="utf-8")
    return load_pack(folder)
