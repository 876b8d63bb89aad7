"""A chosen face's way through the face work: crop -> template -> candidates, a batch at a time."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rtcc_bridge.errors import BridgeError
from rtcc_bridge.leads.parts import SearchFacts
from rtcc_bridge.matching.batcher import Batcher, BatchReport
from rtcc_bridge.matching.calibration import Calibration
from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import CandidateFinder, FaceEmbedder, OnStage
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.types import Candidate, FaceCrop, Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.telemetry.tracing import batch_span


class GalleryView(Protocol):
    """A gallery as a matcher sees it at one moment."""

    @property
    def index(self) -> SearchIndex: ...

    @property
    def kind(self) -> str:
        """live, demo or training."""
        ...


class FollowedGallery(Protocol):
    """A gallery that follows the database."""

    @property
    def current(self) -> GalleryView:
        """Raises UnavailableError when the gallery's head could not be confirmed for too long (P25).

        Raises ConfigurationError when there is no such gallery or it was made with another model pack.
        """
        ...


@dataclass(frozen=True, slots=True)
class FoundCandidates:
    """Who was found for one face, best first, and how."""

    candidates: tuple[Candidate, ...]
    facts: SearchFacts


class SearchedGallery(Protocol):
    """A gallery that can be searched, as the matcher's handler and a batcher see it."""

    @property
    def gallery_kind(self) -> str:
        """live, demo or training. Raises as `FollowedGallery.current` does."""
        ...

    def search_batch(self, crops: Sequence[FaceCrop], /) -> list[FoundCandidates]:
        """One answer for each crop, in their order. Raises as `gallery_kind` does, and what the model raises."""
        ...


@dataclass(frozen=True, slots=True)
class _Setting:
    """What is asked of an index and said of its answers; the same for every search of one snapshot."""

    index: SearchIndex
    facts: SearchFacts


class GallerySearch:
    """Searches one gallery. `search_batch` is what a batcher runs."""

    def __init__(
        self,
        embedder: FaceEmbedder,
        gallery: FollowedGallery,
        pack: ModelPack,
        calibration: Calibration,
        *,
        list_length: int,
        target_fpir: float,
        on_stage: OnStage,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        """on_failure: called in the batcher's thread when the model failed on a batch; must not block or raise."""
        self._embedder = embedder
        self._gallery = gallery
        self._pack = pack
        self._calibration = calibration
        self._list_length = list_length
        self._target_fpir = target_fpir
        self._on_stage = on_stage
        self._on_failure = on_failure
        self._setting: _Setting | None = None

    @property
    def gallery_kind(self) -> str:
        """Raises as `FollowedGallery.current` does."""
        return self._gallery.current.kind

    def search_batch(self, crops: Sequence[FaceCrop]) -> list[FoundCandidates]:
        """One answer for each crop, all from the same version of the gallery. Blocks; one call at a time.

        Raises as `FollowedGallery.current` does, and InferenceError, TemplateError, ValueError (coinciding landmarks).
        """
        setting = self._setting_for(self._gallery.current.index)
        facts = setting.facts
        finder = CandidateFinder(self._embedder, setting.index, self._on_stage)
        try:
            found = finder.candidates(crops, facts.list_length, facts.threshold)
        except InferenceError:
            self._on_failure()
            raise
        return [FoundCandidates(tuple(candidates), facts) for candidates in found]

    def list_at_most(self, persons: int) -> None:
        """From the next batch on: the policy can shorten the list while everything runs."""
        self._list_length = persons

    def check(self) -> None:
        """Searches for a direction that is nobody's: InferenceError when the device that holds it all does not work.

        Blocks. Does nothing while there is no gallery that may be searched, or the service that searches it is away.
        """
        with suppress(BridgeError):
            index = self._gallery.current.index
            probe = np.zeros((1, index.snapshot.template_length), np.float32)
            probe[0, 0] = 1
            index.search(probe, 1, 1.0)

    def _setting_for(self, index: SearchIndex) -> _Setting:
        """Counting people and inverting the calibration take time, and their results hold as long as the snapshot."""
        setting = self._setting
        if setting is None or setting.index is not index or setting.facts.list_length != self._list_length:
            setting = self._setting = _Setting(index, self._facts(index))
        return setting

    def _facts(self, index: SearchIndex) -> SearchFacts:
        snapshot = index.snapshot
        people = snapshot.subject_count
        threshold = self._calibration.threshold_for(self._target_fpir, people)
        return SearchFacts(
            gallery=snapshot.name,
            gallery_version=snapshot.version,
            gallery_size=people,
            model_pack=self._pack.name,
            model_hash=self._pack.pack_hash,
            list_length=self._list_length,
            threshold=threshold,
            estimated_fpir=self._calibration.estimated_fpir(threshold, people),
            estimated_fpir_by_band=self._calibration.estimated_fpir_by_band(threshold, people),
        )


@dataclass(frozen=True, slots=True)
class FaceSearch:
    """A gallery with the queue in front of it. The batcher runs `gallery.search_batch` and is opened by who made it."""

    gallery: SearchedGallery
    batcher: Batcher[FaceCrop, FoundCandidates]

    async def search(self, crop: FaceCrop, lane: Lane) -> FoundCandidates:
        """Raises what `Batcher.submit` raises."""
        return await self.batcher.submit(crop, lane)


def trace_batch(report: BatchReport) -> AbstractContextManager[None]:
    """Around a batch: its span, which is found from that of each probe in it. Its stages are spans within it."""
    return batch_span(report.contexts)


def observe_batch(metrics: Metrics, report: BatchReport) -> None:
    """What an operator sees of the batches: how full they are and how long each probe waited for its own."""
    metrics.batch_size.observe(report.size)
    for lane, seconds in zip(report.lanes, report.wait_seconds, strict=True):
        metrics.batch_wait_seconds.labels(lane).observe(seconds)
