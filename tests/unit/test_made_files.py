"""What the build makes and the repository does not hold: the library of the search's own kernel."""

import platform
import sys
from pathlib import Path
from typing import Any

import pytest

import hatch_build
from rtcc_bridge.matching import int8_rows
from scripts import int8_rows as build
from scripts.int8_rows import NotCompiledError, compile_library
from tests.tools import needs

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the library is for Linux on x86-64"
)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where it is compiled to here: that of the package stays as it is."""
    place = tmp_path / "made.so"
    monkeypatch.setattr(build, "LIBRARY", place)
    return place


def test_it_is_compiled_to_where_it_is_looked_for() -> None:
    assert build.LIBRARY == int8_rows.LIBRARY


@needs("cc", "gcc")
def test_the_library_is_the_same_whenever_it_is_made(library: Path) -> None:
    """So is the wheel; and that of the package is of the present source."""
    compile_library()
    assert library.read_bytes() == int8_rows.LIBRARY.read_bytes(), "python -m scripts.int8_rows"
    assert [one.name for one in library.parent.iterdir()] == [library.name]


@pytest.mark.parametrize("compiler", [None, "#!/bin/sh\necho no such option >&2\nexit 1\n"], ids=["none", "another"])
def test_without_a_compiler_that_can_no_earlier_library_stays(
    library: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str | None
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if compiler is not None:
        (programs / "cc").write_text(compiler)
        (programs / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    library.write_bytes(b"of an earlier source")
    with pytest.raises(NotCompiledError, match="no C compiler here" if compiler is None else "no such option"):
        compile_library()
    assert not library.exists()


def built(version: str, monkeypatch: pytest.MonkeyPatch, why: str | None) -> dict[str, Any]:
    """What the hook says of the wheel. why: it is not compiled; None: it is."""

    def compiled() -> None:
        if why is not None:
            raise NotCompiledError(why)

    monkeypatch.setattr(hatch_build, "copy_libraries", lambda: False)
    monkeypatch.setattr(hatch_build, "compile_library", compiled)
    said: dict[str, Any] = {"pure_python": True}
    hatch_build.MadeFiles(".", {}, None, None, "", "wheel").initialize(version, said)  # type: ignore[arg-type]  # the hook looks at neither configuration nor metadata
    return said


def test_a_wheel_with_the_library_is_for_its_platform(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert built("standard", monkeypatch, None) == {"pure_python": False, "tag": "py3-none-linux_x86_64"}
    assert built("editable", monkeypatch, None) == {"pure_python": True}
    assert not any(capsys.readouterr())


def test_a_wheel_without_it_is_for_all_and_the_build_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert built("standard", monkeypatch, "no compiler of that name") == {"pure_python": True}
    assert "no compiler of that name" in "".join(capsys.readouterr())
