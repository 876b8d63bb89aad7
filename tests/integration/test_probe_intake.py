"""A photograph on its way from the upload to the lead: real workers, a real model, real sealing, a real index."""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtcc_bridge.demo.pictures import encode_png, portrait
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.batch_policy import AdaptiveBatches
from rtcc_bridge.matching.batcher import Batcher
from rtcc_bridge.matching.calibration import load_calibration
from rtcc_bridge.matching.decode import DecodeLimits, decode
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder, FaceFinder
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import RgbImage
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.modelpacks.default_pack import CALIBRATION
from rtcc_bridge.probes.search import FaceSearch, GallerySearch
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits, worker_command
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.probe_kit import (
    ANALYST,
    SUPERVISOR,
    ProbeKit,
    build_kit,
    form,
    open_vault,
    record_of,
    search_handler,
    upload,
)
from tests.warm_workers.start import warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only")

LIMITS = WorkerLimits(memory_bytes=2_000_000_000, timeout_seconds=120.0)
MIN_FACE_PX = 20


@pytest.fixture
async def intake(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path, default_pack: ModelPack
) -> AsyncIterator[ProbeKit]:
    command = warm(worker_command(default_pack.folder, MIN_FACE_PX, LIMITS))
    async with open_vault(tmp_path, clock) as vault, WorkerPool(command, LIMITS, metrics) as workers:
        yield build_kit(database, vault, clock, metrics, tmp_path / "objects", workers=workers)


async def test_a_photograph_becomes_a_lead(intake: ProbeKit, test_data: Path, default_pack: ModelPack) -> None:
    """One photograph of a person is enrolled, another is searched; the neighbours in the gallery are other people."""
    folders = sorted(folder for folder in (test_data / "faces").iterdir() if len(list(folder.iterdir())) > 1)
    enrolled = [sorted(folder.iterdir())[0].read_bytes() for folder in folders[:5]]
    still = sorted(folders[2].iterdir())[1].read_bytes()
    finder = FaceFinder(open_detector(default_pack), DecodeLimits())
    embedder = FaceEmbedder(open_embedder(default_pack))
    templates = embedder.templates([finder.find(data).crop(1) for data in enrolled])
    people = [await intake.enrol(f"person-{number}") for number in range(5)]
    image_ids = np.array([person.best.image_id for person in people], np.int64)
    subject_ids = np.array([person.subject_id for person in people], np.int64)
    index = open_index(GallerySnapshot.build("demo", 1, [StoredTemplates.of(templates)], image_ids, subject_ids))

    await intake.incident()
    probe = await intake.desk.attach("incident-1", form(), ANALYST, upload(still))
    assert probe.state == "faces_found"
    await intake.desk.choose_face(probe.probe_id, 1, ANALYST)
    await intake.desk.approve(probe.probe_id, SUPERVISOR)
    assert (await intake.desk.preview(probe.probe_id, SUPERVISOR)).startswith(b"\xff\xd8")

    search = face_search_of(index, embedder, default_pack)
    async with search.batcher:
        await search_handler(intake, search).handle(record_of((await intake.requests())[0]))
    (lead,) = await intake.events("lead.candidates")
    listed = await intake.rows(tables.lead_candidates)
    assert people[2].subject_id in {row["subject_id"] for row in listed}
    assert lead["search"]["modelHash"] == default_pack.pack_hash
    for path in intake.object_files():
        assert still[:64] not in path.read_bytes()


async def test_a_crowd_is_numbered_and_only_the_chosen_face_is_cut_out(intake: ProbeKit, test_data: Path) -> None:
    still = (test_data / "scenes" / "fnp_multiface.jpg").read_bytes()
    await intake.incident()
    probe = await intake.desk.attach("incident-1", form(), ANALYST, upload(still))
    faces = probe.faces or ()
    assert len(faces) > 1
    assert [face["number"] for face in faces] == list(range(1, len(faces) + 1))
    usable = next(face for face in faces if face["quality"]["verdict"] != "refused")
    chosen = await intake.desk.choose_face(probe.probe_id, usable["number"], ANALYST)
    assert chosen.crop_width is not None
    assert chosen.crop_height is not None
    assert chosen.image_width is not None
    assert chosen.crop_width < chosen.image_width


async def test_a_picture_without_people_is_rejected_in_words(intake: ProbeKit, test_data: Path) -> None:
    picture = (test_data / "noface" / "mtcnn_no-faces.jpg").read_bytes()
    await intake.incident()
    probe = await intake.desk.attach("incident-1", form(), ANALYST, upload(picture))
    assert probe.state == "rejected_quality"
    assert probe.state_reason is not None
    assert "No face was found" in probe.state_reason
    assert len(await intake.events("lead.rejected_quality")) == 1


async def test_the_faces_of_a_large_group_all_fit_the_reply(intake: ProbeKit, test_data: Path) -> None:
    """They are all too small to be compared, and the answer says so of each."""
    still = (test_data / "scenes" / "ulfg_8.jpg").read_bytes()
    await intake.incident()
    probe = await intake.desk.attach("incident-1", form(), ANALYST, upload(still))
    faces = probe.faces or ()
    assert len(faces) >= 60
    assert probe.state == "rejected_quality"
    (lead,) = await intake.events("lead.rejected_quality")
    told = " ".join(lead["probeQuality"]["sentences"])
    assert all(f"Face {face['number']}: " in told for face in faces)
    assert (await intake.desk.find(probe.probe_id)).faces == probe.faces


@pytest.fixture(params=["the portrait", "somebody"])
def tiny_face(request: pytest.FixtureRequest) -> bytes:
    """A person so far away that the face is 10 px wide."""
    if request.param == "the portrait":
        return far_away(portrait(), 38)
    folder: Path = request.getfixturevalue("test_data") / "faces" / "Aaron_Sorkin"
    return far_away(decode(next(folder.iterdir()).read_bytes()), 25)


def far_away(picture: RgbImage, side_px: int) -> bytes:
    """A grey scene with the square picture in it, so many pixels wide."""
    scene = np.full((480, 640, 3), 128, np.uint8)
    size = (side_px, side_px)
    scene[200 : 200 + side_px, 300 : 300 + side_px] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return encode_png(scene)


async def told_of(intake: ProbeKit, picture: bytes) -> str:
    """What is said of a picture in which nobody can be compared."""
    await intake.incident()
    probe = await intake.desk.attach("incident-1", form(), ANALYST, upload(picture))
    assert probe.state == "rejected_quality"
    (lead,) = await intake.events("lead.rejected_quality")
    return " ".join(lead["probeQuality"]["sentences"])


async def test_a_face_of_10_px_is_rejected_in_words(intake: ProbeKit, tiny_face: bytes) -> None:
    assert "face 10 px wide: too small to compare" in await told_of(intake, tiny_face)


async def test_dogs_are_rejected_in_words(intake: ProbeKit, test_data: Path) -> None:
    assert "No face was found" in await told_of(intake, (test_data / "noface" / "dlib_dogs.jpg").read_bytes())


@pytest.mark.parametrize("data", [b"", b"just some text, named .jpg", b"\xff\xd8\xff\xe0 cut off"])
async def test_what_is_no_picture_leaves_nothing(intake: ProbeKit, data: bytes) -> None:
    await intake.incident()
    with pytest.raises(InvalidInputError):
        await intake.desk.attach("incident-1", form(), ANALYST, upload(data))
    assert await intake.rows(tables.probes) == []
    assert intake.object_files() == []


@dataclass(frozen=True)
class UnchangingGallery:
    """A gallery that does not change."""

    index: SearchIndex
    kind: str = "demo"

    @property
    def current(self) -> "UnchangingGallery":
        return self


def face_search_of(index: SearchIndex, embedder: FaceEmbedder, pack: ModelPack) -> FaceSearch:
    gallery = GallerySearch(
        embedder,
        UnchangingGallery(index),
        pack,
        load_calibration(CALIBRATION),
        list_length=20,
        target_fpir=0.05,
        on_stage=lambda _stage, _seconds: None,
    )
    return FaceSearch(gallery, Batcher(gallery.search_batch, policy=AdaptiveBatches(8, 0.01), queue_limit=8))
