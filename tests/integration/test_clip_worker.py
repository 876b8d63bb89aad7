"""Clips in the production worker, locked up: what is read of them, and that bad ones harm nobody."""

import dataclasses
import io
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from rtcc_bridge.demo.pictures import portrait
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.clip_messages import ClipPlace
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits, worker_command
from tests.clips import CORNER, GROUND, TOLERANCE, clip, ground, moving, sound
from tests.integration.workers import saved, upload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only")

LIMITS = WorkerLimits(
    memory_bytes=2_000_000_000,
    timeout_seconds=120.0,
    jobs_per_worker=1000,  # more than there are tests: a worker that is replaced here died of a clip
    max_clip_bytes=20_000_000,
    max_clip_seconds=60.0,
    max_clip_frames=400,
    clip_timeout_seconds=120.0,
)
MIN_FACE_PX = 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(default_pack: ModelPack) -> AsyncIterator[WorkerPool]:
    """One for the module: no clip may leave a trace in it, which the tests would see in each other."""
    async with WorkerPool(worker_command(default_pack.folder, MIN_FACE_PX, LIMITS), LIMITS, Metrics()) as opened:
        yield opened


in_one_loop = pytest.mark.asyncio(loop_scope="module")


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int64)


def is_colour(found: np.ndarray[Any, Any], colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(found - np.array(colour)).max() <= TOLERANCE)


async def refusal(pool: WorkerPool, data: bytes) -> str:
    """The reason for which a clip is refused; the worker has to survive it."""
    before = pool.process_ids
    with pytest.raises(InvalidInputError) as raised:
        await pool.clip_index(upload(data))
    assert pool.process_ids == before
    return raised.value.reason


@in_one_loop
@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"), ("mov", "libx265"), ("matroska", "libx264"), ("matroska", "mjpeg"), ("avi", "mpeg4"),
        ("avi", "mjpeg"), ("mp4", "mpeg4"),
    ],
)  # fmt: skip
async def test_the_frames_of_a_clip_are_found_and_one_of_them_is_a_picture(
    pool: WorkerPool, container: str, codec: str
) -> None:
    """Near the end of the clip, past several key frames: the sheet begins at one of these, the still at the start."""
    data = clip(moving(90), container, codec)
    index = await pool.clip_index(upload(data))
    assert (index.width, index.height, index.rotation, index.damaged) == (320, 240, 0, 0)
    assert [frame.place.number for frame in index.frames] == [*range(1, 91)]
    assert [frame.place.milliseconds for frame in index.frames] == [round(number * 1000 / 30) for number in range(90)]
    places = [frame.place for frame in index.frames[70:74]]
    sheet = pixels((await pool.clip_sheet(upload(data), places, 320)).jpeg).reshape(4, 240, 320, 3)
    wanted = np.stack(moving(90)[70:74]).astype(np.int64)
    for number, place in enumerate(places):
        still = pixels((await pool.clip_still(upload(data), place)).png)
        nearest = [np.abs(still - other).mean() for other in wanted]
        assert int(np.argmin(nearest)) == number
        assert np.abs(sheet[number] - still).mean() < 4, "the sheet shows the frame that the still will be"
    assert is_colour(still[5:30, 5:30], CORNER)
    assert is_colour(still[200:, 200:], GROUND)


@in_one_loop
@pytest.mark.parametrize(("clockwise", "corner"), [(90, "upper right"), (180, "lower right"), (270, "lower left")])
async def test_a_clip_of_a_phone_on_its_side_stands_upright(pool: WorkerPool, clockwise: int, corner: str) -> None:
    data = clip(moving(5), clockwise=clockwise)
    index = await pool.clip_index(upload(data))
    assert index.rotation == clockwise
    assert (index.width, index.height) == ((320, 240) if clockwise == 180 else (240, 320))
    still = pixels((await pool.clip_still(upload(data), index.frames[0].place)).png)
    assert still.shape[:2] == (index.height, index.width)
    rows = slice(5, 30) if corner.startswith("upper") else slice(-30, -5)
    columns = slice(5, 30) if corner.endswith("left") else slice(-30, -5)
    assert is_colour(still[rows, columns], CORNER)
    assert not is_colour(still[5:30, 5:30], CORNER)


@in_one_loop
async def test_frames_that_come_at_uneven_times_keep_them(pool: WorkerPool) -> None:
    shown_at = [0, 1, 5, 6, 30, 31, 90, 91, 150]
    index = await pool.clip_index(upload(clip(moving(9), "matroska", shown_at=shown_at)))
    assert [frame.place.milliseconds for frame in index.frames] == [round(at * 1000 / 30) for at in shown_at]


@in_one_loop
async def test_pixels_that_are_not_square_are_made_so(pool: WorkerPool) -> None:
    """As recorders of the old television's resolution write them; else every face would be too wide."""
    index = await pool.clip_index(upload(data := clip(moving(3, 352, 288), "mp4", aspect=(16, 11))))
    assert (index.width, index.height, index.pixel_aspect) == (512, 288, (16, 11))
    still = pixels((await pool.clip_still(upload(data), index.frames[0].place)).png)
    assert still.shape == (288, 512, 3)
    assert is_colour(still[5:30, 5:50], CORNER), "40 stored pixels are 58 wide"


@in_one_loop
async def test_a_shaken_frame_is_less_sharp_than_a_steady_one(pool: WorkerPool) -> None:
    steady = np.random.default_rng(3).integers(0, 255, (30, 40, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    shaken = np.asarray(Image.fromarray(steady).resize((20, 15)).resize((320, 240)), np.uint8)
    index = await pool.clip_index(upload(clip([shaken, shaken, steady, shaken], "avi", "mjpeg")))
    sharpness = [frame.sharpness for frame in index.frames]
    assert int(np.argmax(sharpness)) == 2
    assert sharpness[2] > 2 * sharpness[1]


@in_one_loop
async def test_a_face_in_a_frame_is_found_as_in_any_still(pool: WorkerPool) -> None:
    """The whole way: a portrait walks through a clip, a frame is cut out, and its face is found where it was."""
    face = np.asarray(Image.fromarray(portrait()).resize((256, 256)), np.uint8)
    pictures = []
    for number in range(10):
        picture = ground(640, 480)
        picture[150:406, 60 + 20 * number : 316 + 20 * number] = face
        pictures.append(picture)
    data = clip(pictures)
    index = await pool.clip_index(upload(data))
    boxes = []
    for frame in (index.frames[0], index.frames[9]):
        still = await pool.clip_still(upload(data), frame.place)
        (found,) = (await pool.inspect(upload(still.png))).faces
        boxes.append(found.face.box)
    assert boxes[1].left - boxes[0].left == pytest.approx(180, abs=12)


@in_one_loop
async def test_what_is_no_clip_is_refused_with_its_reason(pool: WorkerPool) -> None:
    good = clip(moving(30))
    assert await refusal(pool, b"") == "not_a_clip"
    assert await refusal(pool, b"Dear analyst, this is not a clip.") == "not_a_clip"
    assert await refusal(pool, b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n") == "not_a_clip", "a playlist"
    assert await refusal(pool, saved(Image.new("RGB", (64, 64)), "JPEG")) == "not_a_clip"
    assert await refusal(pool, sound()) == "no_video"
    assert await refusal(pool, good[:64]) == "corrupt"
    assert await refusal(pool, good[: len(good) // 2]) == "corrupt", "its index is at the end, which is missing"
    assert await refusal(pool, clip(moving(3), "matroska", "ffv1")) == "unsupported_codec"
    assert await refusal(pool, clip(moving(3), "matroska", "libx264")[:200]) in {"corrupt", "no_video", "no_frames"}


@in_one_loop
async def test_a_clip_that_is_too_long_or_too_large_is_refused_before_it_is_decoded(pool: WorkerPool) -> None:
    four_hours = clip(moving(5), shown_at=[number * 30 * 3600 for number in range(5)])
    with pytest.raises(InvalidInputError, match=r"lasts 4 h.*at most 1 min.*cut out the part") as raised:
        await pool.clip_index(upload(four_hours))
    assert raised.value.reason == "clip_too_long"
    assert await refusal(pool, clip(moving(401, 160, 160), "avi", "mjpeg")) == "clip_too_long"
    assert await refusal(pool, clip([np.zeros((4096, 4096, 3), np.uint8)], "avi", "mjpeg")) == "too_many_pixels"
    with pytest.raises(InvalidInputError, match="larger than 20 MB"):
        await pool.clip_index(upload(bytes(20_000_001)))


@in_one_loop
async def test_a_clip_without_one_whole_picture_is_refused(pool: WorkerPool) -> None:
    """A well-formed container whose pictures are all rubbish."""
    data = bytearray(clip(moving(10)))
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    assert await refusal(pool, bytes(data)) == "no_frames"


@in_one_loop
async def test_frames_that_were_made_up_for_damaged_data_are_not_offered(pool: WorkerPool) -> None:
    data = bytearray(clip(moving(120)))
    start, end = data.index(b"mdat") + 3000, data.index(b"moov") - 100
    for position in np.random.default_rng(3).integers(start, end, 12):
        data[position] ^= 0xFF
    index = await pool.clip_index(upload(bytes(data)))
    assert index.damaged > 0
    assert len(index.frames) + index.damaged <= 120
    assert len({frame.place.number for frame in index.frames}) == len(index.frames)


@in_one_loop
async def test_a_clip_that_breaks_off_gives_what_is_whole_of_it(pool: WorkerPool) -> None:
    data = clip(moving(90), "matroska")
    index = await pool.clip_index(upload(data[: len(data) // 2]))
    assert 10 < len(index.frames) < 90


@in_one_loop
@pytest.mark.parametrize("seed", range(6))
async def test_mangled_clips_are_answered_and_the_worker_lives(pool: WorkerPool, seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds: Sequence[tuple[str, str]] = (("mp4", "libx264"), ("matroska", "libx265"), ("avi", "mpeg4"))
    data = bytearray(clip(moving(20, 160, 160), *kinds[seed % 3]))
    for position in random.integers(16, len(data), 200):
        data[position] = random.integers(0, 256)
    before = pool.process_ids
    reason = ""
    try:
        index = await pool.clip_index(upload(bytes(data)))
    except InvalidInputError as error:
        reason = error.reason
    else:
        assert len(index.frames) <= 20
    assert reason not in {"decoder_crashed", "decode_timeout"}
    assert pool.process_ids == before


@in_one_loop
async def test_a_frame_that_is_not_there_is_said_so(pool: WorkerPool) -> None:
    data = clip(moving(5))
    for place in (ClipPlace(6, 200), ClipPlace(2, 999)):
        with pytest.raises(InvalidInputError) as raised:
            await pool.clip_still(upload(data), place)
        assert raised.value.reason == "no_such_frame"


async def test_a_clip_that_takes_too_long_says_how_far_it_came(default_pack: ModelPack) -> None:
    limits = dataclasses.replace(LIMITS, clip_timeout_seconds=0.1, max_clip_frames=10_000)
    async with WorkerPool(worker_command(default_pack.folder, MIN_FACE_PX, limits), limits, Metrics()) as pool:
        with pytest.raises(InvalidInputError, match=r"[Cc]ut out") as raised:
            await pool.clip_index(upload(clip(moving(1500), "avi", "mjpeg")))
        assert raised.value.reason in {"clip_too_slow", "decode_timeout"}
        still = saved(Image.fromarray(portrait()), "PNG")
        assert len((await pool.inspect(upload(still))).faces) == 1, "the next picture is read"


async def test_a_worker_for_stills_alone_reads_no_clip(default_pack: ModelPack) -> None:
    limits = dataclasses.replace(LIMITS, max_clip_bytes=0)
    async with WorkerPool(worker_command(default_pack.folder, MIN_FACE_PX, limits), limits, Metrics()) as pool:
        with pytest.raises(InvalidInputError):
            await pool.clip_index(upload(clip(moving(2))))
