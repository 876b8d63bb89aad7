"""What was learnt of a pack is put into it without a moment in which the pack is not in order."""

from pathlib import Path

import pytest

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.modelpacks.add_pack import SIGNATURE_FILE
from rtcc_bridge.qualification.pack_files import put_into_pack
from tests.unit.qualification.packs import paper_pack


def test_a_file_is_listed_and_the_one_before_it_is_gone(tmp_path: Path) -> None:
    pack = paper_pack(tmp_path)
    first = put_into_pack(pack, "calibration", lambda path: _write(path, "first"))
    second = put_into_pack(first, "calibration", lambda path: _write(path, "second"))
    assert second.calibration is not None
    assert second.read(second.calibration) == b"second"
    assert len(second.files) == 3
    assert second.template_hash == pack.template_hash, "galleries of the pack can still be searched"
    assert len({pack.pack_hash, first.pack_hash, second.pack_hash}) == 3
    on_disk = {file.name for file in tmp_path.iterdir()}
    assert on_disk == {"pack.json", "detector.onnx", "recognizer.onnx", second.calibration}


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    first = put_into_pack(paper_pack(tmp_path), "evaluation", lambda path: _write(path, "same"))
    again = put_into_pack(first, "evaluation", lambda path: _write(path, "same"))
    assert again.pack_hash == first.pack_hash


def test_a_change_ends_the_signature(tmp_path: Path) -> None:
    pack = paper_pack(tmp_path)
    (tmp_path / SIGNATURE_FILE).write_text("signed")
    put_into_pack(pack, "evaluation", lambda path: _write(path, "figures"))
    assert not (tmp_path / SIGNATURE_FILE).exists()


def test_a_file_that_cannot_be_written_leaves_the_pack_as_it_was(tmp_path: Path) -> None:
    pack = paper_pack(tmp_path)

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        put_into_pack(pack, "evaluation", fail)
    assert load_pack(tmp_path).pack_hash == pack.pack_hash
    assert {file.name for file in tmp_path.iterdir()} == {"pack.json", "detector.onnx", "recognizer.onnx"}


def test_the_default_pack_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="demonstration and training"):
        put_into_pack(paper_pack(tmp_path, "default"), "evaluation", lambda path: _write(path, "figures"))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
