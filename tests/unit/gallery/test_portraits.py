"""Templates are made in runs that others who share the network need not wait for, and face work takes turns."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from rtcc_bridge.gallery.portraits import Portrait, SandboxedPortraits
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.types import FaceCrop, Float32Array
from rtcc_bridge.probes.worker_messages import SeenPortrait
from tests.gallery_kit import WordReader, templates_of, word_templates


class CountedRuns(FaceEmbedder):
    """Notes how many faces went through the network at once."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        self.runs.append(len(crops))
        return word_templates(crops)


@pytest.mark.parametrize(
    ("most", "at_once", "runs"),
    [
        (None, None, [5]),
        (5, 2, [5]),
        (2, None, [1, 2, 2]),
        (3, 2, [2, 3]),
        (2, 2, [1, 1, 1, 2]),
        (1, 2, [1, 1, 1, 1, 1]),
    ],
)
async def test_no_run_has_more_faces_than_it_may_and_each_run_at_a_time_as_many_alike(
    most: int | None, at_once: int | None, runs: list[int]
) -> None:
    embedder, words = CountedRuns(), ["ann", "bob", "cat", "dan", "eve"]
    reader = WordReader()
    portraits = SandboxedPortraits(reader, embedder, most, at_once=at_once, takes_turns=True)
    read: list[Portrait] = [await portraits.read(word.encode()) for word in words]
    assert all(reader.aligned), "the chips alone come from the workers"
    assert np.array_equal(await portraits.templates(read), templates_of(words))
    assert sorted(embedder.runs) == runs


class MetRuns(FaceEmbedder):
    """Runs of the network that wait for one another."""

    def __init__(self, runs: int) -> None:
        self._met = threading.Barrier(runs, timeout=10)

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        self._met.wait()
        return word_templates(crops)


async def test_as_many_runs_are_made_at_the_same_time_as_there_are_turns() -> None:
    words = ["ann", "bob", "cat", "dan", "eve", "fay"]
    portraits = SandboxedPortraits(WordReader(), MetRuns(3), most_faces=2, at_once=3, takes_turns=True)
    read = [await portraits.read(word.encode()) for word in words]
    assert np.array_equal(await portraits.templates(read), templates_of(words))


class CountedReader(WordReader):
    """Notes how many pictures are looked at at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = self.most = 0

    async def portrait(self, data: bytes, /, *, aligned: bool = False) -> SeenPortrait:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)  # whoever else may begin does
        self.under_way -= 1
        return await super().portrait(data, aligned=aligned)


class HeldRun(FaceEmbedder):
    """A run of the network that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), threading.Event()
        self._loop = asyncio.get_running_loop()

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.may_end.wait(timeout=10)
        return word_templates(crops)


@pytest.mark.parametrize(
    ("at_once", "takes_turns", "looked_at"), [(2, True, 1), (3, True, 2), (2, False, 2), (None, False, 5)]
)
async def test_a_run_of_the_network_on_the_processor_has_the_turn_of_a_picture(
    at_once: int | None, takes_turns: bool, looked_at: int
) -> None:
    words = [word.encode() for word in ("ann", "bob", "cat", "dan", "eve")]
    reader, embedder = CountedReader(), HeldRun()
    portraits = SandboxedPortraits(reader, embedder, most_faces=4, at_once=at_once, takes_turns=takes_turns)
    first = await portraits.read(words[0])
    run = asyncio.create_task(portraits.templates([first]))
    async with asyncio.timeout(10):
        await embedder.begun.wait()
        await asyncio.gather(*map(portraits.read, words))
    assert reader.most == looked_at
    embedder.may_end.set()
    assert np.array_equal(await run, templates_of(["ann"]))
