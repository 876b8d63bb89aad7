"""The recipe for a free pack from OpenCV Zoo: the detector YuNet and the recogniser SFace.

No package registry has the two files. They are downloaded, or taken from files that somebody brought, and in both cases
their sizes and hashes have to be the pinned ones. YuNet's file fixes its input at 640 x 640, which OpenCV overrides and
ONNX Runtime does not: the dimensions are made variable, and nothing else is changed.
"""

import hashlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import PACK_FILE, load_pack
from rtcc_bridge.modelpacks import sources
from rtcc_bridge.modelpacks.staging import staging_folder

NAME: Final = "opencv-zoo"

Progress: TypeAlias = Callable[[str, int, int], None]

_TIMEOUT_SECONDS: Final = 60
_BLOCK: Final = 1 << 20

# The customary place of the five landmarks in a chip of 112 pixels, which OpenCV's own SFace code aligns to.
_TEMPLATE: Final = [
    [38.2946, 51.6963],
    [73.5318, 51.5014],
    [56.0252, 71.7366],
    [41.5493, 92.3655],
    [70.7299, 92.2041],
]


@dataclass(frozen=True, slots=True)
class ZooFile:
    """One file: its path below the recipe's address, and what its bytes have to be."""

    path: str
    size: int
    sha256: str
    licence: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Recipe:
    """address: where the files' paths begin. It is a fixed revision, and the hashes decide in any case."""

    address: str
    detector: ZooFile
    recognizer: ZooFile


RECIPE: Final = Recipe(
    address="https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models",
    detector=ZooFile(
        "face_detection_yunet/face_detection_yunet_2023mar.onnx",
        232_589,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        "MIT",
    ),
    recognizer=ZooFile(
        "face_recognition_sface/face_recognition_sface_2021dec.onnx",
        38_696_353,
        "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        "Apache-2.0",
    ),
)

LICENCES: Final = (
    "YuNet (face_detection_yunet_2023mar.onnx) is under the MIT licence, SFace (face_recognition_sface_2021dec.onnx) "
    "under the Apache License 2.0; their texts stand beside the files in OpenCV Zoo. A licence of weights says nothing "
    "of the rights in the pictures that they were trained on: have your counsel look at both."
)


def add_opencv_zoo(
    packs_directory: Path,
    progress: Progress,
    *,
    detector: Path | None = None,
    recognizer: Path | None = None,
    recipe: Recipe = RECIPE,
) -> Path:
    """Make the pack in `packs_directory`; returns its folder. One that is there already stays as it is.

    detector, recognizer: the files, where they need not be downloaded. Blocks. ModelPackError: a file is not the
    pinned one, cannot be had or does not run; nothing is left behind then.
    """
    final = packs_directory / NAME
    if final.exists():
        load_pack(final)
        return final
    sources.require_build_packages(("onnx",))
    packs_directory.mkdir(parents=True, exist_ok=True)
    with staging_folder(packs_directory) as staged:
        for wanted, brought in ((recipe.detector, detector), (recipe.recognizer, recognizer)):
            _fetch(wanted, brought, recipe.address, staged / wanted.name, progress)
        with_open_size(staged / recipe.detector.name)
        _describe(staged, recipe)
        _try_out(staged)
        staged.rename(final)
    return final


def _fetch(wanted: ZooFile, brought: Path | None, address: str, target: Path, progress: Progress) -> None:
    if brought is None:
        _download(f"{address}/{wanted.path}", wanted, target, progress)
        origin = "was downloaded"
    else:
        _copy(brought, wanted, target)
        origin = f"came from {brought}"
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted.sha256:
        raise ModelPackError(
            f"what {origin} as {wanted.name} has the sha256 {found}, not {wanted.sha256}: it is another version, or "
            "was altered on the way. It is not used"
        )


def _copy(brought: Path, wanted: ZooFile, target: Path) -> None:
    try:
        size = brought.stat().st_size
        if size != wanted.size:
            raise ModelPackError(f"{brought} has {size:,} bytes, {wanted.name} has {wanted.size:,}: it is another file")
        target.write_bytes(brought.read_bytes())
    except OSError as error:
        raise ModelPackError(f"{brought} cannot be read: {error.strerror}") from error


def _download(url: str, wanted: ZooFile, target: Path, progress: Progress) -> None:
    """At most as many bytes as the file has, whatever the other side sends."""
    done = 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "rtcc-bridge"})  # noqa: S310 (a recipe's address)
        with (
            urllib.request.urlopen(  # noqa: S310 (as above)
                request, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context()
            ) as answer,
            target.open("wb") as file,
        ):
            while block := answer.read(min(_BLOCK, wanted.size + 1 - done)):
                done += file.write(block)
                progress(f"downloading {wanted.name}", min(done, wanted.size), wanted.size)
    except (OSError, urllib.error.URLError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelPackError(
            f"{url} cannot be downloaded ({reason}): fetch the file on another machine and give it by hand, see "
            "`rtcc-bridge models add --help`"
        ) from error
    if done != wanted.size:
        more = "more than " if done > wanted.size else ""
        raise ModelPackError(f"{url} gave {more}{min(done, wanted.size):,} bytes instead of {wanted.size:,}")


def with_open_size(path: Path) -> None:
    """Let the detector take pictures of any height and width; names of outputs and all weights stay. Blocks."""
    import onnx  # noqa: PLC0415 (an optional package)

    model = onnx.load(path)
    (picture,) = model.graph.input
    for place, name in ((2, "height"), (3, "width")):
        picture.type.tensor_type.shape.dim[place].dim_param = name
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = "cells"
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _describe(folder: Path, recipe: Recipe) -> None:
    description: dict[str, Any] = {
        "format": 1,
        "name": NAME,
        "version": "2023mar-2021dec",
        "licence": f"{recipe.detector.licence} (YuNet, its input size made variable); "
        f"{recipe.recognizer.licence} (SFace)",
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())},
        "detector": {
            "kind": "yunet",
            "files": {"detector": recipe.detector.name},
            "thresholds": {"face": 0.6},
            "min_face_px": 20,
        },
        "recognizer": {
            "file": recipe.recognizer.name,
            "input_size": 112,
            "colour_order": "RGB",
            "layout": "NCHW",
            "mean": [0, 0, 0],
            "scale": [1, 1, 1],
            "alignment_template": _TEMPLATE,
            "mirrored_average": False,
            "template_length": 128,
            "similarity": "cosine",
        },
        "calibration": None,
        "evaluation": None,
    }
    (folder / PACK_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _try_out(folder: Path) -> None:
    """Both networks open and run; what they find is for an evaluation to say."""
    pack = load_pack(folder)
    open_detector(pack)
    open_embedder(pack)
