"""The default pack is the same every time, is kept, and is built by several processes at once without harm."""

import subprocess
import sys
from pathlib import Path

import pytest

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.modelpacks.default_pack import build_default_pack, ensure_default_pack


def _ignore(_what: str, _done: int, _total: int) -> None:
    pass


def _never(_what: str, _done: int, _total: int) -> None:
    raise AssertionError("the pack was built again")


def test_building_twice_gives_the_same_pack(tmp_path: Path, default_pack: ModelPack) -> None:
    again = load_pack(build_default_pack(tmp_path / "pack", _ignore))
    assert again.pack_hash == default_pack.pack_hash
    assert again.files == default_pack.files


def test_progress_runs_from_nothing_to_all(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    build_default_pack(tmp_path / "pack", lambda _what, done, total: steps.append((done, total)))
    total = steps[-1][0]
    assert steps == [(done, total) for done in range(total + 1)]


def test_the_second_call_takes_the_kept_pack(tmp_path: Path, default_pack: ModelPack) -> None:
    first = ensure_default_pack(tmp_path, _ignore)
    assert ensure_default_pack(tmp_path, _never) == first
    assert [entry.name for entry in tmp_path.iterdir()] == [first.name]
    assert load_pack(first).pack_hash == default_pack.pack_hash


def test_a_kept_pack_that_was_altered_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = ensure_default_pack(tmp_path, _ignore)
    with (folder / "refine.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelPackError, match=f"remove {folder} and start again"):
        ensure_default_pack(tmp_path, _never)


def test_a_folder_with_something_in_it_is_not_built_into(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(ModelPackError, match="not empty"):
        build_default_pack(tmp_path, _ignore)


_BUILD_WATCHED = """
import sys
from pathlib import Path
from rtcc_bridge.modelpacks.default_pack import build_default_pack

opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
build_default_pack(Path(sys.argv[1]), lambda *_: None)
assert [path for path in opened if path.endswith("pnet.lz4")], "the hook saw nothing"
assert not [path for path in opened if "shape_predictor" in path], "the landmark model was opened"
assert not {"mtcnn", "tensorflow", "face_recognition_models"} & set(sys.modules), "a source package was imported"
"""

_ENSURE = """
import sys
from pathlib import Path
from rtcc_bridge.modelpacks.default_pack import ensure_default_pack

print(ensure_default_pack(Path(sys.argv[1]), lambda *_: None))
"""


def test_the_landmark_model_is_never_opened_and_no_source_package_imported(tmp_path: Path) -> None:
    """In a process of its own, since an audit hook stays for good."""
    command = [sys.executable, "-c", _BUILD_WATCHED, str(tmp_path / "pack")]
    watched = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert watched.returncode == 0, watched.stderr


def test_several_processes_at_once_end_with_one_pack(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", _ENSURE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    (folder,) = answers
    assert [str(entry) for entry in tmp_path.iterdir()] == [folder]
    load_pack(Path(folder))
