"""The parent's handle on one sandboxed worker: start it, ask it, end it. Never more than one question at a time."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, InvalidInputError, UnavailableError
from rtcc_bridge.probes.clip_messages import ClipIndexRequest, ClipSheetRequest, ClipStillRequest
from rtcc_bridge.probes.sandbox import SandboxReport
from rtcc_bridge.probes.worker_messages import (
    Answer,
    Hello,
    Request,
    WorkerFailure,
    decode_answer,
    decode_hello,
    encode_request,
    max_body_bytes,
)
from rtcc_bridge.probes.worker_protocol import (
    ANSWER_LENGTHS,
    CHUNK_BYTES,
    END_OF_UPLOAD,
    LENGTH,
    MAX_ANSWER_JSON_BYTES,
    UPLOAD_GIVEN_UP,
    ProtocolError,
)

PASSED_ON: Final = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "LD_LIBRARY_PATH")
"""What a worker inherits from the environment: which CPU the arithmetic is for, and where libraries lie. No secrets."""

ENVIRONMENT: Final[Mapping[str, str]] = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "OPENCV_OPENCL_RUNTIME": "disabled",
    # ONNX Runtime 1.29 and later reports its use to its maker from a thread of its own unless told not to.
    "ORT_DISABLE_TELEMETRY": "1",
}
_FORBIDDEN: Final = f"signal {signal.SIGSYS.name}"
_STDERR_TAIL_BYTES: Final = 2000
_START_CPU_SECONDS: Final = 120
_READING_SHARE: Final = 0.8
"""Of the time for a clip: a worker that sees that it will not be done says so, and lives."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How many workers there are and what they may use. Times are in seconds, sizes in bytes or pixels.

    max_clip_bytes: 0 for workers that read stills alone, which then do not load what reads clips.
    """

    workers: int = 1
    max_upload_bytes: int = 25_000_000
    max_pixels: int = 50_000_000
    max_detection_pixels: int = 12_000_000
    memory_bytes: int = 4_000_000_000
    timeout_seconds: float = 30.0
    upload_timeout_seconds: float = 120.0
    jobs_per_worker: int = 50
    rest_seconds: float = 60.0
    max_waiting: int = 8
    wait_timeout_seconds: float = 60.0
    start_timeout_seconds: float = 60.0
    start_attempts: int = 3
    restart_pause_seconds: float = 30.0
    stop_timeout_seconds: float = 3.0
    max_clip_bytes: int = 0
    max_clip_seconds: float = 300.0
    max_clip_frames: int = 10_000
    clip_timeout_seconds: float = 60.0

    @property
    def cpu_seconds(self) -> int:
        """The backstop behind the time limit: what a worker may compute in its whole life."""
        of_a_job = max(self.timeout_seconds, self.clip_timeout_seconds if self.max_clip_bytes else 0.0)
        return _START_CPU_SECONDS + int(self.jobs_per_worker * of_a_job)

    def seconds_for(self, request: Request) -> float:
        """How long the answer to this request may take."""
        return self.clip_timeout_seconds if is_about_clip(request) else self.timeout_seconds

    def bytes_for(self, request: Request) -> int:
        """How large what is sent with this request may be."""
        return self.max_clip_bytes if is_about_clip(request) else self.max_upload_bytes


def is_about_clip(request: Request) -> bool:
    """Whether a clip is sent with this request, and no still."""
    return isinstance(request, ClipIndexRequest | ClipSheetRequest | ClipStillRequest)


class WorkerStartError(UnavailableError):
    """A worker did not become ready; another attempt may succeed."""


class WorkerLostError(Exception):
    """The worker ended, hung or lied in the middle of a job; it has to be replaced.

    reason: timeout, crashed, forbidden (it tried a forbidden system call) or protocol (it did not speak it).
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def worker_command(pack: Path, min_face_px: int | None, limits: WorkerLimits) -> tuple[str, ...]:
    """The command line of a production worker that finds faces with the model pack in the folder `pack`.

    min_face_px: None for what the pack says.
    """
    options: dict[str, Path | float] = {
        "--pack": pack,
        "--max-upload-bytes": limits.max_upload_bytes,
        "--max-pixels": limits.max_pixels,
        "--max-detection-pixels": limits.max_detection_pixels,
        "--memory-bytes": limits.memory_bytes,
        "--cpu-seconds": limits.cpu_seconds,
    }
    if min_face_px is not None:
        options["--min-face-px"] = min_face_px
    if limits.max_clip_bytes:
        options |= {
            "--max-clip-bytes": limits.max_clip_bytes,
            "--max-clip-seconds": limits.max_clip_seconds,
            "--max-clip-frames": limits.max_clip_frames,
            "--clip-reading-seconds": _READING_SHARE * limits.clip_timeout_seconds,
        }
    words = [word for name, value in options.items() for word in (name, str(value))]
    return (sys.executable, "-I", "-m", "rtcc_bridge.probes.worker", *words)


class WorkerProcess:
    """One running worker. `usable` is False while a question is under way and for ever after one went wrong."""

    def __init__(self, process: asyncio.subprocess.Process, limits: WorkerLimits) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._limits = limits
        self._unsent = bytearray()
        self._stderr_tail = b""
        self._stderr_reader = asyncio.create_task(self._keep_stderr_tail(process.stderr))
        self.usable = False
        self.jobs = 0
        self.report = SandboxReport(seccomp=False, namespaces=(), user_id=0, notes=())

    @classmethod
    async def start(cls, command: Sequence[str], limits: WorkerLimits) -> "WorkerProcess":
        """Start a worker and wait until it has loaded its models and locked itself up.

        Raises ConfigurationError when it refuses (no sandbox to be had, a broken model pack), WorkerStartError when it
        ends or says nothing in time. No process is left behind in either case.
        """
        env = {**ENVIRONMENT, **{name: os.environ[name] for name in PASSED_ON if name in os.environ}}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, limit=CHUNK_BYTES
            )
        except OSError as error:
            raise WorkerStartError(f"a picture worker cannot be started: {error}") from error
        worker = cls(process, limits)
        try:
            hello = await worker._hello()
            if hello.report is None:
                cause = f"the picture worker refuses to start: {hello.refusal}"
                raise ConfigurationError(ConfigurationProblem("intake", cause, "Correct that and start again"))
            worker.report = hello.report
        except BaseException:
            await asyncio.shield(worker.stop(grace_seconds=0))
            raise
        worker.usable = True
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def ask(self, request: Request, upload: AsyncIterator[bytes]) -> Answer | WorkerFailure:
        """Send a request with its picture, return the checked answer.

        Raises InvalidInputError for an upload that is too large or too slow (the worker stays usable), whatever
        `upload` raises (likewise), and WorkerLostError when the worker has to be replaced. When the caller is cancelled
        the worker is left unusable in the middle of its job.
        """
        self.usable = False
        self.jobs += 1
        await self._send(request, upload)
        try:
            async with asyncio.timeout(self._limits.seconds_for(request)):
                header, body = await self._read_answer(max_body_bytes(request))
            answer = decode_answer(request, header, body)
        except TimeoutError:
            raise WorkerLostError("timeout", f"no answer within {self._limits.seconds_for(request):g} s") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            raise await self._lost() from None
        except ProtocolError as error:
            raise WorkerLostError("protocol", str(error)) from error
        self.usable = not (isinstance(answer, WorkerFailure) and answer.last)
        return answer

    async def _send(self, request: Request, upload: AsyncIterator[bytes]) -> None:
        encoded = encode_request(request)
        await self._write(LENGTH.pack(len(encoded)))
        await self._write(encoded)
        try:
            async with asyncio.timeout(self._limits.upload_timeout_seconds) as limit:
                await self._send_upload(upload, self._limits.bytes_for(request))
        except WorkerLostError:
            raise
        except Exception as error:
            # The upload failed and not the worker: it forgets the half picture and stays.
            await self._write(LENGTH.pack(UPLOAD_GIVEN_UP))
            await self._flush()
            self.usable = True
            if limit.expired():
                raise InvalidInputError(
                    f"the upload was not complete after {self._limits.upload_timeout_seconds:g} seconds: send it again",
                    reason="upload_timeout",
                ) from error
            raise

    async def _send_upload(self, upload: AsyncIterator[bytes], most_bytes: int) -> None:
        sent = 0
        async for chunk in upload:
            sent += len(chunk)
            if sent > most_bytes:
                raise InvalidInputError(
                    f"the upload is larger than {most_bytes / 1e6:g} MB: send a smaller copy",
                    reason="too_large",
                )
            for start in range(0, len(chunk), CHUNK_BYTES):
                part = chunk[start : start + CHUNK_BYTES]
                await self._write(LENGTH.pack(len(part)))
                await self._write(part)
        await self._write(LENGTH.pack(END_OF_UPLOAD))
        await self._flush()

    async def _write(self, data: bytes) -> None:
        """Hand bytes to the worker, many at once: to wake it costs more than to copy a small picture."""
        self._unsent += data
        if len(self._unsent) >= CHUNK_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        """Send what is held back to the worker, which reads at once unless something is wrong with it."""
        data, self._unsent = self._unsent, bytearray()
        self._stdin.write(data)
        try:
            async with asyncio.timeout(self._limits.timeout_seconds) as limit:
                await self._stdin.drain()
        except ConnectionError:
            raise await self._lost() from None
        except TimeoutError:
            # The limit around the whole upload may have struck in here as well.
            if not limit.expired():
                raise
            raise WorkerLostError("timeout", f"it read nothing for {self._limits.timeout_seconds:g} s") from None

    async def _read_answer(self, body_limit: int) -> tuple[bytes, bytes]:
        header_bytes, body_bytes = ANSWER_LENGTHS.unpack(await self._stdout.readexactly(ANSWER_LENGTHS.size))
        if header_bytes > MAX_ANSWER_JSON_BYTES or body_bytes > body_limit:
            raise ProtocolError(f"an answer of {header_bytes} and {body_bytes} bytes was announced")
        return await self._stdout.readexactly(header_bytes), await self._stdout.readexactly(body_bytes)

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(self._limits.start_timeout_seconds):
                return decode_hello((await self._read_answer(0))[0])
        except TimeoutError:
            raise WorkerStartError(
                f"a picture worker was not ready after {self._limits.start_timeout_seconds:g} seconds"
            ) from None
        except ProtocolError as error:
            raise WorkerStartError(f"a picture worker did not start as one: {error}") from error
        except (ConnectionError, asyncio.IncompleteReadError):
            ended = await self._how_it_ended()
            said = self._stderr_tail.decode(errors="replace").strip() or "no message"
            raise WorkerStartError(f"a picture worker ended before it was ready ({ended}): {said}") from None

    async def _how_it_ended(self) -> str:
        """Wait for the end that a closed pipe announces, and put it in words."""
        try:
            async with asyncio.timeout(self._limits.stop_timeout_seconds):
                code = await self._process.wait()
                await self._stderr_reader
        except TimeoutError:
            return "it closed its pipe and went on"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    async def _lost(self) -> WorkerLostError:
        ended = await self._how_it_ended()
        return WorkerLostError("forbidden" if ended == _FORBIDDEN else "crashed", ended)

    async def _keep_stderr_tail(self, stream: asyncio.StreamReader) -> None:
        while part := await stream.read(4096):
            self._stderr_tail = (self._stderr_tail + part)[-_STDERR_TAIL_BYTES:]

    def kill(self) -> None:
        """End it at once; `stop` still has to be awaited, to reap it."""
        self.usable = False
        if not self.ended:
            self._process.kill()

    async def stop(self, grace_seconds: float) -> None:
        """End it: close its pipe, ask with SIGTERM, insist with SIGKILL after `grace_seconds`; always reaps it."""
        self.usable = False
        self._stdin.close()
        if not self.ended and grace_seconds > 0:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self._process.wait()
        self.kill()
        # The end is only reported once the pipes are read to theirs.
        with contextlib.suppress(ConnectionError):
            while await self._stdout.read(CHUNK_BYTES):
                pass
        await self._process.wait()
        await self._stderr_reader
