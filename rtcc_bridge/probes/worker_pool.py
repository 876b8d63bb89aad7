"""Reads uploaded pictures: finds faces, cuts the chosen one out, makes previews, each in a sandboxed process.

A caller borrows a worker for one picture, in its own task: when it is cancelled, or the worker hangs, dies or lies,
that worker is killed and another takes its place. The queue is bounded; who finds it full is told when to come back.
A worker is also replaced after a number of jobs, so that a picture that took one over without a sign of it does not see
many others.
"""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import structlog

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import DetectedFace, Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.clip_messages import (
    ClipIndex,
    ClipIndexRequest,
    ClipPlace,
    ClipSheet,
    ClipSheetRequest,
    ClipStill,
    ClipStillRequest,
)
from rtcc_bridge.probes.worker_messages import (
    CroppedFace,
    CropRequest,
    FoundFacesReport,
    InspectRequest,
    PortraitRequest,
    Preview,
    PreviewRequest,
    Request,
    SeenPortrait,
    WorkerFailure,
)
from rtcc_bridge.probes.worker_process import WorkerLimits, WorkerLostError, is_about_clip
from rtcc_bridge.probes.worker_protocol import CHUNK_BYTES
from rtcc_bridge.probes.worker_slots import WorkerSlots

_log = structlog.get_logger(__name__)

_TOO_SLOW: Final = "the picture took too long to read: save it again as JPEG or PNG, or send a smaller one"
_BREAKS: Final = "the picture made the decoder fail: save it again as JPEG or PNG, and send that"
_CLIP_TOO_SLOW: Final = "the clip took too long to read: cut out the part in which the face is seen best, and send that"
_CLIP_BREAKS: Final = "the clip made the decoder fail: export it again as H.264 in MP4, or send the frame as a still"

_Wanted = TypeVar("_Wanted", FoundFacesReport, SeenPortrait, CroppedFace, Preview, ClipIndex, ClipSheet, ClipStill)


class WorkerPool:
    """The sandboxed workers of this process. An async context manager; entering it starts them.

    Entering raises ConfigurationError when a worker refuses to start and UnavailableError when one does not get ready.
    """

    def __init__(self, command: Sequence[str], limits: WorkerLimits, metrics: Metrics) -> None:
        self._slots = WorkerSlots(command, limits, metrics)
        self._metrics = metrics

    async def __aenter__(self) -> Self:
        await self._slots.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._slots.close()

    @property
    def ready(self) -> bool:
        """Whether a picture sent now would be read."""
        return self._slots.ready

    @property
    def problem(self) -> str:
        """Why the pool is not ready, for a person; empty when it is."""
        return self._slots.problem

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The workers that are up."""
        return self._slots.process_ids

    async def inspect(
        self, upload: AsyncIterator[bytes], lane: Lane = Lane.ROUTINE, edits: Sequence[Edit] = ()
    ) -> FoundFacesReport:
        """Find and grade the faces of an upload after its edits. Who waits for an imminent threat gets the next worker.

        A worker is borrowed before the first chunk is asked for, and kept until the last one: give it what is there
        already, not what a client is still sending.

        Raises InvalidInputError (not a picture that is accepted, too large, too slow, or one that makes the decoder
        fail; the message says what to do), BusyError (too many pictures), UnavailableError (no worker), and whatever
        `upload` raises.
        """
        return await self._perform(InspectRequest(tuple(edits)), upload, FoundFacesReport, lane)

    async def portrait(self, data: bytes, *, aligned: bool = False) -> SeenPortrait:
        """As `inspect` for a picture of one person, whose face is cut out as well, or aligned for the workers' pack.

        Raises as `inspect` does.
        """
        return await self._perform(PortraitRequest(aligned), _chunks(data), SeenPortrait, Lane.ROUTINE)

    async def crop(
        self,
        data: bytes,
        chosen: DetectedFace,
        bystanders: Sequence[DetectedFace],
        lane: Lane = Lane.ROUTINE,
        edits: Sequence[Edit] = (),
    ) -> CroppedFace:
        """Cut the chosen face out losslessly, the bystanders masked (P04). Raises as `inspect` does."""
        request = CropRequest(chosen, tuple(bystanders), tuple(edits))
        return await self._perform(request, _chunks(data), CroppedFace, lane)

    async def preview(
        self,
        data: bytes,
        max_side_px: int,
        chosen: DetectedFace | None = None,
        bystanders: Sequence[DetectedFace] = (),
        lane: Lane = Lane.ROUTINE,
        edits: Sequence[Edit] = (),
    ) -> Preview:
        """A JPEG for the screen without metadata, its longer side at most `max_side_px` (64 to 4096).

        Once a face is chosen the bystanders are masked (P04). Raises as `inspect` does.
        """
        request = PreviewRequest(max_side_px, chosen, tuple(bystanders), tuple(edits))
        return await self._perform(request, _chunks(data), Preview, lane)

    async def clip_index(self, upload: AsyncIterator[bytes], lane: Lane = Lane.ROUTINE) -> ClipIndex:
        """The frames of a clip: when each is shown and how sharp it is as a whole. Reads and raises as `inspect`."""
        return await self._perform(ClipIndexRequest(), upload, ClipIndex, lane)

    async def clip_sheet(
        self, upload: AsyncIterator[bytes], places: Sequence[ClipPlace], max_side_px: int, lane: Lane = Lane.ROUTINE
    ) -> ClipSheet:
        """These frames, one below the other in one JPEG. Reads and raises as `inspect` does."""
        return await self._perform(ClipSheetRequest(tuple(places), max_side_px), upload, ClipSheet, lane)

    async def clip_still(self, upload: AsyncIterator[bytes], place: ClipPlace, lane: Lane = Lane.ROUTINE) -> ClipStill:
        """This frame without loss. Reads and raises as `inspect` does."""
        return await self._perform(ClipStillRequest(place), upload, ClipStill, lane)

    async def _perform(
        self, request: Request, upload: AsyncIterator[bytes], wanted: type[_Wanted], lane: Lane
    ) -> _Wanted:
        async with self._slots.borrow(lane) as worker:
            try:
                answer = await worker.ask(request, upload)
            except WorkerLostError as lost:
                _log.warning("picture worker lost", reason=lost.reason, detail=str(lost), pid=worker.pid)
                self._metrics.worker_restarts_total.labels(lost.reason).inc()
                clip = is_about_clip(request)
                if lost.reason == "timeout":
                    raise InvalidInputError(_CLIP_TOO_SLOW if clip else _TOO_SLOW, reason="decode_timeout") from lost
                raise InvalidInputError(_CLIP_BREAKS if clip else _BREAKS, reason="decoder_crashed") from lost
        if isinstance(answer, WorkerFailure):
            if answer.last:
                _log.warning("picture worker gave up", reason=answer.reason, detail=answer.detail)
                self._metrics.worker_restarts_total.labels(answer.reason).inc()
            raise InvalidInputError(answer.message, reason=answer.reason)
        assert isinstance(answer, wanted)
        return answer


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
