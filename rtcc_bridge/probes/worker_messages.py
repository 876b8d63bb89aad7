"""What is asked of a sandboxed worker and what it may answer, as frozen values, and their strict reading from JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.crop import MAX_SIDE_PX as MAX_CROP_SIDE_PX
from rtcc_bridge.matching.edits import MOST_EDITS, Edit
from rtcc_bridge.matching.types import (
    Box,
    DetectedFace,
    FaceCrop,
    Float32Array,
    NumberedFace,
    Quality,
    QualityComponent,
    Verdict,
)
from rtcc_bridge.probes.clip_messages import (
    ClipAnswer,
    ClipIndex,
    ClipIndexRequest,
    ClipRequest,
    ClipSheet,
    ClipSheetRequest,
    ClipStill,
    ClipStillRequest,
    clip_answer_to_json,
    clip_request_to_json,
    most_clip_body_bytes,
    read_clip_answer,
    read_clip_request,
)
from rtcc_bridge.probes.edits import edits_from_json, edits_to_json
from rtcc_bridge.probes.sandbox import SandboxReport
from rtcc_bridge.probes.worker_protocol import (
    MAX_REQUEST_JSON_BYTES,
    Fields,
    ProtocolError,
    decode_json,
    encode_json,
)

MAX_FACES: Final = 200
MAX_SIDE_PX: Final = 1_000_000
MIN_PREVIEW_SIDE_PX: Final = 64
MAX_PREVIEW_SIDE_PX: Final = 4096
MAX_TEXT: Final = 400
_MAX_COMPONENTS: Final = 32
_MAX_STAGES: Final = 16
_LANDMARKS: Final = 5
_JPEG_START: Final = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class InspectRequest:
    """Which faces are in this picture, and how good are they? Every request is about the picture after its edits."""

    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class PortraitRequest:
    """As `InspectRequest`, for a picture of one person: if it shows one face that can be used, cut that out as well.

    So a picture on its way into a gallery is sent and decoded once. aligned: cut out as the pack's own network takes
    it, a tenth of a booking photograph (`aligned_crop`).
    """

    aligned: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CropRequest:
    """Cut the chosen face out, with the bystanders masked. Faces are in pixels of the upright picture."""

    chosen: DetectedFace
    bystanders: tuple[DetectedFace, ...]
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PreviewRequest:
    """A smaller JPEG of the picture for the screen, without metadata.

    Before a face is chosen everybody is seen, to choose from; afterwards the bystanders are masked.
    """

    max_side_px: int
    chosen: DetectedFace | None = None
    bystanders: tuple[DetectedFace, ...] = ()
    edits: tuple[Edit, ...] = ()


Request: TypeAlias = InspectRequest | PortraitRequest | CropRequest | PreviewRequest | ClipRequest


@dataclass(frozen=True, slots=True, eq=False)
class FoundFacesReport:
    """The size of the upright picture in pixels, its faces, and how long each stage took."""

    width: int
    height: int
    faces: tuple[NumberedFace, ...]
    stage_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class SeenPortrait:
    """How many faces a picture shows, its upright size, and how long each stage took.

    Of a single face: its unified score, what is wrong with it in words, and its cut-out unless it is too poor. Nothing
    else of it is told: its sixteen measures would have to be written and read for each picture of a gallery.
    """

    width: int
    height: int
    faces: int
    score: int
    sentences: tuple[str, ...]
    crop: FaceCrop | None
    stage_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class CroppedFace:
    """The cut-out of the chosen face, and how long each stage took."""

    crop: FaceCrop
    stage_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """A picture for the screen: JPEG bytes without metadata, its size, and how long each stage took."""

    jpeg: bytes
    width: int
    height: int
    stage_seconds: Mapping[str, float]


Answer: TypeAlias = FoundFacesReport | SeenPortrait | CroppedFace | Preview | ClipAnswer


@dataclass(frozen=True, slots=True)
class WorkerFailure:
    """The picture could not be worked on. message is for the person who sent it, detail for the log.

    last: the worker ends after this answer and has to be replaced.
    """

    reason: str
    message: str
    detail: str = ""
    last: bool = False


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker's first words: it is locked up and ready, or it refuses to start, and why."""

    report: SandboxReport | None
    refusal: str


def max_body_bytes(request: Request) -> int:
    """The most raw bytes that an answer to this request may carry."""
    match request:
        case InspectRequest():
            return 0
        case CropRequest() | PortraitRequest():
            return MAX_CROP_SIDE_PX**2 * 3
        case PreviewRequest(max_side_px=side):
            return side * side * 3 + 65_536
        case ClipIndexRequest() | ClipSheetRequest() | ClipStillRequest():
            return most_clip_body_bytes(request)


def encode_request(request: Request) -> bytes:
    """The request as JSON; ProtocolError where it names more faces than a picture may have."""
    fields: dict[str, object]
    match request:
        case InspectRequest():
            fields = {"do": "inspect"}
        case PortraitRequest():
            return encode_json({"do": "portrait", "aligned": request.aligned}, MAX_REQUEST_JSON_BYTES)
        case ClipIndexRequest() | ClipSheetRequest() | ClipStillRequest():
            return encode_json(clip_request_to_json(request), MAX_REQUEST_JSON_BYTES)
        case CropRequest():
            fields = {"do": "crop", **_chosen_to_json(request.chosen, request.bystanders)}
        case PreviewRequest(max_side_px=side, chosen=None):
            fields = {"do": "preview_all", "max_side_px": side}
        case PreviewRequest(max_side_px=side, chosen=DetectedFace() as chosen):
            fields = {"do": "preview_chosen", "max_side_px": side, **_chosen_to_json(chosen, request.bystanders)}
    return encode_json({**fields, "edits": edits_to_json(request.edits)}, MAX_REQUEST_JSON_BYTES)


def decode_request(data: bytes) -> Request:
    """The worker's reading of a request."""
    fields = decode_json(data)
    asked = fields.word("do")
    request: Request
    if asked == "inspect":
        request = InspectRequest(_read_edits(fields))
    elif asked == "portrait":
        request = PortraitRequest(fields.flag("aligned"))
    elif asked == "crop":
        request = CropRequest(*_read_chosen(fields), _read_edits(fields))
    elif asked == "preview_all":
        request = PreviewRequest(_read_side(fields), edits=_read_edits(fields))
    elif asked == "preview_chosen":
        request = PreviewRequest(_read_side(fields), *_read_chosen(fields), _read_edits(fields))
    elif (about_clip := read_clip_request(asked, fields)) is not None:
        request = about_clip
    else:
        raise ProtocolError(f"unknown request {asked}")
    fields.end()
    return request


def encode_hello(hello: Hello) -> bytes:
    if hello.report is None:
        return encode_json({"ready": False, "refusal": printable(hello.refusal)})
    notes = [printable(note) for note in hello.report.notes]
    return encode_json({"ready": True, **hello.report.for_log(), "notes": notes})


def decode_hello(data: bytes) -> Hello:
    fields = decode_json(data)
    if not fields.flag("ready"):
        refusal = fields.text("refusal", MAX_TEXT)
        fields.end()
        return Hello(None, refusal)
    report = SandboxReport(
        seccomp=fields.flag("seccomp"),
        namespaces=fields.texts("namespaces", 8, 16),
        user_id=fields.whole_number("user_id", 0, 0xFFFF_FFFF),
        notes=fields.texts("notes", 8, MAX_TEXT),
    )
    fields.end()
    return Hello(report, "")


def encode_answer(answer: Answer | WorkerFailure) -> tuple[bytes, bytes]:
    """The JSON and the body of an answer."""
    body = b""
    fields: dict[str, object]
    match answer:
        case WorkerFailure():
            told = {"message": printable(answer.message), "detail": printable(answer.detail)}
            return encode_json({"ok": False, "reason": answer.reason, **told, "last": answer.last}), b""
        case FoundFacesReport():
            faces = [_numbered_to_json(numbered) for numbered in answer.faces]
            fields = {"width": answer.width, "height": answer.height, "faces": faces}
        case SeenPortrait(crop=crop):
            fields = {
                "width": answer.width,
                "height": answer.height,
                "faces": answer.faces,
                "score": answer.score,
                "sentences": [*map(printable, answer.sentences)],
                "cropped": crop is not None,
            }
            if crop is not None:
                fields["crop"], body = _crop_to_json(crop), crop.pixels.tobytes()
        case CroppedFace(crop=crop):
            fields, body = _crop_to_json(crop), crop.pixels.tobytes()
        case Preview():
            fields = {"width": answer.width, "height": answer.height}
            body = answer.jpeg
        case ClipIndex() | ClipSheet() | ClipStill():
            fields, body = clip_answer_to_json(answer)
    seconds = {name: round(value, 6) for name, value in answer.stage_seconds.items()}
    return encode_json({"ok": True, **fields, "stage_seconds": seconds}), body


def decode_answer(request: Request, data: bytes, body: bytes) -> Answer | WorkerFailure:
    """The parent's reading of the answer to `request`. Every field is checked; ProtocolError where one is not right."""
    fields = decode_json(data)
    answer: Answer | WorkerFailure
    if not fields.flag("ok"):
        if body:
            raise ProtocolError("a failure carries no body")
        reason, last = fields.word("reason"), fields.flag("last")
        answer = WorkerFailure(reason, fields.text("message", MAX_TEXT), fields.text("detail", MAX_TEXT), last)
    else:
        seconds = _read_stage_seconds(fields.section("stage_seconds"))
        width = fields.whole_number("width", 1, MAX_SIDE_PX)
        height = fields.whole_number("height", 1, MAX_SIDE_PX)
        match request:
            case InspectRequest():
                answer = FoundFacesReport(width, height, _read_faces(fields, width, height), seconds)
            case PortraitRequest():
                answer = _read_portrait(fields, width, height, seconds, body)
            case CropRequest():
                answer = CroppedFace(_read_crop(fields, width, height, body), seconds)
            case PreviewRequest():
                answer = Preview(_read_jpeg(request, width, height, body), width, height, seconds)
            case ClipIndexRequest() | ClipSheetRequest() | ClipStillRequest():
                answer = read_clip_answer(request, fields, width, height, seconds, body)
    fields.end()
    return answer


def printable(text: str) -> str:
    """A text that `Fields.text` accepts: one line, of bounded length."""
    return "".join(character if character.isprintable() else " " for character in text)[:MAX_TEXT]


def _face_to_json(face: DetectedFace) -> dict[str, object]:
    box = face.box
    return {
        "box": [box.left, box.top, box.right, box.bottom],
        "landmarks": _points_to_json(face.landmarks),
        "detection_score": face.detection_score,
    }


def _points_to_json(landmarks: Float32Array) -> list[float]:
    return [float(value) for point in landmarks.tolist() for value in point]


def _crop_to_json(crop: FaceCrop) -> dict[str, object]:
    height, width = crop.pixels.shape[:2]
    return {"width": width, "height": height, "landmarks": _points_to_json(crop.landmarks)}


def _chosen_to_json(chosen: DetectedFace, bystanders: tuple[DetectedFace, ...]) -> dict[str, object]:
    return {"chosen": _face_to_json(chosen), "bystanders": [_face_to_json(face) for face in bystanders]}


def _numbered_to_json(numbered: NumberedFace) -> dict[str, object]:
    components = [
        {
            "name": component.name,
            "value": component.value,
            "unit": component.unit,
            "verdict": component.verdict.value,
            "sentence": printable(component.sentence),
        }
        for component in numbered.quality.components
    ]
    return {"face": _face_to_json(numbered.face), "score": numbered.quality.unified_score, "components": components}


def _read_face(fields: Fields, width: int = MAX_SIDE_PX, height: int = MAX_SIDE_PX) -> DetectedFace:
    """A face whose box overlaps the picture and reaches no further over its edge than the picture is large."""
    side = max(width, height)
    left, top, right, bottom = fields.numbers("box", 4, -float(side), 2.0 * side)
    if not (left < right and top < bottom and left < width and top < height and right > 0 and bottom > 0):
        raise ProtocolError("a box is empty or outside the picture")
    landmarks = _read_landmarks(fields, side)
    face = DetectedFace(Box(left, top, right, bottom), landmarks, fields.number("detection_score", 0.0, 1.0))
    fields.end()
    return face


def _read_landmarks(fields: Fields, side: int) -> Float32Array:
    values = fields.numbers("landmarks", 2 * _LANDMARKS, -float(side), 2.0 * side)
    landmarks = np.array(values, dtype=np.float32).reshape(_LANDMARKS, 2)
    landmarks.flags.writeable = False
    return landmarks


def _read_chosen(fields: Fields) -> tuple[DetectedFace, tuple[DetectedFace, ...]]:
    chosen = _read_face(fields.section("chosen"))
    return chosen, tuple(_read_face(entry) for entry in fields.objects("bystanders", MAX_FACES))


def _read_edits(fields: Fields) -> tuple[Edit, ...]:
    try:
        return edits_from_json(fields.mappings("edits", MOST_EDITS))
    except InvalidInputError as error:
        raise ProtocolError("an edit is none") from error


def _read_side(fields: Fields) -> int:
    return fields.whole_number("max_side_px", MIN_PREVIEW_SIDE_PX, MAX_PREVIEW_SIDE_PX)


def _read_faces(fields: Fields, width: int, height: int) -> tuple[NumberedFace, ...]:
    faces = []
    for number, entry in enumerate(fields.objects("faces", MAX_FACES), start=1):
        face = _read_face(entry.section("face"), width, height)
        quality = Quality(entry.whole_number("score", 0, 100), _read_components(entry))
        entry.end()
        faces.append(NumberedFace(number, face, quality))
    return tuple(faces)


def _read_components(fields: Fields) -> tuple[QualityComponent, ...]:
    components = []
    for entry in fields.objects("components", _MAX_COMPONENTS):
        name, unit = entry.text("name", 64), entry.text("unit", 32)
        value = entry.number("value", -1e12, 1e12)
        verdict, sentence = entry.word("verdict"), entry.text("sentence", MAX_TEXT)
        entry.end()
        if verdict not in set(Verdict):
            raise ProtocolError("unknown verdict")
        components.append(QualityComponent(name, value, unit, Verdict(verdict), sentence))
    return tuple(components)


def _read_crop(fields: Fields, width: int, height: int, body: bytes) -> FaceCrop:
    landmarks = _read_landmarks(fields, MAX_CROP_SIDE_PX)
    if max(width, height) > MAX_CROP_SIDE_PX or len(body) != width * height * 3:
        raise ProtocolError("the crop is too large or does not have as many bytes as its size says")
    return FaceCrop(np.frombuffer(body, dtype=np.uint8).reshape(height, width, 3), landmarks)


def _read_portrait(fields: Fields, width: int, height: int, seconds: Mapping[str, float], body: bytes) -> SeenPortrait:
    faces, score = fields.whole_number("faces", 0, MAX_FACES), fields.whole_number("score", 0, 100)
    sentences = fields.texts("sentences", _MAX_COMPONENTS, MAX_TEXT)
    crop = None
    if fields.flag("cropped"):
        size = fields.section("crop")
        across, down = (size.whole_number(side, 1, MAX_CROP_SIDE_PX) for side in ("width", "height"))
        crop = _read_crop(size, across, down, body)
        size.end()
    if (crop is not None and faces != 1) or (crop is None and body):
        raise ProtocolError("what was cut out is not the one face of a portrait")
    return SeenPortrait(width, height, faces, score, sentences, crop, seconds)


def _read_jpeg(request: PreviewRequest, width: int, height: int, body: bytes) -> bytes:
    if max(width, height) > request.max_side_px or not body.startswith(_JPEG_START):
        raise ProtocolError("the preview is too large or not a JPEG")
    return body


def _read_stage_seconds(fields: Fields) -> Mapping[str, float]:
    return {name: fields.number(name, 0.0, 86_400.0) for name in fields.names(_MAX_STAGES)}
