"""A gallery of real faces through the default pack: enrolled, found, expunged."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import SecretStr

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.galleries import enroller_for
from rtcc_bridge.app.picture_worker import picture_worker
from rtcc_bridge.demo.pictures import encode_png, portrait
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity
from rtcc_bridge.gallery.portraits import SandboxedPortraits
from rtcc_bridge.gallery.receipts import EnrollReceipt
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder, FaceFinder
from rtcc_bridge.matching_settings import IntakeSettings
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.settings import DatabaseSettings, ObjectSettings, PolicySettings, Settings
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Database
from tests.agency_pack import write_pack_for_faces_of
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit, open_kit
from tests.warm_workers.start import warm

pytestmark = pytest.mark.once

PEOPLE = 6
POLICY = Path(__file__).resolve().parents[2] / "config/policy.yaml"


@pytest.fixture
async def reader(default_pack: ModelPack, metrics: Metrics) -> AsyncIterator[SandboxedPortraits]:
    command, limits = picture_worker(Settings(intake=IntakeSettings(min_face_px=60)), default_pack.folder)
    async with WorkerPool(warm(command), limits, metrics) as pool:
        yield SandboxedPortraits(pool, FaceEmbedder(open_embedder(default_pack)))


@pytest.fixture
async def kit(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[GalleryKit]:
    async with open_kit(database, tmp_path / "objects", clock, metrics) as opened:
        yield opened


@pytest.fixture
def booking(test_data: Path, tmp_path: Path) -> dict[str, Path]:
    """A folder with the first picture of some people; the result is another picture of each."""
    probes: dict[str, Path] = {}
    people = sorted((test_data / "faces").glob("MEDS_*"))
    for person in [one for one in people if len(list(one.iterdir())) > 1][:PEOPLE]:
        first, second = sorted(person.iterdir())[:2]
        (tmp_path / "booking" / person.name).mkdir(parents=True)
        shutil.copy(first, tmp_path / "booking" / person.name)
        probes[person.name] = second
    return probes


async def enroll(kit: GalleryKit, reader: SandboxedPortraits, pack: ModelPack, root: Path) -> EnrollReceipt:
    enroller = kit.enroller(reader, PackIdentity.of(pack))
    source = FolderSource(root, **SOURCE_WORDS)
    return await enroller.enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)


async def test_people_are_enrolled_found_on_another_picture_and_expunged(
    kit: GalleryKit, reader: SandboxedPortraits, default_pack: ModelPack, booking: dict[str, Path], tmp_path: Path
) -> None:
    receipt = await enroll(kit, reader, default_pack, tmp_path / "booking")
    assert receipt.enrolled + sum(receipt.set_aside.values()) == PEOPLE
    assert receipt.enrolled >= PEOPLE - 1
    follower = kit.follower(PackIdentity.of(default_pack))
    await follower.follow_once()

    async def best(ref: str) -> str:
        portrait = await reader.read(booking[ref].read_bytes())
        probe = await reader.templates([portrait])
        ((found,),) = follower.current.index.search(probe, 1, -1)
        async with kit.database.read() as tx:
            return (await galleries.subject_refs(tx, [found.subject_id]))[found.subject_id]

    async with kit.database.read() as tx:
        images = await galleries.living_images(tx, "city")
        enrolled = await galleries.subject_refs(tx, [image.subject_id for image in images])
    assert all(image.quality_score is not None and image.quality_score > 0 for image in images)
    assert [await best(ref) for ref in enrolled.values()] == list(enrolled.values())
    removed = next(iter(enrolled.values()))
    await kit.expunger().expunge_subject("city", removed, "court order 7", ADMINISTRATOR)
    await follower.follow_once()
    assert await best(removed) != removed


async def test_pictures_that_show_no_single_face_are_set_aside(
    kit: GalleryKit, reader: SandboxedPortraits, default_pack: ModelPack, test_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed" / "somebody"
    folder.mkdir(parents=True)
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "empty.jpg").write_bytes(b"")
    whole = next(iter(sorted((test_data / "faces").glob("MEDS_*/*")))).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    finder = FaceFinder(open_detector(default_pack, min_face_px=60), DecodeLimits())
    crowd = max(_pictures(test_data / "scenes"), key=lambda path: _faces(finder, path))
    shutil.copy(crowd, folder)
    shutil.copy(min(_pictures(test_data / "noface"), key=lambda path: _faces(finder, path)), folder)
    receipt = await enroll(kit, reader, default_pack, tmp_path / "mixed")
    assert receipt.enrolled == 0
    assert receipt.set_aside == {Reason.UNREADABLE: 3, Reason.SEVERAL_FACES: 1, Reason.NO_FACE: 1}


@pytest.mark.parametrize(("stated", "reason"), [(None, Reason.NO_FACE), (20, Reason.POOR_QUALITY)])
async def test_the_smallest_face_is_the_packs_unless_the_settings_say_another(
    default_pack: ModelPack, empty_database_url: str, tmp_path: Path, stated: int | None, reason: Reason
) -> None:
    """The face is 22 px wide, and the pack looks for faces of 60 and what its networks still see below that.

    One that is found is too poor to be enrolled.
    """
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(empty_database_url)),
        objects=ObjectSettings(url=(tmp_path / "objects").as_uri(), master_key_file=tmp_path / "master.key"),
        policy=PolicySettings(file=POLICY),
        intake=IntakeSettings(min_face_px=stated),
    )
    pack = write_pack_for_faces_of(60, default_pack, tmp_path / "pack")
    folder = tmp_path / "people" / "somebody"
    folder.mkdir(parents=True)
    small = cv2.resize(portrait(), (84, 84), interpolation=cv2.INTER_AREA)
    (folder / "small.png").write_bytes(encode_png(np.asarray(small, np.uint8)))
    async with open_core(settings) as core, enroller_for(core, pack) as enroller:
        source = FolderSource(folder.parent, **SOURCE_WORDS)
        receipt = await enroller.enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    assert receipt.set_aside == {reason: 1}


def _pictures(folder: Path) -> list[Path]:
    """The smaller ones, since detection takes its time."""
    return sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_size)[:3]


def _faces(finder: FaceFinder, path: Path) -> int:
    return len(finder.find(path.read_bytes()).faces)
