"""The recipe for the free pack: pinned bytes or nothing, by hand or by download."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest

from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.errors import InferenceError, ModelPackError
from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.matching.session import Device, open_network
from rtcc_bridge.modelpacks.opencv_zoo import NAME, RECIPE, Recipe, ZooFile, add_opencv_zoo, with_open_size
from tests.agency_pack import DETECTOR, RECOGNIZER


def quiet(_what: str, _done: int, _total: int) -> None:
    pass


def pinned(path: Path, below: str) -> ZooFile:
    data = path.read_bytes()
    return ZooFile(f"{below}/{path.name}", len(data), hashlib.sha256(data).hexdigest(), "none")


@pytest.fixture(scope="module")
def files(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as OpenCV Zoo has it: the detector with its size fixed, and a recogniser that takes one chip at a time.

    The recogniser is another than SFace, which is not to be had from a package registry.
    """
    folder = tmp_path_factory.mktemp("zoo")
    fixed = onnx.load(test_data / "models" / DETECTOR)
    for place in (2, 3):
        fixed.graph.input[0].type.tensor_type.shape.dim[place].dim_value = 640
    (folder / "detector").mkdir()
    onnx.save(fixed, folder / "detector" / "fixed.onnx")
    single = onnx.load(test_data / "models" / RECOGNIZER)
    single.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    (folder / "recognizer").mkdir()
    onnx.save(single, folder / "recognizer" / "single.onnx")
    return folder


@pytest.fixture(scope="module")
def address(files: Path) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(files))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def recipe(files: Path, address: str) -> Recipe:
    return Recipe(
        address,
        pinned(files / "detector" / "fixed.onnx", "detector"),
        pinned(files / "recognizer" / "single.onnx", "recognizer"),
    )


def test_what_is_pinned_is_what_the_recipe_says() -> None:
    assert (RECIPE.detector.size, RECIPE.recognizer.size) == (232_589, 38_696_353)
    assert RECIPE.address.startswith("https://")
    for file in (RECIPE.detector, RECIPE.recognizer):
        assert len(bytes.fromhex(file.sha256)) == 32


def test_the_pack_is_made_from_a_download(recipe: Recipe, tmp_path: Path) -> None:
    steps: list[str] = []
    folder = add_opencv_zoo(tmp_path, lambda what, _done, _total: steps.append(what), recipe=recipe)
    pack = load_pack(folder)
    assert (folder, pack.name, pack.calibration, pack.evaluation) == (tmp_path / NAME, NAME, None, None)
    assert {"downloading fixed.onnx", "downloading single.onnx"} <= set(steps)
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]
    assert add_opencv_zoo(tmp_path, quiet, recipe=recipe) == folder
    assert open_detector(pack).detect(np.zeros((123, 457, 3), np.uint8)) == []
    assert open_embedder(pack).embed(np.full((3, 112, 112, 3), 90, np.uint8)).shape == (3, 128)


def test_the_pack_is_made_from_files_by_hand(recipe: Recipe, files: Path, tmp_path: Path) -> None:
    nowhere = Recipe("http://127.0.0.1:1", recipe.detector, recipe.recognizer)
    folder = add_opencv_zoo(
        tmp_path,
        quiet,
        detector=files / "detector" / "fixed.onnx",
        recognizer=files / "recognizer" / "single.onnx",
        recipe=nowhere,
    )
    assert load_pack(folder).name == NAME


def test_a_file_of_another_hash_is_refused(recipe: Recipe, files: Path, tmp_path: Path) -> None:
    """One byte of it was altered, so that its size is right."""
    altered = tmp_path / "altered.onnx"
    data = bytearray((files / "detector" / "fixed.onnx").read_bytes())
    data[1000] ^= 1
    altered.write_bytes(data)
    with pytest.raises(ModelPackError, match=r"altered\.onnx as fixed\.onnx has the sha256 .* It is not used"):
        add_opencv_zoo(tmp_path / "packs", quiet, detector=altered, recipe=recipe)
    assert list((tmp_path / "packs").iterdir()) == []


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"no network")
    with pytest.raises(ModelPackError, match=r"has 10 bytes, face_detection_yunet_2023mar\.onnx has 232,589"):
        add_opencv_zoo(tmp_path / "packs", quiet, detector=other)
    with pytest.raises(ModelPackError, match=r"gone\.onnx cannot be read"):
        add_opencv_zoo(tmp_path / "packs", quiet, detector=tmp_path / "gone.onnx")


def test_a_download_of_other_bytes_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    detector = recipe.detector
    longer = ZooFile(detector.path, detector.size - 10, detector.sha256, "none")
    shorter = ZooFile(detector.path, detector.size + 10, detector.sha256, "none")
    other = ZooFile(detector.path, detector.size, "0" * 64, "none")
    for wanted, complaint in ((longer, "gave more than"), (shorter, "instead of"), (other, "was downloaded as")):
        with pytest.raises(ModelPackError, match=complaint):
            add_opencv_zoo(tmp_path, quiet, recipe=Recipe(recipe.address, wanted, recipe.recognizer))
        assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_downloaded_can_be_brought(recipe: Recipe, tmp_path: Path) -> None:
    missing = ZooFile("detector/gone.onnx", 10, "0" * 64, "none")
    for address in (recipe.address, "http://127.0.0.1:1", "nonsense:"):
        with pytest.raises(ModelPackError, match="give it by hand"):
            add_opencv_zoo(tmp_path, quiet, recipe=Recipe(address, missing, recipe.recognizer))


def test_only_the_size_is_opened(files: Path, test_data: Path, tmp_path: Path) -> None:
    """The detector finds to the last bit what the one with a variable size finds, which the fixed one cannot take."""
    path = tmp_path / "opened.onnx"
    path.write_bytes((files / "detector" / "fixed.onnx").read_bytes())
    picture = np.random.default_rng(1).integers(0, 255, (1, 3, 96, 160)).astype(np.float32)
    with pytest.raises(InferenceError):
        open_network(path.read_bytes(), Device.CPU, threads=1).run(picture)
    with_open_size(path)
    opened = open_network(path.read_bytes(), Device.CPU, threads=1).run(picture)
    variable = open_network((test_data / "models" / DETECTOR).read_bytes(), Device.CPU, threads=1).run(picture)
    assert opened.keys() == variable.keys()
    assert all((opened[name] == variable[name]).all() for name in opened)
