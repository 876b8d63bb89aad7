"""A matcher forgets the faces that it has searched, once it rests (P24).

Templates are written over where they were made. But the inference runtime keeps its buffers for the next batch, with
what was in them. So as soon as nothing is searched for a while, grey pictures go the same way, in the same thread and
as many at once as the largest batch had: what they leave takes the faces' place. Copies of a template are small enough
for the caches of numpy and of the C library, which hand a block on as it is: so each of those blocks is taken, and
written over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn

import numpy as np

from rtcc_bridge.errors import BridgeError
from rtcc_bridge.matching.batcher import BatchReport
from rtcc_bridge.matching.errors import MatchingError
from rtcc_bridge.matching.pipeline import CandidateFinder, FaceEmbedder
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.types import FaceCrop

REST_SECONDS: Final = 5.0
_LARGEST_KEPT_BYTES: Final = 1040
_KEPT_OF_A_SIZE: Final = 16
_PATTERN: Final = 0x5A
_SIDE_PX: Final = 160
_LANDMARKS: Final = ((56.0, 64.0), (104.0, 64.0), (80.0, 92.0), (60.0, 116.0), (100.0, 116.0))
"""Where eyes, nose and the corners of the mouth are in most pictures of this size."""


class FaceMemory:
    """`run` is a part of a process with the role matcher, one for each gallery. Make it on the event loop."""

    def __init__(self, embedder: FaceEmbedder, index: Callable[[], SearchIndex]) -> None:
        """embedder: one that observes nothing. index: raises BridgeError while there is none."""
        self._embedder = embedder
        self._index = index
        self._largest = 0
        self._last_batch_at = 0.0

    def batch_began(self, report: BatchReport) -> None:
        """To be called, on the event loop, with each batch."""
        self._largest = max(self._largest, report.size)
        self._last_batch_at = asyncio.get_running_loop().time()

    async def run(self, aside: Callable[[Callable[[], None]], Awaitable[None]]) -> NoReturn:
        """Overwrites what is left of faces whenever nothing is searched, until cancelled.

        aside: see `Batcher.aside`.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(REST_SECONDS)
            if self._largest and loop.time() - self._last_batch_at >= REST_SECONDS:
                faces, self._largest = self._largest, 0
                await aside(partial(self.overwrite, faces))

    def overwrite(self, faces: int) -> None:
        """Searches for so many grey pictures. Blocks. What fails has been noticed by the device's watch."""
        crop = FaceCrop(np.full((_SIDE_PX, _SIDE_PX, 3), 127, np.uint8), np.array(_LANDMARKS, np.float32))
        with suppress(BridgeError, MatchingError):
            CandidateFinder(self._embedder, self._index()).candidates([crop] * faces, 1, 1.0)
        write_over_small_blocks()


def write_over_small_blocks() -> None:
    """Takes every small block that numpy and this thread's malloc keep for the next array of its size. Blocks, 20 ms.

    numpy keeps seven of each number of bytes (`NCACHE` in its alloc.c), glibc seven of each multiple of 16.
    """
    for size in range(1, _LARGEST_KEPT_BYTES + 1):
        blocks = [np.empty(size, np.uint8) for _ in range(_KEPT_OF_A_SIZE)]
        for block in blocks:
            block.fill(_PATTERN)
