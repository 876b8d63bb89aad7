"""Reads the labelled test pictures: who is on them, and which pairs show one person."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder, FaceFinder, FoundFaces
from rtcc_bridge.matching.types import FaceCrop, Float32Array, NumberedFace


@dataclass(frozen=True, slots=True)
class Pair:
    same: bool
    first: Path
    second: Path


def read_pairs(folder: Path) -> list[Pair]:
    with (folder / "pairs_dev.csv").open(newline="") as file:
        return [Pair(row["same"] == "1", folder / row["a"], folder / row["b"]) for row in csv.DictReader(file)]


def subject(found: FoundFaces) -> NumberedFace | None:
    """The face that the label is about: the one nearest to the middle of the picture."""
    middle = np.array(found.image.shape[1::-1]) / 2
    return min(
        found.faces,
        key=lambda numbered: float(np.linalg.norm(numbered.face.landmarks.mean(axis=0) - middle)),
        default=None,
    )


class LabelledTemplates:
    """Templates of pictures through the whole pipeline: decode, detect, crop, align, embed."""

    def __init__(self, pack: ModelPack) -> None:
        self._finder = FaceFinder(open_detector(pack), DecodeLimits())
        self._embedder = FaceEmbedder(open_embedder(pack))

    def crop(self, path: Path) -> FaceCrop | None:
        found = self._finder.find(path.read_bytes())
        chosen = subject(found)
        return found.crop(chosen.number) if chosen else None

    def of(self, paths: list[Path]) -> tuple[dict[Path, Float32Array], list[Path]]:
        """The template of each picture, and the pictures in which no face was found."""
        crops = {path: self.crop(path) for path in paths}
        found = {path: crop for path, crop in crops.items() if crop is not None}
        templates = self._embedder.templates(list(found.values()))
        return dict(zip(found, templates, strict=True)), [path for path, crop in crops.items() if crop is None]
