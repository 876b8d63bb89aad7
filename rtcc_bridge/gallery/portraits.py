"""From the bytes of a picture to the template of the one face on it."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.types import FaceCrop, Float32Array
from rtcc_bridge.probes.worker_messages import SeenPortrait
from rtcc_bridge.turns import limited

_NOT_A_FACE: Final = "not_a_face"


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """The one face of a picture: all that is left of it for the face work."""

    crop: FaceCrop
    quality_score: int


class Portraits(Protocol):
    """Reads portraits and makes their templates. Several may be read at the same time."""

    async def read(self, data: bytes) -> Portrait:
        """Raises SetAsideError when the picture does not show exactly one usable face; UnavailableError."""
        ...

    async def templates(self, portraits: Sequence[Portrait]) -> Float32Array:
        """float32 (N, D), each of length 1; N > 0.

        Raises InferenceError when the model failed, ValueError when the landmarks of a face coincide.
        """
        ...


class PortraitReader(Protocol):
    """Looks at pictures of one person each. `WorkerPool` does it."""

    async def portrait(self, data: bytes, /, *, aligned: bool = False) -> SeenPortrait:
        """aligned: the face comes as the workers' own pack takes it. Raises as `PictureReader.inspect` does."""
        ...


class SandboxedPortraits:
    """Reads portraits in sandboxed workers and makes the templates here, as a search does of an analyst's still.

    The pictures are the agency's own, yet other systems wrote them, and a decoder breaks for a file and not for its
    owner. The reader's pack is the embedder's.
    """

    def __init__(
        self,
        reader: PortraitReader,
        embedder: FaceEmbedder,
        most_faces: int | None = None,
        *,
        at_once: int | None = None,
        takes_turns: bool = False,
    ) -> None:
        """most_faces: go through the network in one run; None: all.

        at_once: so many pictures are looked at; None: as many as the reader takes. takes_turns: each run of the network
        has the turn of a picture, for a network on the processor: no more face work is done at the same time than there
        are processors, which lose much of their caches each time that one piece of it makes way for another. Otherwise
        there is one run at a time, beside the pictures.
        """
        self._reader = reader
        self._embedder = embedder
        self._most_faces = most_faces
        self._runs_at_once = (at_once or 1) if takes_turns else 1
        self._runs = asyncio.Semaphore(self._runs_at_once)
        if at_once is None:
            self._looks: AbstractAsyncContextManager[None] = nullcontext()
        else:
            self._looks = self._runs if takes_turns else asyncio.Semaphore(at_once)

    async def read(self, data: bytes) -> Portrait:
        """As `Portraits.read` says."""
        async with self._looks:
            return await read_portrait(self._reader, data, aligned=True)

    async def templates(self, portraits: Sequence[Portrait]) -> Float32Array:
        """As `Portraits.templates` says."""
        pieces = _shares([portrait.crop for portrait in portraits], self._most_faces, self._runs_at_once)
        return np.concatenate(await limited(self._runs, self._run, pieces))

    async def _run(self, crops: Sequence[FaceCrop]) -> Float32Array:
        return await asyncio.to_thread(self._embedder.templates, crops)


async def read_portrait(reader: PortraitReader, data: bytes, *, aligned: bool = False) -> Portrait:
    """As `Portraits.read` says. Where several faces are, nobody can tell which of them the row means.

    aligned: for templates of the reader's own pack, which are the same then. Else the crop is fit for any pack.
    """
    try:
        seen = await reader.portrait(data, aligned=aligned)
    except InvalidInputError as error:
        reason = Reason.POOR_QUALITY if error.reason == _NOT_A_FACE else Reason.UNREADABLE
        raise SetAsideError(reason, str(error)) from error
    return Portrait(_only_face(seen), seen.score)


def _shares(crops: Sequence[FaceCrop], most: int | None, at_once: int) -> list[Sequence[FaceCrop]]:
    """One piece, or where it would have too many faces as many alike for each run, so that all end together."""
    if most is None or len(crops) <= most:
        return [crops]
    count = min(len(crops), at_once * math.ceil(len(crops) / (most * at_once)))
    return [crops[len(crops) * piece // count : len(crops) * (piece + 1) // count] for piece in range(count)]


def _only_face(seen: SeenPortrait) -> FaceCrop:
    if not seen.faces:
        raise SetAsideError(Reason.NO_FACE, "no face was found")
    if seen.faces > 1:
        raise SetAsideError(Reason.SEVERAL_FACES, f"{seen.faces} faces were found: cut out the one that is meant")
    if seen.crop is None:
        raise SetAsideError(Reason.POOR_QUALITY, "; ".join(seen.sentences))
    return seen.crop
