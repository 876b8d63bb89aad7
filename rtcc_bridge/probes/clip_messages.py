"""What is asked of a worker about a clip and what it answers, as frozen values, and their strict reading.

`worker_messages` puts them among the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from rtcc_bridge.probes.worker_protocol import Fields, ProtocolError

MAX_CLIP_PIXELS: Final = 4096 * 2176
"""Of one frame: level 5.1 of H.264 (ITU-T H.264, table A-1), which is 4K."""
MOST_FRAMES: Final = 20_000
MOST_MILLISECONDS: Final = 24 * 3600 * 1000
MOST_SHARPNESS: Final = 1_000_000
MOST_PLACES: Final = 16
"""Frames on one sheet."""
MIN_SHEET_SIDE_PX: Final = 64
MAX_SHEET_SIDE_PX: Final = 4096
MOST_ASPECT: Final = 10_000

CONTAINERS: Final = ("mov", "matroska", "avi")
CODECS: Final = ("h264", "hevc", "mpeg4", "mjpeg")

_SLACK_BYTES: Final = 65_536
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_START: Final = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class ClipPlace:
    """Where a frame stands: its number among all frames of the clip, from 1 in the order in which they are shown, and
    how long after the first one it is shown. The two together are what a frame is found by again."""

    number: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """A frame that can be chosen. sharpness: of the whole frame, per mille of its contrast."""

    place: ClipPlace
    sharpness: int


@dataclass(frozen=True, slots=True)
class ClipIndexRequest:
    """Which frames does this clip have, when is each shown, and how sharp is it as a whole? Nobody's face is looked for
    (P03)."""


@dataclass(frozen=True, slots=True)
class ClipSheetRequest:
    """These frames as one JPEG, one below the other, each of the same size and no side longer than `max_side_px`."""

    places: tuple[ClipPlace, ...]
    max_side_px: int


@dataclass(frozen=True, slots=True)
class ClipStillRequest:
    """This frame as a picture without loss, upright."""

    place: ClipPlace


ClipRequest: TypeAlias = ClipIndexRequest | ClipSheetRequest | ClipStillRequest


@dataclass(frozen=True, slots=True)
class ClipIndex:
    """What a clip is. width, height: of a frame as it is shown, in pixels. rotation: degrees clockwise by which the
    frames were turned to stand upright, as the camera noted it. pixel_aspect: the shape of a stored pixel, (1, 1) where
    it is square. frames: those that can be chosen. damaged: frames that are not whole, which cannot."""

    container: str
    codec: str
    width: int
    height: int
    rotation: int
    pixel_aspect: tuple[int, int]
    frames: tuple[ClipFrame, ...]
    damaged: int
    stage_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class ClipSheet:
    """A sheet of frames: JPEG bytes without metadata, its size in pixels, and how long each stage took."""

    jpeg: bytes
    width: int
    height: int
    stage_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class ClipStill:
    """A frame as PNG bytes without metadata, its size in pixels, and how long each stage took."""

    png: bytes
    width: int
    height: int
    stage_seconds: Mapping[str, float]


ClipAnswer: TypeAlias = ClipIndex | ClipSheet | ClipStill


def most_clip_body_bytes(request: ClipRequest) -> int:
    """The most raw bytes that an answer to this request may carry."""
    match request:
        case ClipIndexRequest():
            return 0
        case ClipSheetRequest(places=places, max_side_px=side):
            return side * side * 3 * len(places) + _SLACK_BYTES
        case ClipStillRequest():
            return MAX_CLIP_PIXELS * 3 + MAX_SHEET_SIDE_PX + _SLACK_BYTES


def clip_request_to_json(request: ClipRequest) -> dict[str, object]:
    match request:
        case ClipIndexRequest():
            return {"do": "clip_index"}
        case ClipSheetRequest(places=places, max_side_px=side):
            return {"do": "clip_sheet", "places": [_place_to_json(one) for one in places], "max_side_px": side}
        case ClipStillRequest(place=place):
            return {"do": "clip_still", "place": _place_to_json(place)}


def read_clip_request(asked: str, fields: Fields) -> ClipRequest | None:
    """The rest of a request that says `asked`; None when that is none about a clip. Raises ProtocolError."""
    match asked:
        case "clip_index":
            return ClipIndexRequest()
        case "clip_sheet":
            places = tuple(_read_place(one) for one in fields.objects("places", MOST_PLACES))
            if not places:
                raise ProtocolError("a sheet without frames")
            side = fields.whole_number("max_side_px", MIN_SHEET_SIDE_PX, MAX_SHEET_SIDE_PX)
            return ClipSheetRequest(places, side)
        case "clip_still":
            return ClipStillRequest(_read_place(fields.section("place")))
        case _:
            return None


def clip_answer_to_json(answer: ClipAnswer) -> tuple[dict[str, object], bytes]:
    """The fields of an answer apart from its seconds, and its body."""
    fields: dict[str, object] = {"width": answer.width, "height": answer.height}
    match answer:
        case ClipSheet(jpeg=body) | ClipStill(png=body):
            return fields, body
        case ClipIndex():
            fields |= {
                "container": answer.container,
                "codec": answer.codec,
                "rotation": answer.rotation,
                "pixel_aspect": list(answer.pixel_aspect),
                "numbers": [one.place.number for one in answer.frames],
                "milliseconds": [one.place.milliseconds for one in answer.frames],
                "sharpness": [one.sharpness for one in answer.frames],
                "damaged": answer.damaged,
            }
            return fields, b""


def read_clip_answer(
    request: ClipRequest, fields: Fields, width: int, height: int, seconds: Mapping[str, float], body: bytes
) -> ClipAnswer:
    """The parent's reading of the answer to `request`. Raises ProtocolError."""
    match request:
        case ClipIndexRequest():
            return _read_index(fields, width, height, seconds, body)
        case ClipSheetRequest(places=places, max_side_px=side):
            if width > side or height > side * len(places) or height % len(places) or not body.startswith(_JPEG_START):
                raise ProtocolError("the sheet is too large, not whole or not a JPEG")
            return ClipSheet(body, width, height, seconds)
        case ClipStillRequest():
            if width * height > MAX_CLIP_PIXELS or not body.startswith(_PNG_START):
                raise ProtocolError("the frame is too large or not a PNG")
            return ClipStill(body, width, height, seconds)


def _read_index(fields: Fields, width: int, height: int, seconds: Mapping[str, float], body: bytes) -> ClipIndex:
    container, codec = fields.word("container"), fields.word("codec")
    rotation = fields.whole_number("rotation", 0, 270)
    across, down = fields.whole_numbers("pixel_aspect", 2, 1, MOST_ASPECT)
    numbers = fields.whole_numbers("numbers", MOST_FRAMES, 1, MOST_FRAMES)
    times = fields.whole_numbers("milliseconds", MOST_FRAMES, 0, MOST_MILLISECONDS)
    sharpness = fields.whole_numbers("sharpness", MOST_FRAMES, 0, MOST_SHARPNESS)
    damaged = fields.whole_number("damaged", 0, MOST_FRAMES)
    known = container in CONTAINERS and codec in CODECS and rotation % 90 == 0
    if not known or width * height > MAX_CLIP_PIXELS or body:
        raise ProtocolError("this is no clip that a worker reads")
    if not numbers or not len(numbers) == len(times) == len(sharpness) or not (_rises(numbers) and _rises(times)):
        raise ProtocolError("the frames of a clip do not follow each other")
    places = [ClipPlace(*one) for one in zip(numbers, times, strict=True)]
    frames = tuple(ClipFrame(*one) for one in zip(places, sharpness, strict=True))
    return ClipIndex(container, codec, width, height, rotation, (across, down), frames, damaged, seconds)


def _rises(values: tuple[int, ...]) -> bool:
    return all(one < following for one, following in pairwise(values))


def _place_to_json(place: ClipPlace) -> dict[str, object]:
    return {"number": place.number, "milliseconds": place.milliseconds}


def _read_place(fields: Fields) -> ClipPlace:
    number = fields.whole_number("number", 1, MOST_FRAMES)
    place = ClipPlace(number, fields.whole_number("milliseconds", 0, MOST_MILLISECONDS))
    fields.end()
    return place
