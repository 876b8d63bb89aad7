"""A sandboxed worker: the only process that decodes uploaded pictures. Run as `python -I -m rtcc_bridge.probes.worker`.

It loads its models, warms everything up once, gives up files, network and privileges, says what is in force, and then
answers requests on its two pipes until the parent closes them. It keeps nothing between two requests; a picture that
takes it over could still listen to the ones after it, which is why the parent replaces it after a number of jobs.
"""

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from rtcc_bridge.matching.errors import MatchingError, UnreadableImageError
from rtcc_bridge.probes.clip_messages import (
    ClipAnswer,
    ClipIndexRequest,
    ClipRequest,
    ClipSheetRequest,
    ClipStillRequest,
)
from rtcc_bridge.probes.sandbox import SandboxLimits, SandboxUnavailableError, enter_sandbox
from rtcc_bridge.probes.worker_messages import (
    Answer,
    CroppedFace,
    CropRequest,
    FoundFacesReport,
    Hello,
    InspectRequest,
    PortraitRequest,
    Preview,
    PreviewRequest,
    Request,
    SeenPortrait,
    WorkerFailure,
    decode_request,
    encode_answer,
    encode_hello,
)
from rtcc_bridge.probes.worker_protocol import (
    ANSWER_LENGTHS,
    CHUNK_BYTES,
    END_OF_UPLOAD,
    LENGTH,
    MAX_REQUEST_JSON_BYTES,
    UPLOAD_GIVEN_UP,
    ProtocolError,
)

REFUSED_EXIT_CODE: Final = 78
"""EX_CONFIG of sysexits.h: something has to be installed, allowed or configured first."""


class PictureWork(Protocol):
    """What a worker does with pictures. `data` is an untrusted upload.

    Every method may raise UnreadableImageError (the picture is at fault); whatever else it raises ends the worker.
    """

    def inspect(self, data: bytes, request: InspectRequest) -> FoundFacesReport: ...

    def portrait(self, data: bytes, request: PortraitRequest) -> SeenPortrait: ...

    def crop(self, data: bytes, request: CropRequest) -> CroppedFace: ...

    def preview(self, data: bytes, request: PreviewRequest) -> Preview: ...

    def clip(self, data: bytes, request: ClipRequest) -> ClipAnswer: ...


class Pipes:
    """The worker's end of the two pipes. Reading and writing block."""

    def __init__(self, read_descriptor: int, write_descriptor: int, max_upload_bytes: int) -> None:
        self._read_descriptor = read_descriptor
        self._write_descriptor = write_descriptor
        self._max_upload_bytes = max_upload_bytes
        self._buffer = bytearray()
        """What was read and not asked for yet: of one request, since the parent waits for the answer."""

    def next_request(self) -> tuple[Request, bytes] | None:
        """The next request with its whole picture; None when the parent has closed the pipe. Skips what is given up."""
        while (length := self._read(LENGTH.size)) is not None:
            request_bytes = LENGTH.unpack(length)[0]
            if request_bytes > MAX_REQUEST_JSON_BYTES:
                raise ProtocolError("a request is too long")
            request = decode_request(self._read_all(request_bytes))
            data = self._read_upload()
            if data is not None:
                return request, data
        return None

    def _read_upload(self) -> bytes | None:
        data = bytearray()
        while (length := LENGTH.unpack(self._read_all(LENGTH.size))[0]) != END_OF_UPLOAD:
            if length == UPLOAD_GIVEN_UP:
                return None
            if len(data) + length > self._max_upload_bytes:
                raise ProtocolError("an upload is too long")
            data += self._read_all(length)
        return bytes(data)

    def answer(self, header: bytes, body: bytes = b"") -> None:
        view = memoryview(b"".join((ANSWER_LENGTHS.pack(len(header), len(body)), header, body)))
        while view:
            view = view[os.write(self._write_descriptor, view) :]

    def _read(self, size: int) -> bytes | None:
        """Exactly `size` bytes; None at the end of the pipe."""
        while len(self._buffer) < size:
            part = os.read(self._read_descriptor, CHUNK_BYTES)
            if not part:
                return None
            self._buffer += part
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _read_all(self, size: int) -> bytes:
        data = self._read(size)
        if data is None:
            raise ProtocolError("the parent closed the pipe in the middle of a request")
        return data


def run(make_work: Callable[[], PictureWork], max_upload_bytes: int, limits: SandboxLimits) -> int:
    """Start up, lock up, serve until the pipe closes; returns the exit code. Blocks for the life of the worker."""
    read_descriptor, write_descriptor = _take_over_pipes()
    pipes = Pipes(read_descriptor, write_descriptor, max_upload_bytes)
    try:
        work = make_work()
        _silence()
        report = enter_sandbox(read_descriptor, write_descriptor, limits)
    except (SandboxUnavailableError, MatchingError, OSError) as error:
        pipes.answer(encode_hello(Hello(None, str(error))))
        return REFUSED_EXIT_CODE
    pipes.answer(encode_hello(Hello(report, "")))
    while (asked := pipes.next_request()) is not None:
        answer = perform(work, *asked)
        pipes.answer(*encode_answer(answer))
        if isinstance(answer, WorkerFailure) and answer.last:
            break
    return 0


def perform(work: PictureWork, request: Request, data: bytes) -> Answer | WorkerFailure:
    """The answer to one request; a picture can make it a failure but cannot make this raise."""
    try:
        return _dispatch(work, request, data)
    except UnreadableImageError as error:
        return WorkerFailure(error.reason, str(error))
    except Exception as error:  # noqa: BLE001  decoders and networks raise anything; the caller is owed an answer
        detail = f"{type(error).__name__}: {error}"
        if _ran_out_of_memory(error):
            message = "the picture needs more memory than one picture may use: send a smaller one"
            return WorkerFailure("decode_memory", message, detail, last=True)
        message = "the picture cannot be worked on: save it again as JPEG or PNG, and send that"
        return WorkerFailure("decode_failed", message, detail, last=True)


def _dispatch(work: PictureWork, request: Request, data: bytes) -> Answer:
    match request:
        case InspectRequest():
            return work.inspect(data, request)
        case PortraitRequest():
            return work.portrait(data, request)
        case CropRequest():
            return work.crop(data, request)
        case PreviewRequest():
            return work.preview(data, request)
        case ClipIndexRequest() | ClipSheetRequest() | ClipStillRequest():
            return work.clip(data, request)


def _ran_out_of_memory(error: BaseException | None) -> bool:
    """NumPy and Pillow raise MemoryError; OpenCV and ONNX Runtime only say it in the text of their own errors."""
    while error is not None:
        if isinstance(error, MemoryError) or any(
            words in str(error) for words in ("bad_alloc", "Failed to allocate memory", "Insufficient memory")
        ):
            return True
        error = error.__cause__
    return False


def _take_over_pipes() -> tuple[int, int]:
    """Move the pipes away from standard input and output, so that nothing a library prints is taken for an answer.

    Standard error is left until the worker is ready, for the parent's log.
    """
    read_descriptor, write_descriptor = os.dup(0), os.dup(1)
    with contextlib.suppress(OSError):  # where the user has too many large pipes already, a small one does as well
        fcntl.fcntl(write_descriptor, fcntl.F_SETPIPE_SZ, CHUNK_BYTES)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return read_descriptor, write_descriptor


def _silence() -> None:
    """Let go of standard error: what is printed about a picture would stand in a log for ever."""
    os.dup2(0, 1)
    os.dup2(0, 2)


def prepare(arguments: Sequence[str]) -> tuple[Callable[[], PictureWork], int, SandboxLimits]:
    """What `run` takes, from the command line: how the work is made, the most bytes of an upload, and the limits."""
    parser = argparse.ArgumentParser(prog="rtcc-bridge-worker", allow_abbrev=False)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--min-face-px", type=int)
    parser.add_argument("--max-upload-bytes", type=int, required=True)
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--max-detection-pixels", type=int, required=True)
    parser.add_argument("--memory-bytes", type=int, required=True)
    parser.add_argument("--cpu-seconds", type=int, required=True)
    parser.add_argument("--max-clip-bytes", type=int, default=0)
    parser.add_argument("--max-clip-seconds", type=float, default=0)
    parser.add_argument("--max-clip-frames", type=int, default=0)
    parser.add_argument("--clip-reading-seconds", type=float, default=0)
    given = parser.parse_args(arguments)

    def make_work() -> PictureWork:
        from rtcc_bridge.matching.decode import DecodeLimits  # noqa: PLC0415  a worker that refuses to start needs none
        from rtcc_bridge.probes.worker_tasks import FaceWork, open_clip_work  # noqa: PLC0415  nor the decoders

        limits = DecodeLimits(given.max_upload_bytes, given.max_pixels)
        clips = None
        if given.max_clip_bytes:
            clips = open_clip_work(
                given.max_clip_bytes, given.max_clip_seconds, given.max_clip_frames, given.clip_reading_seconds
            )
        return FaceWork(given.pack, given.min_face_px, limits, given.max_detection_pixels, clips)

    largest = max(given.max_upload_bytes, given.max_clip_bytes)
    return make_work, largest, SandboxLimits(given.memory_bytes, given.cpu_seconds)


if __name__ == "__main__":
    sys.exit(run(*prepare(sys.argv[1:])))
