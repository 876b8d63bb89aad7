"""A matcher writes over what is left of the faces that it has searched, when it rests."""

import asyncio
import ctypes
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, cast

import numpy as np
import pytest

from rtcc_bridge.app import face_memory
from rtcc_bridge.app.face_memory import FaceMemory
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.matching.batcher import BatchReport
from rtcc_bridge.matching.pipeline import CandidateFinder, FaceEmbedder
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.types import FaceCrop, Float32Array, Lane
from tests.virtual_time import VirtualTimeLoop


class Embedder:
    """Gives each crop a template, and keeps those that it gave."""

    def __init__(self) -> None:
        self.given: list[Float32Array] = []

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        assert all(crop.pixels.min() == crop.pixels.max() == 127 for crop in crops)
        self.given.append(np.full((len(crops), 4), 0.5, np.float32))
        return self.given[-1]


class Index:
    """Finds nobody, and keeps what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[Float32Array] = []

    def search(self, probes: Float32Array, _limit: int, _threshold: float) -> list[list[Any]]:
        self.asked.append(probes.copy())
        return [[] for _ in probes]


def report(size: int) -> BatchReport:
    return BatchReport((Lane.ROUTINE,) * size, (0.0,) * size, (copy_context(),) * size)


def on_virtual_time(work: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(work())


async def _aside(work: Callable[[], None]) -> None:
    work()


def test_as_many_grey_pictures_as_the_largest_batch_had_once_it_rests() -> None:
    embedder, index = Embedder(), Index()

    async def a_quiet_evening() -> None:
        memory = FaceMemory(cast("FaceEmbedder", embedder), lambda: cast("SearchIndex", index))
        running = asyncio.create_task(memory.run(_aside))
        await asyncio.sleep(60)
        assert embedder.given == []
        for size in (1, 7, 2):
            memory.batch_began(report(size))
            await asyncio.sleep(face_memory.REST_SECONDS / 2)
        assert embedder.given == []
        await asyncio.sleep(3600)
        assert [len(templates) for templates in embedder.given] == [7]
        running.cancel()

    on_virtual_time(a_quiet_evening)
    assert np.array_equal(index.asked[0], np.full((7, 4), 0.5))


def test_templates_are_written_over_when_the_search_has_failed_too() -> None:
    embedder = Embedder()

    class Broken(Index):
        def search(self, _probes: Float32Array, _limit: int, _threshold: float) -> list[list[Any]]:
            raise RuntimeError("out of memory")

    finder = CandidateFinder(cast("FaceEmbedder", embedder), cast("SearchIndex", Broken()))
    grey = FaceCrop(np.full((8, 8, 3), 127, np.uint8), np.zeros((5, 2), np.float32))
    with pytest.raises(RuntimeError):
        finder.candidates([grey], 1, 0.5)
    assert not embedder.given[0].any()


def test_a_gallery_that_cannot_be_searched_is_no_reason_to_end() -> None:
    def none() -> SearchIndex:
        raise UnavailableError("the head was not confirmed")

    FaceMemory(cast("FaceEmbedder", Embedder()), none).overwrite(3)


def test_no_small_array_that_was_given_back_keeps_what_was_in_it() -> None:
    secret = np.arange(1, 129, dtype=np.float32)
    kept = [secret.copy() for _ in range(7)]
    addresses = [array.__array_interface__["data"][0] for array in kept]
    del kept
    face_memory.write_over_small_blocks()
    left = [ctypes.string_at(address, secret.nbytes) for address in addresses]
    assert secret.tobytes() not in left
