"""Searches degraded copies of pictures in a gallery of the others' pictures and notes what each face measured."""

import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rtcc_bridge.matching.crop import crop_face
from rtcc_bridge.matching.detect import Detector, open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.quality import assess
from rtcc_bridge.matching.types import DetectedFace, FaceCrop, Float32Array, RgbImage
from scripts.quality_degradations import DEGRADATIONS, Still

SEED = 20_261_126
SPLIT_SALT = "quality-half-1"
CLEAN, MIXED = "as it is", "two at once"
_BATCH = 32
_LEAST_FACE_PX, _FACE_PX = 12, 32
"""Smallest faces that are looked for: in small copies the least that the detector can, so that it is rank-1 that falls,
and not that nothing is found; in the others what saves time."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One search: what was done to the picture, what its face measured by component, and whether the person came first.

    values is empty when no face was found.
    """

    how: str
    step: str
    values: Mapping[str, float]
    first: bool


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """people: in the gallery, one picture each. rows: of searches with another picture of theirs."""

    people: int
    probes: int
    rows: list[Row]


def in_fitting_half(name: str) -> bool:
    """Stable for a person, whatever other people are in the folder."""
    return hashlib.sha256(f"{SPLIT_SALT}/{name}".encode()).digest()[0] % 2 == 0


def measure_half(faces: Path, pack: Path, fitting: bool, mixtures: int, most_people: int, most_probes: int) -> Half:
    """All searches of one half of the people, or of so many of them. Takes minutes."""
    cv2.setNumThreads(1)
    names = sorted(folder.name for folder in faces.iterdir() if folder.is_dir())
    half = [name for name in names if in_fitting_half(name) == fitting]
    chosen = sorted(np.random.default_rng(SEED).permutation(half)[:most_people].tolist())
    return _Bench(pack).measure([faces / name for name in chosen], mixtures, most_probes)


class _Bench:
    def __init__(self, pack: Path) -> None:
        loaded = load_pack(pack)
        self._for_small_faces: Detector = open_detector(loaded, min_face_px=_LEAST_FACE_PX)
        self._detector: Detector = open_detector(loaded, min_face_px=_FACE_PX)
        self._embedder = FaceEmbedder(open_embedder(loaded))

    def measure(self, people: list[Path], mixtures: int, most_probes: int) -> Half:
        enrolled: list[FaceCrop] = []
        probes: list[tuple[int, str, RgbImage, DetectedFace]] = []
        for folder in people:
            pictures = [(image, face) for image, face in map(self._read, sorted(folder.iterdir())[:2]) if face]
            if not pictures:
                continue
            enrolled.append(crop_face(pictures[0][0], pictures[0][1], []))
            if len(pictures) == 2 and len(probes) < most_probes:
                probes.append((len(enrolled) - 1, folder.name, *pictures[1]))
        gallery = self._templates(enrolled)
        rows: list[Row] = []
        waiting: list[tuple[int, str, str, Mapping[str, float], FaceCrop]] = []
        for person, name, image, face in probes:
            for how, step, still in _copies(image, face, name, mixtures):
                found = self._nearest(still.pixels, still.middle, still.face_width / 2)
                if found is None:
                    rows.append(Row(how, step, {}, first=False))
                    continue
                values = {component.name: component.value for component in assess(still.pixels, found).components}
                waiting.append((person, how, step, values, crop_face(still.pixels, found, [])))
                if len(waiting) >= _BATCH:
                    rows += self._searched(waiting, gallery)
                    waiting = []
        rows += self._searched(waiting, gallery)
        return Half(len(enrolled), len(probes), rows)

    def _searched(
        self, waiting: list[tuple[int, str, str, Mapping[str, float], FaceCrop]], gallery: Float32Array
    ) -> list[Row]:
        if not waiting:
            return []
        best = (self._templates([crop for *_, crop in waiting]) @ gallery.T).argmax(axis=1)
        return [
            Row(how, step, values, first=int(place) == person)
            for place, (person, how, step, values, _) in zip(best, waiting, strict=True)
        ]

    def _templates(self, crops: list[FaceCrop]) -> Float32Array:
        parts = [self._embedder.templates(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH)]
        return np.concatenate(parts)

    def _read(self, path: Path) -> tuple[RgbImage, DetectedFace | None]:
        """The picture and the face nearest to its centre, since the data sets are cut around it."""
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise SystemExit(f"{path} is not a picture")
        pixels = np.asarray(image, np.uint8)
        height, width = pixels.shape[:2]
        return pixels, self._nearest(pixels, (width / 2, height / 2), width / 2)

    def _nearest(self, pixels: RgbImage, middle: tuple[float, float], reach: float) -> DetectedFace | None:
        detector = self._for_small_faces if reach < _FACE_PX else self._detector
        faces = [(_away(face, middle), face) for face in detector.detect(pixels)]
        near = [(away, face) for away, face in faces if away < reach]
        return min(near, key=lambda one: one[0])[1] if near else None


def _away(face: DetectedFace, middle: tuple[float, float]) -> float:
    x, y = _middle(face)
    return math.hypot(x - middle[0], y - middle[1])


def _middle(face: DetectedFace) -> tuple[float, float]:
    return (face.box.left + face.box.right) / 2, (face.box.top + face.box.bottom) / 2


def _copies(image: RgbImage, face: DetectedFace, name: str, mixtures: int) -> Iterator[tuple[str, str, Still]]:
    """The picture as it is, degraded in each way and step, and in `mixtures` random pairs of ways."""
    random = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    still = Still(image, _middle(face), face.box.width, face, random)
    yield CLEAN, "", still
    for how, (degrade, steps) in DEGRADATIONS.items():
        for step in steps:
            yield how, str(step), degrade(still, step)
    ways = list(DEGRADATIONS.values())
    for _ in range(mixtures):
        mixed = still
        for way in sorted(random.choice(len(ways), 2, replace=False).tolist()):
            degrade, steps = ways[way]
            mixed = degrade(mixed, steps[random.integers(len(steps))])
        yield MIXED, "", mixed
