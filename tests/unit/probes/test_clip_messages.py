"""What a worker may say of a clip. One that a clip has taken over may say anything: what cannot be is not believed."""

from dataclasses import replace

import pytest

from rtcc_bridge.probes.clip_messages import (
    MAX_CLIP_PIXELS,
    MOST_FRAMES,
    MOST_PLACES,
    ClipFrame,
    ClipIndex,
    ClipIndexRequest,
    ClipPlace,
    ClipRequest,
    ClipSheet,
    ClipSheetRequest,
    ClipStill,
    ClipStillRequest,
)
from rtcc_bridge.probes.worker_messages import (
    Answer,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    max_body_bytes,
)
from rtcc_bridge.probes.worker_protocol import MAX_ANSWER_JSON_BYTES, ProtocolError

FRAMES = tuple(ClipFrame(ClipPlace(number, 33 * number), 10 * number) for number in (1, 2, 4))
INDEX = ClipIndex("mov", "h264", 640, 480, 90, (16, 11), FRAMES, 1, {"clip": 0.5})
PLACES = (ClipPlace(1, 0), ClipPlace(2, 33))
SHEET_REQUEST = ClipSheetRequest(PLACES, 480)
SHEET = ClipSheet(b"\xff\xd8\xff and so on", 480, 720, {"clip": 0.1})
STILL = ClipStill(b"\x89PNG\r\n\x1a\n and so on", 640, 480, {"clip": 0.1})


@pytest.mark.parametrize("request_", [ClipIndexRequest(), SHEET_REQUEST, ClipStillRequest(PLACES[1])])
def test_requests_arrive_as_they_were_sent(request_: ClipRequest) -> None:
    assert decode_request(encode_request(request_)) == request_


def test_answers_arrive_as_they_were_sent() -> None:
    assert decode_answer(ClipIndexRequest(), *encode_answer(INDEX)) == INDEX
    sheet = decode_answer(SHEET_REQUEST, *encode_answer(SHEET))
    assert isinstance(sheet, ClipSheet)
    assert (sheet.jpeg, sheet.width, sheet.height) == (SHEET.jpeg, 480, 720)
    still = decode_answer(ClipStillRequest(PLACES[0]), *encode_answer(STILL))
    assert isinstance(still, ClipStill)
    assert (still.png, still.width, still.height) == (STILL.png, 640, 480)


def test_the_longest_index_fits_into_an_answer() -> None:
    frames = tuple(ClipFrame(ClipPlace(number, 86_000_000 + number), 999_999) for number in range(1, MOST_FRAMES + 1))
    header, body = encode_answer(replace(INDEX, frames=frames))
    assert len(header) < MAX_ANSWER_JSON_BYTES
    assert decode_answer(ClipIndexRequest(), header, body) == replace(INDEX, frames=frames)


@pytest.mark.parametrize(
    ("asked", "lie"),
    [
        (ClipIndexRequest(), replace(INDEX, frames=())),
        (ClipIndexRequest(), replace(INDEX, frames=(FRAMES[1], FRAMES[0]))),
        (ClipIndexRequest(), replace(INDEX, frames=(FRAMES[0], FRAMES[0]))),
        (ClipIndexRequest(), replace(INDEX, frames=(FRAMES[0], ClipFrame(ClipPlace(2, 33), -1)))),
        (ClipIndexRequest(), replace(INDEX, container="hls")),
        (ClipIndexRequest(), replace(INDEX, codec="gif")),
        (ClipIndexRequest(), replace(INDEX, rotation=45)),
        (ClipIndexRequest(), replace(INDEX, pixel_aspect=(0, 1))),
        (ClipIndexRequest(), replace(INDEX, width=MAX_CLIP_PIXELS, height=2)),
        (ClipIndexRequest(), STILL),
        (SHEET_REQUEST, replace(SHEET, width=481)),
        (SHEET_REQUEST, replace(SHEET, height=962)),
        (SHEET_REQUEST, replace(SHEET, height=721)),
        (SHEET_REQUEST, replace(SHEET, jpeg=b"GIF89a")),
        (ClipStillRequest(PLACES[0]), replace(STILL, width=MAX_CLIP_PIXELS, height=2)),
        (ClipStillRequest(PLACES[0]), replace(STILL, png=b"\xff\xd8\xff")),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_is_not_believed(asked: ClipRequest, lie: Answer) -> None:
    with pytest.raises(ProtocolError):
        decode_answer(asked, *encode_answer(lie))


@pytest.mark.parametrize(
    "asked",
    [
        ClipSheetRequest((), 480),
        ClipSheetRequest(PLACES * MOST_PLACES, 480),
        ClipSheetRequest(PLACES, 100_000),
        ClipStillRequest(ClipPlace(0, 0)),
        ClipStillRequest(ClipPlace(1, -1)),
    ],
)
def test_a_request_that_is_out_of_bounds_is_refused(asked: ClipRequest) -> None:
    with pytest.raises(ProtocolError):
        decode_request(encode_request(asked))


def test_no_answer_may_carry_more_bytes_than_its_question_allows() -> None:
    assert max_body_bytes(ClipIndexRequest()) == 0
    assert max_body_bytes(SHEET_REQUEST) < 2 * 480 * 480 * 3 + 100_000
    assert max_body_bytes(ClipStillRequest(PLACES[0])) < 30_000_000
