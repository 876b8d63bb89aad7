"""A pack is taken only when its description is complete and its files are the pinned ones."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, load_pack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pack in order, of files that are no networks: loading only checks."""
    pack = tmp_path / "pack"
    pack.mkdir()
    for name in ("detector.onnx", "recognizer.onnx"):
        (pack / name).write_bytes(name.encode())
    description = {
        "format": 1,
        "name": "test",
        "version": "1",
        "licence": "none",
        "files": {name: hashlib.sha256(name.encode()).hexdigest() for name in ("detector.onnx", "recognizer.onnx")},
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
            "mean": [127.5, 127.5, 127.5],
            "scale": [0.0078125, 0.0078125, 0.0078125],
            "alignment_template": [[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]],
            "mirrored_average": False,
            "template_length": 128,
            "similarity": "cosine",
        },
        "calibration": None,
        "evaluation": None,
    }
    (pack / "pack.json").write_text(json.dumps(description))
    return pack


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    description = json.loads((folder / "pack.json").read_text())
    change(description)
    (folder / "pack.json").write_text(json.dumps(description))


def test_a_pack_in_order_is_read(folder: Path) -> None:
    pack = load_pack(folder)
    assert (pack.name, pack.detector.kind, pack.recognizer.template_length) == ("test", "yunet", 128)
    assert pack.recognizer.alignment_template[2] == (56.0, 72.0)
    assert pack.read("recognizer.onnx") == b"recognizer.onnx"


def test_the_hash_is_of_the_content_and_not_of_its_layout(folder: Path) -> None:
    before = load_pack(folder).pack_hash
    text = json.loads((folder / "pack.json").read_text())
    (folder / "pack.json").write_text(json.dumps(dict(reversed(text.items())), indent=3))
    assert load_pack(folder).pack_hash == before
    _edit(folder, lambda d: d["detector"].update(min_face_px=21))
    assert load_pack(folder).pack_hash != before


def _set(section: str, key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda d: (d[section] if section else d).update({key: value})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("", "colour", "blue"), "unknown field: colour"),
        (_set("detector", "nms", 0.3), "unknown field in detector: nms"),
        (_set("recognizer", "inputsize", 112), "unknown field in recognizer: inputsize"),
        (lambda d: d.pop("licence"), "the field licence is missing"),
        (lambda d: d["recognizer"].pop("mean"), "the field recognizer.mean is missing"),
        (_set("", "format", 2), "format has to be a whole number from 1 to 1"),
        (_set("", "name", ""), "name has to be a text"),
        (_set("", "detector", []), "detector has to be an object"),
        (_set("detector", "kind", "haar"), "has to be one of mtcnn, yunet"),
        (_set("detector", "files", {"proposal": "detector.onnx"}), "detector.files has to name exactly: detector"),
        (_set("detector", "thresholds", {"face": 1.5}), "numbers between 0 and 1"),
        (_set("detector", "min_face_px", 20.5), "detector.min_face_px has to be a whole number"),
        (_set("recognizer", "colour_order", "GBR"), "has to be one of BGR, RGB"),
        (_set("recognizer", "mean", [1, 2]), "recognizer.mean has to hold 3 numbers"),
        (_set("recognizer", "scale", [1, 2, float("nan")]), "recognizer.scale has to hold 3 numbers"),
        (_set("recognizer", "alignment_template", [[1, 2]] * 4), "a list of 5 points"),
        (_set("recognizer", "alignment_template", [[1, 200]] * 5), "outside the chip of 112 px"),
        (_set("recognizer", "mirrored_average", 1), "has to be true or false"),
        (_set("recognizer", "similarity", "l2"), "has to be one of cosine"),
        (_set("recognizer", "file", "other.onnx"), "files does not list other.onnx"),
        (_set("", "calibration", "calibration.json"), "files does not list calibration.json"),
        (_set("files", "detector.onnx", "ABC"), "64 lower-case hexadecimal digits"),
        (_set("files", "missing.onnx", "0" * 64), "missing.onnx cannot be read"),
        (_set("files", "../pack/detector.onnx", "0" * 64), "lies outside the pack's folder"),
        (_set("files", "/etc/hostname", "0" * 64), "lies outside the pack's folder"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(folder: Path, change: Callable[[dict[str, Any]], object], named: str) -> None:
    _edit(folder, change)
    with pytest.raises(ModelPackError) as caught:
        load_pack(folder)
    assert named in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1, "format": 1}', "\ufeff{}"])
def test_what_is_no_description_is_refused(folder: Path, text: str) -> None:
    (folder / "pack.json").write_text(text)
    with pytest.raises(ModelPackError, match=r"pack\.json"):
        load_pack(folder)


def test_a_folder_without_a_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelPackError, match=r"a model pack is a folder with pack\.json"):
        load_pack(tmp_path)


def test_an_altered_file_is_refused(folder: Path) -> None:
    (folder / "recognizer.onnx").write_bytes(b"other")
    with pytest.raises(ModelPackError, match="it was altered; take the pack from its source again"):
        load_pack(folder)


def test_a_file_altered_after_loading_is_not_used(folder: Path) -> None:
    pack = load_pack(folder)
    (folder / "recognizer.onnx").write_bytes(b"other")
    with pytest.raises(ModelPackError, match="it was altered"):
        pack.read("recognizer.onnx")


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "detector.onnx", tmp_path / "elsewhere.onnx")
    (folder / "detector.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(ModelPackError, match="lies outside the pack's folder"):
        load_pack(folder)


def test_a_pack_may_itself_be_linked_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)
    assert load_pack(tmp_path / "current").pack_hash == load_pack(folder).pack_hash


def test_the_default_pack_says_how_it_compares(default_pack: ModelPack) -> None:
    recognizer = default_pack.recognizer
    assert (recognizer.input_size, recognizer.template_length, recognizer.mirrored_average) == (150, 128, True)
    assert default_pack.detector.kind == "mtcnn"
    assert default_pack.calibration in default_pack.files
