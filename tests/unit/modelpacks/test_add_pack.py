"""Adding a pack copies what it lists, checked, under its own name."""

import json
import shutil
from pathlib import Path

import pytest

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.modelpacks.add_pack import add_pack


def _renamed(pack: ModelPack, folder: Path, **changes: str) -> Path:
    shutil.copytree(pack.folder, folder)
    description = json.loads((folder / "pack.json").read_text())
    (folder / "pack.json").write_text(json.dumps(description | changes))
    return folder


def test_a_pack_is_copied_without_what_it_does_not_list(tmp_path: Path, default_pack: ModelPack) -> None:
    source = _renamed(default_pack, tmp_path / "source", name="agency-2")
    (source / "notes.txt").write_text("not part of the pack")
    added = add_pack(source, tmp_path / "packs")
    assert added == tmp_path / "packs" / "agency-2"
    assert load_pack(added).pack_hash == load_pack(source).pack_hash
    assert not (added / "notes.txt").exists()
    assert add_pack(source, tmp_path / "packs") == added
    assert [entry.name for entry in (tmp_path / "packs").iterdir()] == ["agency-2"]


def test_another_pack_of_the_same_name_is_refused(tmp_path: Path, default_pack: ModelPack) -> None:
    first = _renamed(default_pack, tmp_path / "first", name="agency")
    second = _renamed(default_pack, tmp_path / "second", name="agency", version="another")
    kept = load_pack(add_pack(first, tmp_path / "packs"))
    with pytest.raises(ModelPackError, match="another pack of that name"):
        add_pack(second, tmp_path / "packs")
    assert load_pack(kept.folder).pack_hash == kept.pack_hash


@pytest.mark.parametrize("name", ["default", "../outside", "Agency", ".hidden"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, default_pack: ModelPack, name: str) -> None:
    source = _renamed(default_pack, tmp_path / "source", name=name)
    with pytest.raises(ModelPackError, match="cannot be used"):
        add_pack(source, tmp_path / "packs")


def test_an_altered_pack_is_refused_and_leaves_nothing(tmp_path: Path, default_pack: ModelPack) -> None:
    source = _renamed(default_pack, tmp_path / "source", name="agency")
    (source / "refine.onnx").write_bytes(b"other")
    with pytest.raises(ModelPackError, match="it was altered"):
        add_pack(source, tmp_path / "packs")
    assert not (tmp_path / "packs").exists()
