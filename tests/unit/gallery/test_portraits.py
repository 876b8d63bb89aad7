"""Templates are made in runs that others who share the network need not wait for, some at the same time."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from rtcc_bridge.gallery.portraits import Portrait, SandboxedPortraits
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.types import FaceCrop, Float32Array
from tests.gallery_kit import WordReader, templates_of, word_templates


class CountedRuns(FaceEmbedder):
    """Notes how many faces went through the network at once."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        self.runs.append(len(crops))
        return word_templates(crops)


@pytest.mark.parametrize(
    ("most", "threads", "runs"),
    [(None, 1, [5]), (5, 2, [5]), (2, 1, [1, 2, 2]), (3, 2, [2, 3]), (2, 2, [1, 1, 1, 2]), (1, 2, [1, 1, 1, 1, 1])],
)
async def test_no_run_has_more_faces_than_it_may_and_each_thread_as_many_alike(
    most: int | None, threads: int, runs: list[int]
) -> None:
    embedder, words = CountedRuns(), ["ann", "bob", "cat", "dan", "eve"]
    reader = WordReader()
    portraits = SandboxedPortraits(reader, embedder, most, threads)
    read: list[Portrait] = [await portraits.read(word.encode()) for word in words]
    assert all(reader.aligned), "the chips alone come from the workers"
    assert np.array_equal(portraits.templates(read), templates_of(words))
    assert sorted(embedder.runs) == runs


class MetRuns(FaceEmbedder):
    """Runs of the network that wait for one another."""

    def __init__(self, runs: int) -> None:
        self._met = threading.Barrier(runs, timeout=10)

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        self._met.wait()
        return word_templates(crops)


async def test_as_many_runs_are_made_at_the_same_time_as_there_are_threads() -> None:
    words = ["ann", "bob", "cat", "dan", "eve", "fay"]
    portraits = SandboxedPortraits(WordReader(), MetRuns(3), most_faces=2, threads=3)
    read = [await portraits.read(word.encode()) for word in words]
    assert np.array_equal(portraits.templates(read), templates_of(words))
