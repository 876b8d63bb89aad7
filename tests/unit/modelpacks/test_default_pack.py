"""The default pack is the same every time, is kept, and is built by several processes at once without harm."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lz4.frame
import pytest

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.modelpacks import default_pack as builder
from rtcc_bridge.modelpacks import sources
from rtcc_bridge.modelpacks.default_pack import build_default_pack, ensure_default_pack


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The files that this process opens. An audit hook stays for good, so it is told when to look away."""
    names: list[str] = []
    looking = True

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if looking and event == "open":
            names.append(str(arguments[0]))

    sys.addaudithook(note)
    yield names
    looking = False


def _ignore(_what: str, _done: int, _total: int) -> None:
    pass


def _never(_what: str, _done: int, _total: int) -> None:
    raise AssertionError("the pack was built again")


def test_building_twice_gives_the_same_pack(tmp_path: Path, default_pack: ModelPack) -> None:
    again = load_pack(build_default_pack(tmp_path / "pack", _ignore))
    assert again.pack_hash == default_pack.pack_hash
    assert again.files == default_pack.files


def test_progress_runs_from_nothing_to_all_and_opens_the_pinned_weights_alone(
    tmp_path: Path, opened: list[str]
) -> None:
    """The recognizer's package holds a 68-point landmark model too, which must not be used."""
    steps: list[tuple[int, int]] = []
    build_default_pack(tmp_path / "pack", lambda _what, done, total: steps.append((done, total)))
    weights = {str(sources.locate(source)) for source in sources.SOURCES}
    assert {name for name in opened if name.endswith((".dat", ".lz4"))} == weights
    total = steps[-1][0]
    assert steps == [(done, total) for done in range(total + 1)]


def test_the_second_call_takes_the_kept_pack(tmp_path: Path, default_pack: ModelPack) -> None:
    first = ensure_default_pack(tmp_path, _ignore)
    assert ensure_default_pack(tmp_path, _never) == first
    assert [entry.name for entry in tmp_path.iterdir()] == [first.name]
    assert load_pack(first).pack_hash == default_pack.pack_hash


def test_a_newer_builder_takes_no_pack_of_an_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, current = ensure_default_pack(tmp_path, _ignore), builder.BUILDER_VERSION
    monkeypatch.setattr(builder, "BUILDER_VERSION", "next")
    second = ensure_default_pack(tmp_path, _ignore)
    assert (load_pack(first).version, load_pack(second).version) == (current, "next")
    assert ensure_default_pack(tmp_path, _never) == second


def test_another_source_makes_another_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights, compressed anew."""
    first = ensure_default_pack(tmp_path, _ignore)
    repacked = tmp_path / "elsewhere" / "pnet.lz4"
    repacked.parent.mkdir()
    repacked.write_bytes(lz4.frame.compress(lz4.frame.decompress(sources.locate(sources.PROPOSAL).read_bytes()), 0))
    source = replace(sources.PROPOSAL, path=str(repacked), sha256=hashlib.sha256(repacked.read_bytes()).hexdigest())
    assert source.sha256 != sources.PROPOSAL.sha256
    monkeypatch.setattr(sources, "SOURCES", (source, *sources.SOURCES[1:]))
    monkeypatch.setattr(sources, "PROPOSAL", source)
    second = ensure_default_pack(tmp_path, _ignore)
    assert second != first
    assert load_pack(second).pack_hash == load_pack(first).pack_hash
    assert ensure_default_pack(tmp_path, _never) == second


def test_another_calibration_makes_another_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure_default_pack(tmp_path, _ignore)
    calibration = tmp_path / "elsewhere.json"
    calibration.write_bytes(builder.CALIBRATION.read_bytes() + b"\n")
    monkeypatch.setattr(builder, "CALIBRATION", calibration)
    second = ensure_default_pack(tmp_path, _ignore)
    assert load_pack(second).files["calibration.json"] != load_pack(first).files["calibration.json"]


def test_a_source_that_is_another_than_the_pinned_one_is_not_built_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kept pack of the other sources is no way out either."""
    ensure_default_pack(tmp_path, _ignore)
    pinned = replace(sources.PROPOSAL, sha256="0" * 64)
    monkeypatch.setattr(sources, "SOURCES", (pinned, *sources.SOURCES[1:]))
    with pytest.raises(ModelPackError, match=r"not 0{64}: it is another version or was altered"):
        ensure_default_pack(tmp_path, _ignore)


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
