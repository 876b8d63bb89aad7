"""What the settings say of intake reaches the picture workers, each value in its own place."""

from pathlib import Path

import pytest
import yaml

from rtcc_bridge.app.picture_worker import picture_worker
from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import MAX_DETECTION_PIXELS
from rtcc_bridge.probes.worker_process import WorkerLimits
from rtcc_bridge.settings import Settings, load_settings

PACK = Path("/packs/an-agencys")
INTAKE = {
    "workers": 3,
    "max_upload_bytes": 11_000_001,
    "max_pixels": 22_000_002,
    "max_detection_pixels": 7_000_003,
    "worker_memory_bytes": 3_000_000_004,
    "worker_timeout_seconds": 17.5,
    "jobs_per_worker": 6,
    "worker_rest_seconds": 55.5,
    "max_waiting": 9,
    "min_face_px": 33,
    "max_clip_bytes": 66_000_005,
    "max_clip_seconds": 77.0,
    "max_clip_frames": 888,
    "clip_timeout_seconds": 20.0,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Read from a file in which no two values are the same, and none is the default."""
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"intake": INTAKE, "web": {"upload_timeout_seconds": 44.5}}))
    return load_settings(file)


def options_of(command: tuple[str, ...]) -> dict[str, str]:
    """What follows `python -I -m rtcc_bridge.probes.worker`."""
    words = command[command.index("rtcc_bridge.probes.worker") + 1 :]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_the_parents_limits_are_those_of_the_settings(settings: Settings) -> None:
    _, limits = picture_worker(settings, PACK)
    assert limits == WorkerLimits(
        workers=3,
        max_upload_bytes=11_000_001,
        max_pixels=22_000_002,
        max_detection_pixels=7_000_003,
        memory_bytes=3_000_000_004,
        timeout_seconds=17.5,
        upload_timeout_seconds=44.5,
        jobs_per_worker=6,
        rest_seconds=55.5,
        max_waiting=9,
        max_clip_seconds=77.0,
        max_clip_frames=888,
        clip_timeout_seconds=20.0,
    )


def test_a_worker_is_started_with_the_limits_of_the_settings(settings: Settings) -> None:
    command, limits = picture_worker(settings, PACK)
    assert options_of(command) == {
        "--pack": str(PACK),
        "--min-face-px": "33",
        "--max-upload-bytes": "11000001",
        "--max-pixels": "22000002",
        "--max-detection-pixels": "7000003",
        "--memory-bytes": "3000000004",
        "--cpu-seconds": str(limits.cpu_seconds),
    }
    assert limits.cpu_seconds >= 6 * 17.5, "a worker may compute for the whole time of each of its jobs"


def test_only_a_worker_that_is_to_read_clips_is_told_of_them(settings: Settings) -> None:
    """Those that read the pictures of a gallery do not load what reads clips."""
    stills, _ = picture_worker(settings, PACK)
    assert not [word for word in stills if "clip" in word]
    command, limits = picture_worker(settings, PACK, clips=True)
    told = {name: value for name, value in options_of(command).items() if "clip" in name}
    assert told == {
        "--max-clip-bytes": "66000005",
        "--max-clip-seconds": "77.0",
        "--max-clip-frames": "888",
        "--clip-reading-seconds": "16.0",
    }
    assert limits.max_clip_bytes == 66_000_005
    assert limits.cpu_seconds >= 6 * 20


def test_the_smallest_face_is_the_packs_where_the_settings_say_nothing() -> None:
    command, _ = picture_worker(Settings(), PACK)
    assert "--min-face-px" not in command


def test_what_an_upload_may_be_by_default_is_what_was_promised() -> None:
    """In the settings, and in what stands where nobody set anything."""
    _, limits = picture_worker(Settings(), PACK)
    promised = (25_000_000, 50_000_000, 12_000_000)
    assert (limits.max_upload_bytes, limits.max_pixels, limits.max_detection_pixels) == promised
    unset = WorkerLimits()
    assert (unset.max_upload_bytes, unset.max_pixels, unset.max_detection_pixels) == promised
    assert promised[2] == MAX_DETECTION_PIXELS
    decoding = DecodeLimits()
    assert (decoding.max_bytes, decoding.max_pixels) == promised[:2]
