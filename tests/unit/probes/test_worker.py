"""The worker's own loop, without its sandbox: what it reads, and that no picture makes it raise."""

import os
from collections.abc import Iterator

import pytest

from rtcc_bridge.matching.errors import InferenceError, UnreadableImageError
from rtcc_bridge.probes.clip_messages import ClipAnswer, ClipRequest
from rtcc_bridge.probes.worker import Pipes, perform
from rtcc_bridge.probes.worker_messages import (
    CroppedFace,
    CropRequest,
    FoundFacesReport,
    InspectRequest,
    PortraitRequest,
    Preview,
    PreviewRequest,
    SeenPortrait,
    WorkerFailure,
    encode_request,
)
from rtcc_bridge.probes.worker_protocol import END_OF_UPLOAD, LENGTH, UPLOAD_GIVEN_UP, ProtocolError

REQUEST = encode_request(InspectRequest())
START = LENGTH.pack(len(REQUEST)) + REQUEST
END = LENGTH.pack(END_OF_UPLOAD)


class Failing:
    """Work that raises what it was given."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def inspect(self, data: bytes, request: InspectRequest) -> FoundFacesReport:
        raise self._error

    def portrait(self, data: bytes, request: PortraitRequest) -> SeenPortrait:
        raise self._error

    def crop(self, data: bytes, request: CropRequest) -> CroppedFace:
        raise self._error

    def preview(self, data: bytes, request: PreviewRequest) -> Preview:
        raise self._error

    def clip(self, data: bytes, request: ClipRequest) -> ClipAnswer:
        raise self._error


class Parent:
    """The parent's end of the pipes."""

    def __init__(self) -> None:
        self.request_read, self.request_write = os.pipe()
        self.answer_read, self.answer_write = os.pipe()

    def pipes(self, max_upload_bytes: int) -> Pipes:
        return Pipes(self.request_read, self.answer_write, max_upload_bytes)

    def send(self, data: bytes) -> None:
        os.write(self.request_write, data)

    def hang_up(self) -> None:
        os.close(self.request_write)
        self.request_write = -1

    def close(self) -> None:
        for descriptor in (self.request_read, self.request_write, self.answer_read, self.answer_write):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def parent() -> Iterator[Parent]:
    pair = Parent()
    yield pair
    pair.close()


def chunk(data: bytes) -> bytes:
    return LENGTH.pack(len(data)) + data


def test_an_upload_is_put_together(parent: Parent) -> None:
    parent.send(START + chunk(b"abc") + chunk(b"de") + END)
    assert parent.pipes(5).next_request() == (InspectRequest(), b"abcde")


def test_two_requests_in_one_piece_come_apart(parent: Parent) -> None:
    parent.send(START + chunk(b"abc") + END + START + chunk(b"de") + END)
    pipes = parent.pipes(5)
    assert [pipes.next_request(), pipes.next_request()] == [(InspectRequest(), b"abc"), (InspectRequest(), b"de")]
    parent.hang_up()
    assert pipes.next_request() is None


def test_an_upload_that_is_given_up_is_forgotten(parent: Parent) -> None:
    parent.send(START + chunk(b"abc") + LENGTH.pack(UPLOAD_GIVEN_UP) + START + chunk(b"x") + END)
    assert parent.pipes(5).next_request() == (InspectRequest(), b"x")


def test_an_upload_over_the_limit_is_not_read(parent: Parent) -> None:
    parent.send(START + chunk(b"abc") + LENGTH.pack(3))
    with pytest.raises(ProtocolError, match="too long"):
        parent.pipes(5).next_request()


def test_a_request_over_the_limit_is_not_read(parent: Parent) -> None:
    parent.send(LENGTH.pack(10_000_000))
    with pytest.raises(ProtocolError, match="too long"):
        parent.pipes(5).next_request()


def test_the_end_of_the_pipe_between_two_requests_is_the_end(parent: Parent) -> None:
    parent.hang_up()
    assert parent.pipes(5).next_request() is None


def test_the_end_of_the_pipe_in_a_request_is_an_error(parent: Parent) -> None:
    parent.send(START + chunk(b"abc"))
    parent.hang_up()
    with pytest.raises(ProtocolError, match="closed the pipe"):
        parent.pipes(5).next_request()


def test_a_picture_at_fault_keeps_the_worker() -> None:
    answer = perform(Failing(UnreadableImageError("truncated", "its end is missing")), InspectRequest(), b"")
    assert answer == WorkerFailure("truncated", "its end is missing", last=False)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("(-4:Insufficient memory) Failed to allocate 9 bytes"),
    ],
)
def test_too_little_memory_is_said_and_ends_the_worker(error: Exception) -> None:
    answer = perform(Failing(error), PreviewRequest(64), b"")
    assert isinstance(answer, WorkerFailure)
    assert (answer.reason, answer.last) == ("decode_memory", True)


def test_too_little_memory_is_found_behind_another_error() -> None:
    error = InferenceError("the network failed")
    error.__cause__ = MemoryError()
    answer = perform(Failing(error), InspectRequest(), b"")
    assert isinstance(answer, WorkerFailure)
    assert answer.reason == "decode_memory"


def test_anything_else_is_an_answer_too_and_ends_the_worker() -> None:
    answer = perform(Failing(ZeroDivisionError("float division")), InspectRequest(), b"")
    assert isinstance(answer, WorkerFailure)
    assert (answer.reason, answer.last) == ("decode_failed", True)
    assert answer.detail == "ZeroDivisionError: float division"
    assert "division" not in answer.message
