"""What the desks ask of whoever reads pictures. `WorkerPool` does it; tests may bring a stand-in."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import DetectedFace, Lane
from rtcc_bridge.probes.clip_messages import ClipIndex, ClipPlace, ClipSheet, ClipStill
from rtcc_bridge.probes.worker_messages import CroppedFace, FoundFacesReport, Preview


class PictureReader(Protocol):
    """Finds faces in pictures, cuts the chosen one out, makes previews.

    Every call raises InvalidInputError when the picture is at fault (it cannot be read, is too large, takes too long;
    the message says what to do), BusyError when too many pictures wait, and UnavailableError when nobody can read one.
    A call that failed or was cancelled does the next one no harm. The lane says who waits behind whom. Faces are those
    of the picture after its edits, which are applied to the original each time (P05).
    """

    async def inspect(
        self, upload: AsyncIterator[bytes], lane: Lane = Lane.ROUTINE, edits: Sequence[Edit] = (), /
    ) -> FoundFacesReport:
        """Finds and grades the faces. No face is a result. Whatever `upload` raises passes through."""
        ...

    async def crop(
        self,
        data: bytes,
        chosen: DetectedFace,
        bystanders: Sequence[DetectedFace],
        lane: Lane = Lane.ROUTINE,
        edits: Sequence[Edit] = (),
        /,
    ) -> CroppedFace:
        """Cuts the chosen face out losslessly, the bystanders masked (P04)."""
        ...

    async def preview(
        self,
        data: bytes,
        max_side_px: int,
        chosen: DetectedFace | None = None,
        bystanders: Sequence[DetectedFace] = (),
        lane: Lane = Lane.ROUTINE,
        edits: Sequence[Edit] = (),
        /,
    ) -> Preview:
        """A JPEG without metadata, its longer side at most `max_side_px`.

        Once a face is chosen the bystanders are masked (P04).
        """
        ...


class ClipReader(Protocol):
    """Reads clips, and looks for nobody's face in them (P03). Raises as a `PictureReader` does, of the clip.

    A clip is asked for once somebody is there to read it, so that those that wait take no memory.
    """

    async def clip_index(self, upload: AsyncIterator[bytes], lane: Lane = Lane.ROUTINE, /) -> ClipIndex:
        """The frames that are whole, when each is shown and how sharp it is."""
        ...

    async def clip_sheet(
        self,
        upload: AsyncIterator[bytes],
        places: Sequence[ClipPlace],
        max_side_px: int,
        lane: Lane = Lane.ROUTINE,
        /,
    ) -> ClipSheet:
        """These frames one below the other as a JPEG without metadata."""
        ...

    async def clip_still(
        self, upload: AsyncIterator[bytes], place: ClipPlace, lane: Lane = Lane.ROUTINE, /
    ) -> ClipStill:
        """This frame as a PNG, upright and in full size."""
        ...
