"""The face work from end to end, in the order in which it happens.

    intake (sandboxed)   upload -> decode -> detect -> quality -> a person chooses -> crop
    matcher (GPU)        crop -> align -> embed -> search -> candidates

Nothing is embedded before a face was chosen, and the matcher sees the crop of that one face, never an upload (P04).
Every call blocks; none of it may run on an event loop.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rtcc_bridge.matching.align import extract_chips
from rtcc_bridge.matching.crop import crop_face
from rtcc_bridge.matching.decode import DecodeLimits, decode
from rtcc_bridge.matching.detect import MAX_DETECTION_PIXELS, Detector, detect_bounded
from rtcc_bridge.matching.embed import Embedder
from rtcc_bridge.matching.quality import assess
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.types import Candidate, DetectedFace, FaceCrop, Float32Array, NumberedFace, RgbImage

OnStage: TypeAlias = Callable[[str, float], None]
"""Told the stage (decode, detect, quality, align, embed, search) and the seconds that it took, also when it failed."""


def _ignore(stage: str, seconds: float) -> None:
    pass


@contextmanager
def _timed(stage: str, on_stage: OnStage) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        on_stage(stage, time.perf_counter() - started)


@dataclass(frozen=True, slots=True, eq=False)
class FoundFaces:
    """A decoded picture and its faces, numbered from 1, left to right."""

    image: RgbImage
    faces: tuple[NumberedFace, ...]

    def crop(self, number: int) -> FaceCrop:
        """The crop of the face with this number, all others masked. LookupError: there is no such face."""
        if not 1 <= number <= len(self.faces):
            raise LookupError(f"there is no face {number}: the picture has {len(self.faces)}")
        return crop_face(self.image, self.faces[number - 1].face, [numbered.face for numbered in self.faces])


class FaceFinder:
    """Finds and judges the faces of an upload."""

    def __init__(
        self,
        detector: Detector,
        limits: DecodeLimits,
        max_detection_pixels: int = MAX_DETECTION_PIXELS,
        on_stage: OnStage = _ignore,
    ) -> None:
        self._detector = detector
        self._limits = limits
        self._max_detection_pixels = max_detection_pixels
        self._on_stage = on_stage

    def find(self, data: bytes) -> FoundFaces:
        """UnreadableImageError: the bytes are no picture that is accepted. InferenceError: the detector failed."""
        with _timed("decode", self._on_stage):
            image = decode(data, self._limits)
        return self.find_in(image)

    def find_in(self, image: RgbImage) -> FoundFaces:
        """As `find`, for a picture that is decoded already."""
        faces = self.detect(image)
        return FoundFaces(image, self.judge(image, faces))

    def detect(self, image: RgbImage) -> list[DetectedFace]:
        """The faces of a picture that is decoded already, which nobody has judged yet. InferenceError."""
        with _timed("detect", self._on_stage):
            return detect_bounded(self._detector, image, self._max_detection_pixels)

    def judge(self, image: RgbImage, faces: Sequence[DetectedFace]) -> tuple[NumberedFace, ...]:
        """All the faces of a picture with their quality."""
        with _timed("quality", self._on_stage):
            return tuple(
                NumberedFace(number, face, assess(image, face, faces)) for number, face in enumerate(faces, start=1)
            )


class FaceEmbedder:
    """Turns crops of chosen faces into templates."""

    def __init__(self, embedder: Embedder, on_stage: OnStage = _ignore) -> None:
        self._embedder = embedder
        self._alignment = np.array(embedder.spec.alignment_template, np.float64)
        self._on_stage = on_stage

    @property
    def network(self) -> Embedder:
        """What makes the templates."""
        return self._embedder

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        """float32 (N, D), each of length 1. ValueError: landmarks coincide. InferenceError: the network failed."""
        with _timed("align", self._on_stage):
            chips = extract_chips(crops, self._alignment, self._embedder.spec.input_size)
        with _timed("embed", self._on_stage):
            return self._embedder.embed(chips)


class CandidateFinder:
    """Looks chosen faces up in a gallery."""

    def __init__(self, embedder: FaceEmbedder, index: SearchIndex, on_stage: OnStage = _ignore) -> None:
        self._embedder = embedder
        self._index = index
        self._on_stage = on_stage

    def candidates(self, crops: Sequence[FaceCrop], limit: int, threshold: float) -> list[list[Candidate]]:
        """One list for each crop: at most `limit` people that score at least `threshold`, best first.

        The templates are written over then: nothing of a face that was searched is kept (P24).
        """
        templates = self._embedder.templates(crops)
        try:
            with _timed("search", self._on_stage):
                return self._index.search(templates, limit, threshold)
        finally:
            templates.fill(0)
