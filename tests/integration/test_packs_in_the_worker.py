"""The production worker with packs other than the default one: what they say is in force, and so is the sandbox."""

import dataclasses
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rtcc_bridge.app.picture_worker import picture_worker
from rtcc_bridge.demo.pictures import encode_png, portrait
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.crop import crop_face
from rtcc_bridge.matching.decode import DecodeLimits, decode
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceFinder
from rtcc_bridge.matching.types import Box
from rtcc_bridge.matching_settings import IntakeSettings
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits, worker_command
from rtcc_bridge.settings import Settings
from tests.agency_pack import write_pack_for_faces_of
from tests.integration.workers import saved, status_of, upload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only")

LIMITS = WorkerLimits(memory_bytes=2_000_000_000, timeout_seconds=120.0)


def boxes_found_here(pack: ModelPack, data: bytes) -> list[Box]:
    """What the pack's detector finds in this process, without any sandbox."""
    return [numbered.face.box for numbered in FaceFinder(open_detector(pack), DecodeLimits()).find(data).faces]


async def test_another_pack_works_as_well_when_it_is_locked_up(
    second_pack: ModelPack, default_pack: ModelPack, scene: bytes
) -> None:
    async with WorkerPool(worker_command(second_pack.folder, None, LIMITS), LIMITS, Metrics()) as pool:
        (before,) = pool.process_ids
        status = status_of(before)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1"), "the filter is in force, and stays"
        faces = [numbered.face for numbered in (await pool.inspect(upload(scene))).faces]
        assert [face.box for face in faces] == boxes_found_here(second_pack, scene)
        assert [face.box for face in faces] != boxes_found_here(default_pack, scene)
        assert len(faces) >= 5
        cropped = (await pool.crop(scene, faces[0], faces[1:])).crop
        assert np.array_equal(cropped.pixels, crop_face(decode(scene), faces[0], faces[1:]).pixels)
        large = saved(Image.open(io.BytesIO(scene)).resize((4780, 2510)), "JPEG", quality=80)
        assert len((await pool.inspect(upload(large))).faces) >= 5, "12 megapixels fit into the memory limit"
        assert pool.process_ids == (before,)


async def test_the_memory_limit_is_in_force_with_another_pack_too(second_pack: ModelPack, scene: bytes) -> None:
    limits = dataclasses.replace(LIMITS, memory_bytes=700_000_000)
    async with WorkerPool(worker_command(second_pack.folder, None, limits), limits, Metrics()) as pool:
        with pytest.raises(InvalidInputError, match="more memory") as raised:
            await pool.inspect(upload(saved(Image.new("RGBA", (7000, 7000)), "PNG", compress_level=1)))
        assert raised.value.reason == "decode_memory"
        assert len((await pool.inspect(upload(scene))).faces) >= 5


@pytest.mark.parametrize(("stated", "found"), [(None, 0), (20, 1)])
async def test_the_smallest_face_is_the_packs_unless_the_settings_say_another(
    default_pack: ModelPack, tmp_path: Path, stated: int | None, found: int
) -> None:
    """The face is 22 px wide, and the pack looks for faces of 60 and what its networks still see below that."""
    pack = write_pack_for_faces_of(60, default_pack, tmp_path / "pack")
    command, limits = picture_worker(Settings(intake=IntakeSettings(min_face_px=stated)), pack.folder)
    small = Image.open(io.BytesIO(encode_png(portrait()))).resize((84, 84))
    async with WorkerPool(command, limits, Metrics()) as pool:
        assert len((await pool.inspect(upload(saved(small, "PNG")))).faces) == found
