import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.types import (
    Box,
    DetectedFace,
    FaceCrop,
    NumberedFace,
    Quality,
    QualityComponent,
    Verdict,
)
from rtcc_bridge.probes.sandbox import SandboxReport
from rtcc_bridge.probes.worker_messages import (
    MAX_FACES,
    MAX_TEXT,
    CroppedFace,
    CropRequest,
    FoundFacesReport,
    Hello,
    InspectRequest,
    PortraitRequest,
    Preview,
    PreviewRequest,
    SeenPortrait,
    WorkerFailure,
    decode_answer,
    decode_hello,
    decode_request,
    encode_answer,
    encode_hello,
    encode_request,
    max_body_bytes,
    printable,
)
from rtcc_bridge.probes.worker_protocol import MAX_ANSWER_JSON_BYTES, ProtocolError

LANDMARKS = np.array([[40, 50], [80, 50], [60, 70], [45, 90], [75, 90.5]], np.float32)
FACE = DetectedFace(Box(-3.5, 20.0, 100.25, 120.0), LANDMARKS, 0.987)
BYSTANDER = DetectedFace(Box(150.0, 20.0, 190.0, 60.0), LANDMARKS + 100, 0.5)
QUALITY = Quality(
    62,
    (
        QualityComponent("inter_eye_distance", 14.25, "px", Verdict.REFUSED, "eyes 14 px apart: too small to compare"),
        QualityComponent("sharpness", 88.0, "per mille", Verdict.ACCEPTED, "sharpness 88"),
    ),
)
REPORT = FoundFacesReport(
    200, 160, (NumberedFace(1, FACE, QUALITY), NumberedFace(2, BYSTANDER, QUALITY)), {"decode": 0.1}
)
CROP = CroppedFace(FaceCrop(np.arange(60, dtype=np.uint8).reshape(4, 5, 3), LANDMARKS), {"decode": 0.1, "crop": 0.2})
PORTRAIT = SeenPortrait(200, 160, 1, 90, ("eyes 14 px apart: small",), CROP.crop, {"decode": 0.1})
PREVIEW = Preview(b"\xff\xd8\xff and so on", 64, 48, {"preview": 0.5})
CROP_REQUEST = CropRequest(FACE, (BYSTANDER,))


def same_face(one: DetectedFace, other: DetectedFace) -> bool:
    scores = one.detection_score == other.detection_score
    return one.box == other.box and np.array_equal(one.landmarks, other.landmarks) and scores


def test_a_report_arrives_as_it_was_sent() -> None:
    header, body = encode_answer(REPORT)
    answer = decode_answer(InspectRequest(), header, body)
    assert isinstance(answer, FoundFacesReport)
    assert (answer.width, answer.height, answer.stage_seconds) == (200, 160, {"decode": 0.1})
    assert [face.number for face in answer.faces] == [1, 2]
    for face, sent in zip(answer.faces, REPORT.faces, strict=True):
        assert same_face(face.face, sent.face)
        assert face.quality == QUALITY
        assert face.face.landmarks.dtype == np.float32


def test_a_crop_and_a_preview_arrive_as_they_were_sent() -> None:
    crop = decode_answer(CROP_REQUEST, *encode_answer(CROP))
    assert isinstance(crop, CroppedFace)
    assert np.array_equal(crop.crop.pixels, CROP.crop.pixels)
    assert np.array_equal(crop.crop.landmarks, LANDMARKS)
    preview = decode_answer(PreviewRequest(64), *encode_answer(PREVIEW))
    assert isinstance(preview, Preview)
    assert (preview.jpeg, preview.width, preview.height) == (PREVIEW.jpeg, 64, 48)


def test_a_portrait_arrives_with_its_face_cut_out_or_without_one() -> None:
    seen = decode_answer(PortraitRequest(), *encode_answer(PORTRAIT))
    assert isinstance(seen, SeenPortrait)
    assert seen.crop is not None
    assert np.array_equal(seen.crop.pixels, CROP.crop.pixels)
    assert np.array_equal(seen.crop.landmarks, LANDMARKS)
    assert (seen.faces, seen.score, seen.sentences) == (1, 90, PORTRAIT.sentences)
    for faces in (0, 1, 2):
        seen = decode_answer(PortraitRequest(), *encode_answer(replace(PORTRAIT, faces=faces, crop=None)))
        assert isinstance(seen, SeenPortrait)
        assert (seen.faces, seen.crop) == (faces, None)


@pytest.mark.parametrize(
    "lie",
    [
        replace(PORTRAIT, faces=0),
        replace(PORTRAIT, faces=2),
        replace(PORTRAIT, score=101),
        replace(PORTRAIT, sentences=("x",) * 33),
        replace(PORTRAIT, crop=FaceCrop(np.zeros((1, 1025, 3), np.uint8), LANDMARKS)),
    ],
    ids=["of nobody", "of one of two", "score", "sentences", "too large"],
)
def test_a_portrait_that_cannot_be_is_not_believed(lie: SeenPortrait) -> None:
    with pytest.raises(ProtocolError):
        decode_answer(PortraitRequest(), *encode_answer(lie))


def test_a_portrait_without_a_cut_out_brings_no_pixels() -> None:
    header, _ = encode_answer(replace(PORTRAIT, crop=None))
    with pytest.raises(ProtocolError):
        decode_answer(PortraitRequest(), header, b"pixels")


def test_a_failure_arrives_as_it_was_sent() -> None:
    failure = WorkerFailure("truncated", "the picture's end is missing: send it again", "OSError", last=True)
    assert decode_answer(InspectRequest(), *encode_answer(failure)) == failure


def test_requests_arrive_as_they_were_sent() -> None:
    assert decode_request(encode_request(InspectRequest())) == InspectRequest()
    for portrait in PortraitRequest(), PortraitRequest(aligned=True):
        assert decode_request(encode_request(portrait)) == portrait
    crop = decode_request(encode_request(CROP_REQUEST))
    assert isinstance(crop, CropRequest)
    assert same_face(crop.chosen, FACE)
    assert [same_face(face, BYSTANDER) for face in crop.bystanders] == [True]
    everybody = decode_request(encode_request(PreviewRequest(640)))
    assert isinstance(everybody, PreviewRequest)
    assert (everybody.max_side_px, everybody.chosen, everybody.bystanders) == (640, None, ())
    chosen = decode_request(encode_request(PreviewRequest(640, FACE, (BYSTANDER, BYSTANDER))))
    assert isinstance(chosen, PreviewRequest)
    assert chosen.chosen is not None
    assert same_face(chosen.chosen, FACE)
    assert len(chosen.bystanders) == 2


def test_a_worker_says_what_is_in_force() -> None:
    report = SandboxReport(seccomp=True, namespaces=("mnt", "net"), user_id=65534, notes=("no namespaces: why",))
    assert decode_hello(encode_hello(Hello(report, ""))) == Hello(report, "")
    assert decode_hello(encode_hello(Hello(None, "install\nlibseccomp2"))) == Hello(None, "install libseccomp2")


def test_the_largest_honest_answer_and_request_fit() -> None:
    component = QualityComponent("n" * 64, -1234567.8901234567, "u" * 32, Verdict.REFUSED, "ä" * 60)
    landmarks = np.full((5, 2), 123.456789, np.float32)
    face = DetectedFace(
        Box(0.1234567890123, 0.1234567890123, 1234.567890123456, 1234.567890123456), landmarks, 0.123456789
    )
    numbered = tuple(NumberedFace(number, face, Quality(50, (component,) * 10)) for number in range(1, MAX_FACES + 1))
    header, _ = encode_answer(FoundFacesReport(5000, 5000, numbered, {}))
    assert len(header) < MAX_ANSWER_JSON_BYTES
    request = decode_request(encode_request(CropRequest(face, (face,) * (MAX_FACES - 1))))
    assert isinstance(request, CropRequest)


CHANGES: list[tuple[tuple[str | int, ...], object]] = [
    (("ok",), "yes"),
    (("width",), 0),
    (("width",), 10_000_000),
    (("height",), 1.5),
    (("extra",), 1),
    (("stage_seconds", "decode"), -1),
    (("stage_seconds", "decode"), "fast"),
    (("stage_seconds", "Decode!"), 1),
    (("faces",), {}),
    (("faces", 0, "face", "box"), [0, 0, 0, 10]),
    (("faces", 0, "face", "box"), [0, 0, 1e9, 10]),
    (("faces", 0, "face", "box"), [300, 0, 310, 10]),
    (("faces", 0, "face", "box"), [0, -20, 10, -10]),
    (("faces", 0, "face", "box"), [0, 0, 10]),
    (("faces", 0, "face", "landmarks"), [1] * 9),
    (("faces", 0, "face", "landmarks"), [1] * 9 + [1e30]),
    (("faces", 0, "face", "detection_score"), 1.5),
    (("faces", 0, "face", "name"), "somebody"),
    (("faces", 0, "score"), 101),
    (("faces", 0, "score"), True),
    (("faces", 0, "template"), [0.1]),
    (("faces", 0, "components"), [{}] * 33),
    (("faces", 0, "components", 0, "verdict"), "fine"),
    (("faces", 0, "components", 0, "value"), "14"),
    (("faces", 0, "components", 0, "sentence"), "x" * (MAX_TEXT + 1)),
    (("faces", 0, "components", 0, "sentence"), "two\nlines"),
]


@pytest.mark.parametrize(("path", "value"), CHANGES, ids=[f"{path}={str(value)[:20]}" for path, value in CHANGES])
def test_one_wrong_field_and_nothing_of_the_answer_is_believed(path: tuple[str | int, ...], value: object) -> None:
    answer: Any = json.loads(encode_answer(REPORT)[0])
    decode_answer(InspectRequest(), json.dumps(answer).encode(), b"")
    target = answer
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(ProtocolError):
        decode_answer(InspectRequest(), json.dumps(answer).encode(), b"")


def test_too_many_faces_are_refused() -> None:
    answer: Any = json.loads(encode_answer(REPORT)[0])
    answer["faces"] = answer["faces"][:1] * (MAX_FACES + 1)
    with pytest.raises(ProtocolError):
        decode_answer(InspectRequest(), json.dumps(answer).encode(), b"")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    header = encode_answer(REPORT)[0].replace(b"0.987", number.encode())
    assert number.encode() in header
    with pytest.raises(ProtocolError):
        decode_answer(InspectRequest(), header, b"")


def test_the_body_has_to_be_what_the_size_says() -> None:
    header, body = encode_answer(CROP)
    for wrong in (b"", body[:-1], body + b"x"):
        with pytest.raises(ProtocolError):
            decode_answer(CROP_REQUEST, header, wrong)
    large = CroppedFace(FaceCrop(np.zeros((1, 1025, 3), np.uint8), LANDMARKS), {})
    with pytest.raises(ProtocolError):
        decode_answer(CROP_REQUEST, *encode_answer(large))


def test_a_preview_is_a_jpeg_of_at_most_the_size_that_was_asked_for() -> None:
    request = PreviewRequest(64)
    for wrong in (
        replace(PREVIEW, width=65),
        replace(PREVIEW, jpeg=b"<svg onload=alert(1)>"),
        replace(PREVIEW, jpeg=b""),
    ):
        with pytest.raises(ProtocolError):
            decode_answer(request, *encode_answer(wrong))


def test_an_answer_to_another_question_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_answer(CROP_REQUEST, *encode_answer(REPORT))
    with pytest.raises(ProtocolError):
        decode_answer(InspectRequest(), *encode_answer(CROP))
    with pytest.raises(ProtocolError):
        decode_answer(InspectRequest(), encode_answer(WorkerFailure("a", "b"))[0], b"a body")


def test_what_an_answer_may_weigh_follows_from_the_question() -> None:
    assert max_body_bytes(InspectRequest()) == 0
    assert max_body_bytes(CROP_REQUEST) < 4_000_000
    assert max_body_bytes(PreviewRequest(100)) < max_body_bytes(PreviewRequest(1000)) < 4_000_000


@pytest.mark.parametrize(
    "request_json",
    [
        {"do": "embed"},
        {"do": "inspect", "more": 1},
        {"do": "preview_all", "max_side_px": 100_000},
        {"do": "preview_all", "max_side_px": 0},
        {"do": "crop"},
        {"do": "crop", "chosen": {}, "bystanders": []},
    ],
)
def test_a_request_that_is_none_is_refused(request_json: object) -> None:
    with pytest.raises(ProtocolError):
        decode_request(json.dumps(request_json).encode())


@given(st.text())
def test_whatever_a_library_says_can_be_sent(text: str) -> None:
    failure = WorkerFailure("decode_failed", text, text)
    answer = decode_answer(InspectRequest(), *encode_answer(failure))
    assert answer == WorkerFailure("decode_failed", printable(text), printable(text))


@given(st.binary(max_size=300), st.binary(max_size=30))
def test_random_bytes_are_a_protocol_error_for_every_question(header: bytes, body: bytes) -> None:
    for request in (InspectRequest(), CROP_REQUEST, PreviewRequest(64)):
        with pytest.raises(ProtocolError):
            decode_answer(request, header, body)
