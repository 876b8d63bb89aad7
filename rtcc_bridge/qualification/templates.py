"""Templates of labelled pictures, as a daemon would make them, with what each stage took and what was left out."""

import csv
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.errors import InferenceError, UnreadableImageError
from rtcc_bridge.matching.evaluation_split import LabelledPictures
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder, FaceFinder, FoundFaces
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.types import Float32Array, NumberedFace
from rtcc_bridge.matching_settings import IntakeSettings, MatchingSettings
from rtcc_bridge.qualification.labelled_folder import LabelledFile

OnProgress: TypeAlias = Callable[[int, int], None]
"""Told how many pictures are done and how many there are."""

STAGES: Final = ("decode", "detect", "quality", "align", "embed")

NO_FACE: Final = "no face was found"
NOT_ALIGNED: Final = "the landmarks of the face coincide"
MODEL_FAILED: Final = "the model failed on it"


@dataclass(frozen=True, slots=True)
class SetAside:
    """A picture that gave no template, and why. unreadable: it is no picture, so that it is not counted as one."""

    path: Path
    why: str
    unreadable: bool


@dataclass(frozen=True, slots=True, eq=False)
class TemplatesMade:
    """people: the names behind `pictures.people`, which are places in it. stage_ms: the mean of each stage over the
    pictures that went through it."""

    pictures: LabelledPictures
    people: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    stage_ms: Mapping[str, float]

    @property
    def reasons(self) -> Mapping[str, int]:
        return dict(sorted(Counter(picture.why for picture in self.set_aside).items()))


@dataclass(slots=True)
class _StageTimes:
    """Adds up what each stage took; told from several threads."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self.seconds[stage] += seconds
            self.calls[stage] += 1

    def mean_ms(self) -> dict[str, float]:
        return {stage: 1000 * self.seconds[stage] / self.calls[stage] for stage in STAGES if self.calls[stage]}


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What one file gave: a template with the face's quality, or why not."""

    template: Float32Array | None
    quality: int
    set_aside: SetAside | None


class TemplateMaker:
    """Opens a pack and reads pictures with it, each in one thread, as many at once as there are workers."""

    def __init__(self, pack: ModelPack, device: Device, workers: int, limits: DecodeLimits | None = None) -> None:
        """Blocks while the networks are opened. Raises ModelPackError, DeviceError."""
        self._times = _StageTimes()
        detector, embedder = open_detector(pack, Device.CPU, 1), open_embedder(pack, device, 1)
        self._finder = FaceFinder(detector, limits or DecodeLimits(), on_stage=self._times.add)
        self._embedder = FaceEmbedder(embedder, on_stage=self._times.add)
        self._template_length = pack.recognizer.template_length
        self._workers = workers

    def make(self, files: Sequence[LabelledFile], on_progress: OnProgress) -> TemplatesMade:
        """One template for each picture, of the face that is nearest to its middle: the label is about that one.

        Pictures that the quality gate would refuse are used like the others: how it does on them is a figure of its
        own. Blocks. An interruption ends it after the pictures that are in work.
        """
        names = sorted({file.person for file in files})
        numbers = {name: number for number, name in enumerate(names)}
        kept: list[tuple[int, _Read]] = []
        set_aside: list[SetAside] = []
        for done, (file, read) in enumerate(self._read_all(files), start=1):
            if read.set_aside is not None:
                set_aside.append(read.set_aside)
            if read.set_aside is None or not read.set_aside.unreadable:
                kept.append((numbers[file.person], read))
            on_progress(done, len(files))
        templates = np.zeros((len(kept), self._template_length), np.float32)
        for row, (_, read) in enumerate(kept):
            if read.template is not None:
                templates[row] = read.template
        pictures = LabelledPictures(
            people=np.array([person for person, _ in kept], np.int64),
            found=np.array([read.template is not None for _, read in kept], np.bool_),
            templates=templates,
            quality=np.array([read.quality for _, read in kept], np.int64),
        )
        return TemplatesMade(pictures, tuple(names), tuple(set_aside), self._times.mean_ms())

    def _read_all(self, files: Sequence[LabelledFile]) -> Iterator[tuple[LabelledFile, _Read]]:
        """In the order of the files. Few are begun ahead, so that memory stays flat and an interruption is quick."""
        waiting = iter(files)
        with ThreadPoolExecutor(self._workers) as pool:
            begun: list[tuple[LabelledFile, Future[_Read]]] = []

            def begin(count: int) -> None:
                begun.extend((file, pool.submit(self._read, file.path)) for file in islice(waiting, count))

            try:
                begin(2 * self._workers)
                while begun:
                    file, future = begun.pop(0)
                    yield file, future.result()
                    begin(1)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, path: Path) -> _Read:
        try:
            found = self._finder.find(path.read_bytes())
        except (UnreadableImageError, OSError) as error:
            why = error.reason if isinstance(error, UnreadableImageError) else "cannot be read"
            return _none(path, f"unreadable: {why}", unreadable=True)
        except InferenceError:
            return _none(path, MODEL_FAILED)
        face = _nearest_to_the_middle(found)
        if face is None:
            return _none(path, NO_FACE)
        try:
            template = self._embedder.templates([found.crop(face.number)])[0]
        except ValueError:
            return _none(path, NOT_ALIGNED)
        except InferenceError:
            return _none(path, MODEL_FAILED)
        return _Read(template, face.quality.unified_score, None)


def _none(path: Path, why: str, *, unreadable: bool = False) -> _Read:
    return _Read(None, 0, SetAside(path, why, unreadable))


def _nearest_to_the_middle(found: FoundFaces) -> NumberedFace | None:
    height, width = found.image.shape[:2]

    def distance(numbered: NumberedFace) -> float:
        box = numbered.face.box
        return float(np.hypot(box.left + box.right - width, box.top + box.bottom - height))

    return min(found.faces, key=distance, default=None)


def make_templates(
    pack: ModelPack,
    matching: MatchingSettings,
    intake: IntakeSettings,
    files: Sequence[LabelledFile],
    on_progress: OnProgress,
) -> TemplatesMade:
    """As `TemplateMaker.make`, with the limits and the device of the settings. Blocks. ModelPackError, DeviceError."""
    limits = DecodeLimits(intake.max_upload_bytes, intake.max_pixels)
    return TemplateMaker(pack, Device(matching.device), matching.threads, limits).make(files, on_progress)


def write_set_aside(path: Path, pictures: Sequence[SetAside]) -> None:
    """A CSV file with a row for each picture that gave no template. Blocks. Raises InvalidInputError."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("picture", "reason"))
            writer.writerows((str(picture.path), picture.why) for picture in pictures)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be written: {error.strerror}") from error
