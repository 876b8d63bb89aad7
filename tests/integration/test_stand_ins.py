"""The stand-ins of `tests.probe_kit` and what they stand in for: one suite for both, with the calls of the desks.

A stand-in cannot tell what it is given, so a test says which faces it finds and what becomes of a picture; the real one
finds out by itself. What comes back has to be the same in kind.
"""

import asyncio
import dataclasses
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import cv2
import numpy as np
import pytest

from rtcc_bridge.demo.pictures import encode_png, portrait
from rtcc_bridge.errors import (
    BridgeError,
    BusyError,
    ConfigurationError,
    ConfigurationProblem,
    InvalidInputError,
    UnavailableError,
)
from rtcc_bridge.matching.calibration import load_calibration
from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.errors import BatcherClosedError, InferenceError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder, FaceFinder
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Candidate, FaceCrop, Float32Array, Lane, ScoredImage, Verdict
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.modelpacks.default_pack import CALIBRATION
from rtcc_bridge.probes.clip_messages import ClipPlace
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.search import GallerySearch, SearchedGallery
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits, worker_command
from tests.clips import clip, moving
from tests.integration.workers import upload
from tests.probe_kit import STILL, Gallery, PictureWorkers, face, face_search
from tests.warm_workers.start import warm

LIMITS = WorkerLimits(memory_bytes=2_000_000_000, timeout_seconds=120.0, max_clip_bytes=10_000_000)
MIN_FACE_PX = 20
STOPPED, UNREADABLE, TOO_SLOW, BUSY = "stopped", "unreadable", "too slow", "busy"


class Reading(ABC):
    """A reader of pictures, and what it takes to bring a picture or a failure about."""

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager[PictureReader]: ...

    @abstractmethod
    def picture(self, reader: PictureReader, people: int) -> bytes:
        """A picture that this reader finds so many faces in."""

    @abstractmethod
    def failing(self, failure: str) -> AbstractAsyncContextManager[tuple[PictureReader, bytes]]:
        """A reader and a picture with which every call fails in that way."""


class StandInReading(Reading):
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[PictureReader]:
        yield PictureWorkers()

    def picture(self, reader: PictureReader, people: int) -> bytes:
        assert isinstance(reader, PictureWorkers)
        reader.faces = tuple(face(1 + number, left=10.0 + 100 * number) for number in range(people))
        return STILL

    @asynccontextmanager
    async def failing(self, failure: str) -> AsyncIterator[tuple[PictureReader, bytes]]:
        errors = {
            STOPPED: UnavailableError("the service is shutting down"),
            UNREADABLE: InvalidInputError("this is no picture", "not_an_image"),
            TOO_SLOW: InvalidInputError("the picture took too long to read", "decode_timeout"),
            BUSY: BusyError("too many pictures are waiting", 7.0),
        }
        yield PictureWorkers(error=errors[failure]), STILL


class PoolReading(Reading):
    """Production workers with the default model pack; pictures are made of the portrait that scikit-image ships."""

    def __init__(self, pack: ModelPack) -> None:
        self._pack = pack

    @asynccontextmanager
    async def opened(self, **limits: Any) -> AsyncIterator[WorkerPool]:
        chosen = dataclasses.replace(LIMITS, **limits)
        command = warm(worker_command(self._pack.folder, MIN_FACE_PX, chosen))
        async with WorkerPool(command, chosen, Metrics()) as pool:
            yield pool

    def picture(self, reader: PictureReader, people: int) -> bytes:
        return encode_png(np.hstack([portrait()] * people) if people else np.full((320, 320, 3), 128, np.uint8))

    @asynccontextmanager
    async def failing(self, failure: str) -> AsyncIterator[tuple[PictureReader, bytes]]:
        limits: dict[str, dict[str, Any]] = {TOO_SLOW: {"timeout_seconds": 1e-9}, BUSY: {"max_waiting": 0}}
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(self.opened(**limits.get(failure, {})))
            if failure == STOPPED:
                await stack.aclose()
            if failure == BUSY:
                await stack.enter_async_context(_occupied(pool))
            yield pool, b"just a text" if failure == UNREADABLE else self.picture(pool, 1)


@asynccontextmanager
async def _occupied(pool: WorkerPool) -> AsyncIterator[None]:
    """The only worker has a picture that does not end."""
    reached = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        reached.set()
        await asyncio.Event().wait()

    occupying = asyncio.create_task(pool.inspect(endless()))
    await reached.wait()
    yield
    occupying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await occupying


@pytest.fixture(
    params=[
        "stand-in",
        pytest.param("pool", marks=pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only")),
    ]
)
def reading(request: pytest.FixtureRequest) -> Reading:
    return StandInReading() if request.param == "stand-in" else PoolReading(request.getfixturevalue("default_pack"))


def _size_of(jpeg: bytes) -> tuple[int, int]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.shape[1], picture.shape[0]


def _is_five_points(landmarks: Float32Array) -> bool:
    return landmarks.dtype == np.float32 and landmarks.shape == (5, 2)


async def test_faces_are_found_numbered_and_graded_and_no_face_is_a_result(reading: Reading) -> None:
    async with reading.opened() as reader:
        data = reading.picture(reader, 2)
        report = await reader.inspect(upload(data[:7], data[7:]))
        assert [numbered.number for numbered in report.faces] == [1, 2]
        assert set(report.stage_seconds) == {"decode", "detect", "quality"}
        lefts = [numbered.face.box.left for numbered in report.faces]
        assert lefts == sorted(lefts)
        for numbered in report.faces:
            found, quality = numbered.face, numbered.quality
            assert _is_five_points(found.landmarks)
            assert 0 <= found.box.left < found.box.right <= report.width
            assert 0 <= found.box.top < found.box.bottom <= report.height
            assert np.all((found.landmarks > 0) & (found.landmarks < (report.width, report.height)))
            assert 0 < found.detection_score <= 1
            assert 0 < quality.unified_score <= 100
            assert "inter_eye_distance" in {component.name for component in quality.components}
            assert all(component.sentence for component in quality.components)
            assert Verdict.REFUSED not in {component.verdict for component in quality.components}
        nobody = await reader.inspect(upload(reading.picture(reader, 0)))
        assert nobody.faces == ()
        assert min(nobody.width, nobody.height) > 0


async def test_the_chosen_face_is_cut_out_and_shown(reading: Reading) -> None:
    async with reading.opened() as reader:
        data = reading.picture(reader, 2)
        report = await reader.inspect(upload(data), Lane.IMMINENT)
        chosen, bystander = (numbered.face for numbered in report.faces)
        cropped = await reader.crop(data, chosen, [bystander], Lane.IMMINENT)
        height, width, channels = cropped.crop.pixels.shape
        assert cropped.crop.pixels.dtype == np.uint8
        assert channels == 3
        assert width < report.width
        assert height <= report.height
        assert len(cropped.crop.pixels.tobytes()) == width * height * 3
        assert _is_five_points(cropped.crop.landmarks)
        assert set(cropped.stage_seconds) == {"decode", "crop"}
        for side in (100, 4000):
            for preview in (
                await reader.preview(data, side),
                await reader.preview(data, side, chosen, [bystander], Lane.IMMINENT),
            ):
                assert _size_of(preview.jpeg) == (preview.width, preview.height)
                assert max(preview.width, preview.height) == min(side, max(report.width, report.height))
                assert preview.width / preview.height == pytest.approx(report.width / report.height, rel=0.02)
                assert set(preview.stage_seconds) == {"decode", "preview"}


async def test_a_clip_has_frames_sheets_of_them_and_each_is_a_picture(reading: Reading) -> None:
    async with reading.opened() as reader:
        assert isinstance(reader, PictureWorkers | WorkerPool)
        data = clip(moving(30, 320, 240))
        index = await reader.clip_index(upload(data), Lane.IMMINENT)
        assert index.frames[0].place == ClipPlace(1, 0)
        assert [one.place.number for one in index.frames] == [*range(1, 31)]
        places = [one.place for one in index.frames[:3]]
        sheet = await reader.clip_sheet(upload(data), places, 100)
        assert _size_of(sheet.jpeg) == (sheet.width, sheet.height)
        assert sheet.height % len(places) == 0
        assert max(sheet.width, sheet.height // len(places)) <= 100
        still = await reader.clip_still(upload(data), places[-1])
        assert _size_of(still.png) == (still.width, still.height) == (index.width, index.height)


async def test_an_upload_that_breaks_off_or_is_left_does_the_next_picture_no_harm(reading: Reading) -> None:
    waiting = asyncio.Event()

    async def broken() -> AsyncIterator[bytes]:
        yield b"half of"
        raise ConnectionResetError("the client went away")

    async def endless() -> AsyncIterator[bytes]:
        yield b"half of"
        waiting.set()
        await asyncio.Event().wait()

    async with reading.opened() as reader:
        with pytest.raises(ConnectionResetError, match="went away"):
            await reader.inspect(broken())
        left = asyncio.create_task(reader.inspect(endless()))
        await waiting.wait()
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        assert len((await reader.inspect(upload(reading.picture(reader, 1)))).faces) == 1


@pytest.mark.parametrize(
    ("failure", "kind", "reason"),
    [
        (UNREADABLE, InvalidInputError, "not_an_image"),
        (TOO_SLOW, InvalidInputError, "decode_timeout"),
        (BUSY, BusyError, None),
        (STOPPED, UnavailableError, None),
    ],
)
async def test_every_call_fails_in_the_same_way(
    reading: Reading, failure: str, kind: type[BridgeError], reason: str | None
) -> None:
    chosen = face().face
    async with reading.failing(failure) as (reader, data):
        for call in (
            lambda: reader.inspect(upload(data)),
            lambda: reader.crop(data, chosen, []),
            lambda: reader.preview(data, 640),
            lambda: reader.preview(data, 640, chosen, []),
        ):
            with pytest.raises(BridgeError) as raised:
                await call()
            error = raised.value
            assert type(error) is kind
            assert str(error)
            assert reason is None or (isinstance(error, InvalidInputError) and error.reason == reason)
            assert not isinstance(error, BusyError) or error.retry_after_seconds > 0


KNOWN, STRANGER = 7, 8
"""Subject ids; the gallery knows the first one."""


class Searching(ABC):
    """A gallery with one person whom somebody may look for."""

    gallery: SearchedGallery

    @abstractmethod
    def crop_of(self, person: int) -> FaceCrop: ...

    @abstractmethod
    def close(self, why: BridgeError) -> None:
        """From now on the gallery may not be searched."""


class StandInSearching(Searching):
    def __init__(self) -> None:
        self._stand_in = Gallery(finds=self._find)
        self.gallery = self._stand_in

    def crop_of(self, person: int) -> FaceCrop:
        landmarks = np.zeros((5, 2), np.float32)
        return FaceCrop(np.full((8, 6, 3), person, np.uint8), landmarks)

    def close(self, why: BridgeError) -> None:
        self._stand_in.closed = why

    @staticmethod
    def _find(crop: FaceCrop) -> list[Candidate]:
        return [Candidate(KNOWN, ScoredImage(1, 0.9), ())] if crop.pixels[0, 0, 0] == KNOWN else []


class Follower:
    """Follows a gallery that does not change until it may not be searched."""

    kind = "demo"

    def __init__(self, index: SearchIndex) -> None:
        self.index = index
        self.closed: BridgeError | None = None

    @property
    def current(self) -> "Follower":
        if self.closed is not None:
            raise self.closed
        return self


class RealSearching(Searching):
    """The default pack's own recognizer and an index of one portrait among templates of nobody."""

    def __init__(self, pack: ModelPack) -> None:
        (found,) = FaceFinder(open_detector(pack), DecodeLimits()).find_in(portrait()).faces
        self._landmarks = found.face.landmarks
        embedder = FaceEmbedder(open_embedder(pack))
        others = np.random.default_rng(1).standard_normal((20, pack.recognizer.template_length))
        others /= np.linalg.norm(others, axis=1, keepdims=True)
        templates = np.concatenate([embedder.templates([self.crop_of(KNOWN)]), others.astype(np.float32)])
        subjects = np.array([KNOWN, *range(100, 120)], np.int64)
        snapshot = GallerySnapshot.build(
            "demo", 1, [StoredTemplates.of(templates)], np.arange(1, 22, dtype=np.int64), subjects
        )
        self._follower = Follower(open_index(snapshot))
        self.gallery = GallerySearch(
            embedder,
            self._follower,
            pack,
            load_calibration(CALIBRATION),
            list_length=20,
            target_fpir=0.05,
            on_stage=lambda _stage, _seconds: None,
        )

    def crop_of(self, person: int) -> FaceCrop:
        """A stranger is the same picture upside down, which no recognizer takes for the same person."""
        pixels = portrait() if person == KNOWN else portrait()[::-1]
        return FaceCrop(np.ascontiguousarray(pixels), self._landmarks)

    def close(self, why: BridgeError) -> None:
        self._follower.closed = why


@pytest.fixture(params=["stand-in", "gallery"])
def searching(request: pytest.FixtureRequest) -> Searching:
    if request.param == "stand-in":
        return StandInSearching()
    return RealSearching(request.getfixturevalue("default_pack"))


def test_every_crop_of_a_batch_has_its_answer_from_the_same_gallery(searching: Searching) -> None:
    gallery = searching.gallery
    assert gallery.gallery_kind == "demo"
    found = gallery.search_batch([searching.crop_of(STRANGER), searching.crop_of(KNOWN), searching.crop_of(STRANGER)])
    assert [[candidate.subject_id for candidate in one.candidates] for one in found] == [[], [KNOWN], []]
    facts = found[0].facts
    assert all(one.facts == facts for one in found)
    assert facts.gallery == "demo"
    assert (facts.gallery_version > 0, facts.gallery_size > 0, facts.list_length > 0) == (True, True, True)
    assert (bool(facts.model_pack), len(facts.model_hash)) == (True, 64)
    assert found[1].candidates[0].similarity_score >= facts.threshold
    fpir = facts.estimated_fpir
    assert 0 <= fpir.low <= fpir.value <= fpir.high <= 1


@pytest.mark.parametrize(
    "why",
    [
        UnavailableError("the gallery's head was not confirmed"),
        ConfigurationError(ConfigurationProblem("matching.gallery", "there is no such gallery", "Enroll it")),
    ],
    ids=["unconfirmed", "not there"],
)
async def test_a_gallery_that_may_not_be_searched_says_so_to_whoever_asks(
    searching: Searching, why: BridgeError
) -> None:
    search = face_search(searching.gallery)
    crop = searching.crop_of(KNOWN)
    async with search.batcher:
        assert len((await search.search(crop, Lane.ROUTINE)).candidates) == 1
        searching.close(why)
        with pytest.raises(type(why)):
            _ = searching.gallery.gallery_kind
        with pytest.raises(type(why)):
            searching.gallery.search_batch([crop])
        with pytest.raises(InferenceError) as raised:
            await search.search(crop, Lane.IMMINENT)
        assert raised.value.__cause__ is why
    with pytest.raises(BatcherClosedError):
        await search.search(crop, Lane.ROUTINE)


def _break_stand_in(searching: Searching) -> FaceCrop:
    assert isinstance(searching.gallery, Gallery)
    searching.gallery.error = ValueError("the landmarks coincide")
    return searching.crop_of(KNOWN)


def _break_model(searching: Searching) -> FaceCrop:
    return dataclasses.replace(searching.crop_of(KNOWN), landmarks=np.full((5, 2), 9, np.float32))


@pytest.mark.parametrize(
    ("searching", "broken"),
    [("stand-in", _break_stand_in), ("gallery", _break_model)],
    indirect=["searching"],
    ids=["stand-in", "gallery"],
)
async def test_a_model_that_fails_fails_the_search(
    searching: Searching, broken: Callable[[Searching], FaceCrop]
) -> None:
    search = face_search(searching.gallery)
    async with search.batcher:
        with pytest.raises(InferenceError) as raised:
            await search.search(broken(searching), Lane.ROUTINE)
    assert isinstance(raised.value.__cause__, ValueError)
