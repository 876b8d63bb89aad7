"""The production worker with the default model pack: real decoders and a real detector, locked up."""

import dataclasses
import io
import os
import shutil
import struct
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from skimage import data as skimage_data

from rtcc_bridge.demo.pictures import portrait
from rtcc_bridge.errors import ConfigurationError, InvalidInputError
from rtcc_bridge.matching.align import extract_chips
from rtcc_bridge.matching.crop import crop_face
from rtcc_bridge.matching.decode import DecodeLimits, decode
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.edits import Crop, Rotate
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceFinder
from rtcc_bridge.matching.types import Box, DetectedFace, Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_messages import FoundFacesReport
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits, worker_command
from tests.integration.workers import as_ordinary_user, saved, upload

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only"),
    pytest.mark.asyncio(loop_scope="module"),
]

LIMITS = WorkerLimits(memory_bytes=2_000_000_000, timeout_seconds=120.0, jobs_per_worker=1000)
MIN_FACE_PX = 20
BYSTANDER_GREY = 128


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(default_pack: ModelPack) -> AsyncIterator[WorkerPool]:
    """One for the module, as one worker reads the pictures of many people: none may leave a trace in it."""
    async with WorkerPool(worker_command(default_pack.folder, MIN_FACE_PX, LIMITS), LIMITS, Metrics()) as opened:
        yield opened


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def png_of_nothing(width: int, height: int) -> bytes:
    """A well-formed PNG of a few kilobytes whose black pixels would need width * height bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack("!I", len(content)) + name + content + struct.pack("!I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


async def refusal(pool: WorkerPool, data: bytes) -> str:
    """The reason for which a picture is refused; the worker has to survive it."""
    before = pool.process_ids
    with pytest.raises(InvalidInputError) as raised:
        await pool.inspect(upload(data))
    assert pool.process_ids == before
    return raised.value.reason


def found_here(pack: ModelPack, data: bytes) -> FoundFacesReport:
    """What the same face work finds in this process, without any sandbox."""
    found = FaceFinder(open_detector(pack, min_face_px=MIN_FACE_PX), DecodeLimits()).find(data)
    height, width = found.image.shape[:2]
    return FoundFacesReport(width, height, found.faces, {})


async def test_the_locked_up_worker_finds_what_the_face_work_finds_without_a_lock(
    pool: WorkerPool, default_pack: ModelPack, scene: bytes
) -> None:
    report = await pool.inspect(upload(scene[:1000], scene[1000:70_000], scene[70_000:]))
    expected = found_here(default_pack, scene)
    assert len(report.faces) >= 5
    assert (report.width, report.height) == (expected.width, expected.height) == (1200, 630)
    assert [face.number for face in report.faces] == [face.number for face in expected.faces]
    for face, other in zip(report.faces, expected.faces, strict=True):
        assert face.face.box == other.face.box
        assert np.array_equal(face.face.landmarks, other.face.landmarks)
        assert face.quality == other.quality
    assert set(report.stage_seconds) == {"decode", "detect", "quality"}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"), ("WEBP", "RGB"), ("WEBP", "RGBA")],
)
async def test_every_accepted_kind_of_picture_is_read(pool: WorkerPool, scene: bytes, kind: str, mode: str) -> None:
    report = await pool.inspect(upload(saved(opened(scene).convert(mode), kind)))
    assert len(report.faces) >= 4


async def test_edits_are_made_in_the_worker_each_time_from_the_original(
    pool: WorkerPool, default_pack: ModelPack
) -> None:
    """A portrait that lies on its side has no face to find; turned, it has the one of the upright portrait."""
    upright = saved(Image.fromarray(portrait()), "PNG")
    lying = saved(Image.fromarray(portrait()).transpose(Image.Transpose.ROTATE_90), "PNG")
    (expected,) = found_here(default_pack, upright).faces
    report = await pool.inspect(upload(lying), Lane.ROUTINE, (Rotate(90.0),))
    (found,) = report.faces
    assert found.face.box == expected.face.box
    cropped = await pool.crop(lying, found.face, (), Lane.ROUTINE, (Rotate(90.0),))
    assert np.array_equal(cropped.crop.pixels, (await pool.crop(upright, expected.face, ())).crop.pixels)
    preview = await pool.preview(lying, 64, None, (), Lane.ROUTINE, (Rotate(90.0), Crop(0, 0, 64, 32)))
    assert (preview.width, preview.height) == (64, 32)
    with pytest.raises(InvalidInputError) as refused:
        await pool.inspect(upload(lying), Lane.ROUTINE, (Crop(0, 0, 5, 5),))
    assert refused.value.reason == "edits"


async def test_the_picture_is_turned_upright_and_its_preview_tells_nothing(pool: WorkerPool, scene: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a secret description"
    turned = saved(opened(scene).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    report = await pool.inspect(upload(turned))
    assert (report.width, report.height) == (1200, 630)
    assert len(report.faces) >= 5
    preview = await pool.preview(turned, 600)
    assert b"secret" in turned
    assert b"secret" not in preview.jpeg
    with opened(preview.jpeg) as picture:
        assert (preview.width, preview.height) == picture.size == (600, 315)
        assert not picture.getexif()


async def test_a_crop_is_lossless_and_its_bystanders_are_masked(pool: WorkerPool, scene: bytes) -> None:
    report = await pool.inspect(upload(scene))
    for chosen in (numbered.face for numbered in report.faces):
        box = chosen.box
        beside = DetectedFace(Box(box.right, box.top, box.right + box.width, box.bottom), chosen.landmarks, 1.0)
        cropped = (await pool.crop(scene, chosen, [beside])).crop
        expected = crop_face(decode(scene), chosen, [beside])
        assert np.array_equal(cropped.pixels, expected.pixels)
        assert not np.array_equal(cropped.pixels, crop_face(decode(scene), chosen, []).pixels)
        assert np.array_equal(cropped.landmarks, expected.landmarks)


async def test_a_portrait_is_cut_out_at_once_and_as_it_would_be_later(pool: WorkerPool, scene: bytes) -> None:
    crowd = await pool.portrait(scene)
    assert (crowd.faces >= 5, crowd.crop) == (True, None), "which of them is meant"
    assert crowd.stage_seconds.keys() == {"decode", "detect"}, "nobody is judged who is not enrolled"
    alone = saved(Image.fromarray(portrait()), "PNG")
    (face,) = (await pool.inspect(upload(alone))).faces
    seen = await pool.portrait(alone)
    assert seen.crop is not None
    expected = (await pool.crop(alone, face.face, [])).crop
    assert np.array_equal(seen.crop.pixels, expected.pixels)
    assert np.array_equal(seen.crop.landmarks, expected.landmarks)
    assert (seen.faces, seen.score, seen.sentences) == (1, face.quality.unified_score, face.quality.sentences)
    assert seen.stage_seconds.keys() == {"decode", "detect", "quality", "crop"}


async def test_a_portrait_that_is_aligned_at_once_gives_the_same_chip(
    pool: WorkerPool, default_pack: ModelPack
) -> None:
    spec = default_pack.recognizer
    template = np.array(spec.alignment_template, np.float64)
    alone = saved(Image.fromarray(portrait()), "PNG")
    whole, aligned = await pool.portrait(alone), await pool.portrait(alone, aligned=True)
    assert whole.crop is not None
    assert aligned.crop is not None
    assert aligned.crop.pixels.shape == (spec.input_size, spec.input_size, 3)
    chips = extract_chips([whole.crop, aligned.crop], template, spec.input_size)
    assert np.array_equal(chips[0], chips[1])
    assert (aligned.faces, aligned.score, aligned.sentences) == (1, whole.score, whole.sentences)


async def test_a_preview_shows_everybody_to_choose_from_and_then_only_the_chosen_one(
    pool: WorkerPool, scene: bytes
) -> None:
    faces = [numbered.face for numbered in (await pool.inspect(upload(scene))).faces]
    everybody = np.asarray(opened((await pool.preview(scene, 1200)).jpeg).convert("L"), np.float64)
    chosen, *bystanders = faces
    masked = np.asarray(opened((await pool.preview(scene, 1200, chosen, bystanders)).jpeg).convert("L"), np.float64)
    for face in bystanders:
        inside = (
            slice(int(face.box.top) + 8, int(face.box.bottom) - 8),
            slice(int(face.box.left) + 8, int(face.box.right) - 8),
        )
        assert everybody[inside].std() > 15
        assert np.abs(masked[inside] - BYSTANDER_GREY).max() < 12
    box = chosen.box
    inside = (slice(int(box.top), int(box.bottom)), slice(int(box.left), int(box.right)))
    assert np.abs(masked[inside] - everybody[inside]).mean() < 2


async def test_twelve_megapixels_fit_into_the_memory_limit(pool: WorkerPool, scene: bytes) -> None:
    large = saved(opened(scene).resize((4780, 2510)), "JPEG", quality=80)
    report = await pool.inspect(upload(large))
    assert report.width * report.height == pytest.approx(12e6, rel=0.01)
    assert len(report.faces) >= 5


async def test_fifty_megapixels_are_looked_at_on_a_smaller_copy(pool: WorkerPool, scene: bytes) -> None:
    large = saved(opened(scene).resize((9700, 5092)), "JPEG", quality=60)
    report = await pool.inspect(upload(large))
    assert report.width == 9700
    assert len(report.faces) >= 5
    assert max(numbered.face.box.right for numbered in report.faces) > 4000


async def test_a_crowd_arrives_as_the_best_two_hundred(pool: WorkerPool) -> None:
    """As many as the screen, the record and the protocol hold; numbered from left to right."""
    faces = saved(
        Image.fromarray(np.tile(np.asarray(Image.fromarray(portrait()).resize((64, 64))), (14, 18, 1))), "PNG"
    )
    report = await pool.inspect(upload(faces))
    assert 150 < len(report.faces) <= 200
    assert [face.number for face in report.faces] == [*range(1, len(report.faces) + 1)]


async def test_a_panorama_of_twelve_thousand_pixels_is_read(pool: WorkerPool) -> None:
    """Detection sees a copy of the size that it can work with; boxes are in pixels of the panorama."""
    wide = Image.new("RGB", (12_000, 1_500), (90, 90, 90))
    wide.paste(Image.fromarray(portrait()), (10_500, 500))
    report = await pool.inspect(upload(saved(wide, "JPEG", quality=95)))
    assert (report.width, report.height) == (12_000, 1_500)
    (found,) = report.faces
    assert 10_500 < found.face.box.left < found.face.box.right < 11_012


@dataclasses.dataclass(frozen=True)
class Sample:
    """A JPEG with at least so many faces."""

    jpeg: bytes
    faces: int


@pytest.fixture(params=["portrait", "crowd"])
def sample(request: pytest.FixtureRequest) -> Sample:
    """The portrait that scikit-image ships; and a photograph of several people, where there are pictures of people."""
    if request.param == "portrait":
        return Sample(saved(Image.fromarray(portrait()), "JPEG", quality=95), 1)
    return Sample(request.getfixturevalue("scene"), 5)


async def test_what_is_no_accepted_picture_is_refused_with_its_reason(pool: WorkerPool, sample: Sample) -> None:
    small = opened(sample.jpeg).resize((120, 63))
    others = [small.rotate(90 * turn) for turn in range(1, 3)]
    assert await refusal(pool, b"Dear analyst, this is not a picture.") == "not_an_image"
    assert await refusal(pool, b"") == "not_an_image"
    assert await refusal(pool, saved(small, "GIF")) == "unsupported_format"
    assert await refusal(pool, saved(small, "WEBP", save_all=True, append_images=others)) == "animated"
    assert await refusal(pool, saved(small, "PNG", save_all=True, append_images=others)) == "animated"
    assert await refusal(pool, sample.jpeg[: len(sample.jpeg) // 2]) == "truncated"
    assert await refusal(pool, png_of_nothing(20_000, 20_000)) == "too_many_pixels"
    assert len((await pool.inspect(upload(sample.jpeg))).faces) >= sample.faces


@pytest.mark.parametrize("name", ["coins", "brick", "grass"])
async def test_a_picture_without_faces_is_a_result(pool: WorkerPool, name: str) -> None:
    """Pictures of scikit-image's own."""
    picture = getattr(skimage_data, name)()
    assert (await pool.inspect(upload(saved(Image.fromarray(picture), "JPEG", quality=95)))).faces == ()


async def test_a_picture_that_needs_too_much_memory_is_refused_and_the_next_one_works(
    default_pack: ModelPack, sample: Sample
) -> None:
    limits = dataclasses.replace(LIMITS, memory_bytes=700_000_000)
    async with WorkerPool(worker_command(default_pack.folder, MIN_FACE_PX, limits), limits, Metrics()) as pool:
        (first,) = pool.process_ids
        with pytest.raises(InvalidInputError, match="more memory") as raised:
            await pool.inspect(upload(saved(Image.new("RGBA", (7000, 7000)), "PNG", compress_level=1)))
        assert raised.value.reason == "decode_memory"
        assert len((await pool.inspect(upload(sample.jpeg))).faces) >= sample.faces
        assert pool.process_ids != (first,)


async def test_a_missing_model_pack_is_a_matter_for_the_operator(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"refuses to start.*pack\.json"):
        async with WorkerPool(worker_command(tmp_path, MIN_FACE_PX, LIMITS), LIMITS, Metrics()):
            pytest.fail("the pool opened")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
async def test_an_ordinary_user_can_run_it(default_pack: ModelPack, sample: Sample) -> None:
    command = as_ordinary_user(worker_command(default_pack.folder, MIN_FACE_PX, LIMITS))
    async with WorkerPool(command, LIMITS, Metrics()) as pool:
        assert len((await pool.inspect(upload(sample.jpeg))).faces) >= sample.faces
