"""A model pack: a folder with `pack.json` and the ONNX files that it names and pins by sha256. Data, never code.

An agency plugs in its own evaluated models by writing a pack.json; nothing in the program names a model.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.pack_fields import Fields, parse_json

PACK_FILE = "pack.json"
_FORMAT = 1
_MAX_PACK_FILE_BYTES = 1_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")

_DETECTOR_PARTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "mtcnn": (frozenset({"proposal", "refine", "output"}), frozenset({"proposal", "refine", "output"})),
    "yunet": (frozenset({"detector"}), frozenset({"face"})),
}
"""The files and the thresholds that each kind of detector has."""


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """How faces are found. files and thresholds are by the part of the detector that they belong to."""

    kind: str
    files: Mapping[str, str]
    thresholds: Mapping[str, float]
    min_face_px: int


@dataclass(frozen=True, slots=True)
class RecognizerSpec:
    """How an aligned chip becomes a template.

    The network's input is (pixel - mean) * scale per channel, in `colour_order`, as `layout` lays it out, for chips of
    input_size x input_size pixels in which the five landmarks lie on `alignment_template`. `mean` and `scale` are in
    `colour_order` too.
    """

    file: str
    input_size: int
    colour_order: str
    layout: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    alignment_template: tuple[tuple[float, ...], ...]
    mirrored_average: bool
    template_length: int
    similarity: str


@dataclass(frozen=True, slots=True)
class ModelPack:
    """A checked pack.

    pack_hash: sha256 over the canonical pack.json, which pins every file by its own sha256.
    template_hash: sha256 over what makes a template of a face, the recognizer's section and file. Templates of packs
    that agree in it can be compared; a new calibration or detection threshold does not change it.
    """

    folder: Path
    name: str
    version: str
    licence: str
    files: Mapping[str, str]
    detector: DetectorSpec
    recognizer: RecognizerSpec
    calibration: str | None
    evaluation: str | None
    pack_hash: str
    template_hash: str

    def read(self, name: str) -> bytes:
        """The bytes of one of the pack's files, checked again, so that what is used is what was pinned. Blocks."""
        path = _resolve(self.folder, name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelPackError(f"{path} cannot be read: {error.strerror}; {_REMEDY}") from error
        _require_hash(path, hashlib.sha256(data).hexdigest(), self.files[name])
        return data


_REMEDY = "take the pack from its source again, or correct pack.json if the file was changed on purpose"


def load_pack(directory: Path) -> ModelPack:
    """Read pack.json strictly and check every file that it names. Blocks while the files are hashed.

    ModelPackError names the path and the remedy: unknown or missing fields, a missing file, a wrong sha256, a path that
    leaves the folder.
    """
    file = directory / PACK_FILE
    document = parse_json(file, _read_pack_file(file))
    fields = Fields(file, document)
    fields.whole_number("format", _FORMAT, _FORMAT)
    files = fields.texts_by_name("files")
    recognizer = _read_recognizer(fields.section("recognizer"))
    pack = ModelPack(
        folder=directory,
        name=fields.text("name"),
        version=fields.text("version"),
        licence=fields.text("licence"),
        files=dict(files),
        detector=_read_detector(fields.section("detector")),
        recognizer=recognizer,
        calibration=fields.optional_text("calibration"),
        evaluation=fields.optional_text("evaluation"),
        pack_hash=_canonical_hash(document),
        template_hash=_canonical_hash({**asdict(recognizer), "file": files.get(recognizer.file)}),
    )
    fields.end()
    _require_listed(file, pack)
    for name, sha256 in files.items():
        _verify_file(directory, name, sha256)
    return pack


def _read_pack_file(file: Path) -> bytes:
    try:
        if file.stat().st_size > _MAX_PACK_FILE_BYTES:
            raise ModelPackError(f"{file} is larger than {_MAX_PACK_FILE_BYTES} bytes: it is not a pack description")
        return file.read_bytes()
    except OSError as error:
        raise ModelPackError(
            f"{file} cannot be read: {error.strerror}; a model pack is a folder with {PACK_FILE}"
        ) from error


def _read_detector(fields: Fields) -> DetectorSpec:
    kind = fields.text("kind", _DETECTOR_PARTS)
    parts, thresholds = _DETECTOR_PARTS[kind]
    spec = DetectorSpec(
        kind=kind,
        files=dict(fields.texts_by_name("files", parts)),
        thresholds=dict(fields.shares_by_name("thresholds", thresholds)),
        min_face_px=fields.whole_number("min_face_px", 12, 1000),
    )
    fields.end()
    return spec


def _read_recognizer(fields: Fields) -> RecognizerSpec:
    spec = RecognizerSpec(
        file=fields.text("file"),
        input_size=fields.whole_number("input_size", 32, 1024),
        colour_order=fields.text("colour_order", {"RGB", "BGR"}),
        layout=fields.text("layout", {"NCHW", "NHWC"}),
        mean=fields.numbers("mean", 3),
        scale=fields.numbers("scale", 3),
        alignment_template=fields.points("alignment_template", 5),
        mirrored_average=fields.flag("mirrored_average"),
        template_length=fields.whole_number("template_length", 16, 4096),
        similarity=fields.text("similarity", {"cosine"}),
    )
    fields.end()
    if any(not 0 <= coordinate <= spec.input_size for point in spec.alignment_template for coordinate in point):
        fields.fail(f"recognizer.alignment_template has a point outside the chip of {spec.input_size} px")
    return spec


def _require_listed(file: Path, pack: ModelPack) -> None:
    named = [*pack.detector.files.values(), pack.recognizer.file, pack.calibration, pack.evaluation]
    if missing := sorted({name for name in named if name is not None} - set(pack.files)):
        raise ModelPackError(f"{file}: files does not list {', '.join(missing)} with its sha256; add it")


def _resolve(directory: Path, name: str) -> Path:
    """The file of that name; a name or a link that leads out of the folder is refused."""
    path = directory / name
    relative = PurePosixPath(name)
    inside = not relative.is_absolute() and ".." not in relative.parts and "\\" not in name
    if not inside or not path.resolve().is_relative_to(directory.resolve()):
        raise ModelPackError(f"{directory / PACK_FILE}: {name!r} lies outside the pack's folder; copy the file into it")
    return path


def _verify_file(directory: Path, name: str, sha256: str) -> None:
    path = _resolve(directory, name)
    if not _SHA256.fullmatch(sha256):
        raise ModelPackError(
            f"{directory / PACK_FILE}: the sha256 of {name} has to be 64 lower-case hexadecimal digits"
        )
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelPackError(f"{path} cannot be read: {error.strerror}; {_REMEDY}") from error
    _require_hash(path, found, sha256)


def _require_hash(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ModelPackError(f"{path} has the sha256 {found}, but pack.json pins {expected}: it was altered; {_REMEDY}")


def _canonical_hash(document: object) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
