"""An enrolment whose process is killed, or whose volume is full, is finished by starting it again."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.gallery import enroll
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.portraits import Portrait
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import object_keys
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit, WordPortraits, open_kit, template_of
from tests.small_disks import fill
from tests.vault_kit import stored_files

PEOPLE = 24
BATCH = 3

_ENROLL = """
import asyncio, os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from rtcc_bridge.gallery import enroll
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.gallery import enroll
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.portraits import Portrait
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, WordPortraits, open_kit

class Killed(WordPortraits):
    async def read(self, data):
        if data == sys.argv[2].encode():
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().read(data)

async def main():
    folder = Path(sys.argv[1])
    enroll.IMAGES_PER_BATCH = int(sys.argv[3])
    database = Database(DatabaseSettings(url=SecretStr(sys.argv[4])))
    async with open_kit(database, folder / "objects", ManualClock(), Metrics()) as kit:
        source = FolderSource(folder / "people", **SOURCE_WORDS)
        await kit.enroller(Killed()).enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)

asyncio.run(main())
"""


@pytest.fixture
async def kit(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[GalleryKit]:
    async with open_kit(database, tmp_path / "objects", clock, metrics) as opened:
        yield opened


def _enroll_until_killed(folder: Path, words: str, database_url: str) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _ENROLL, str(folder), words, str(BATCH), database_url],
        check=False,
        capture_output=True,
        timeout=120,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def _people(folder: Path) -> FolderSource:
    for number in range(PEOPLE):
        (folder / f"p{number:02}").mkdir(parents=True)
        (folder / f"p{number:02}" / "1").write_text(f"face-{number}")
    return FolderSource(folder, **SOURCE_WORDS)


async def test_a_killed_enrolment_is_resumed_and_nothing_is_there_twice(
    kit: GalleryKit, tmp_path: Path, database_url: str
) -> None:
    source = _people(tmp_path / "people")
    enrolled = 0
    for _ in range(2):
        # Within the fourth batch that this run reads: its first is committed then, its second and third may be.
        _enroll_until_killed(tmp_path, f"face-{enrolled + 3 * BATCH}", database_url)
        async with kit.database.read() as tx:
            before, enrolled = enrolled, len(await galleries.living_images(tx, "city"))
        assert enrolled > before
        assert enrolled % BATCH == 0, "whole batches only"
    receipt = await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    assert (receipt.enrolled, receipt.already_enrolled, receipt.set_aside) == (PEOPLE - enrolled, enrolled, {})
    async with kit.database.read() as tx:
        keys = set((await tx.execute(object_keys.select())).scalars())
    stored = {f"{path.parent.name}/{path.name}" for path in stored_files(tmp_path / "objects")}
    assert keys <= stored
    segments = enrolled // BATCH + 1  # what the last run added is one batch
    assert len(keys) == PEOPLE + segments, "a picture of each and the segments: what the kills left has no key"
    follower = kit.follower()
    await follower.follow_once()
    assert follower.current.snapshot.image_count == PEOPLE
    found = follower.current.index.search(template_of("face-5")[None], PEOPLE, 0.99)
    assert len(found[0]) == 1


class FillsTheDisk(WordPortraits):
    """Takes the disk's last room when the pictures of the second batch are sealed and its segment is not."""

    def __init__(self, disk: Path) -> None:
        super().__init__()
        self.disk = disk
        self.filling: Path | None = None

    async def templates(self, portraits: Sequence[Portrait]) -> Float32Array:
        templates = await super().templates(portraits)
        if (templates == template_of(f"face-{BATCH}")).all(axis=1).any():
            self.filling = fill(self.disk)
        return templates


async def test_a_segment_that_finds_the_disk_full_is_not_there_at_all_and_the_enrolment_is_resumed(
    database: Database,
    small_disk: Path,
    tmp_path: Path,
    clock: ManualClock,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(enroll, "IMAGES_PER_BATCH", BATCH)
    source = _people(tmp_path / "people")
    async with open_kit(database, small_disk / "objects", clock, metrics) as kit:
        portraits = FillsTheDisk(small_disk)
        with pytest.raises(UnavailableError, match="No space left"):
            await kit.enroller(portraits).enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
        async with database.read() as tx:
            keys = set((await tx.execute(object_keys.select())).scalars())
        stored = {f"{path.parent.name}/{path.name}" for path in stored_files(small_disk / "objects")}
        assert stored == keys, "of the second batch no picture and no segment is left, whole or in part"
        assert len(keys) == BATCH + 1
        follower = kit.follower()
        await follower.follow_once()
        assert follower.current.snapshot.image_count == BATCH
        assert portraits.filling is not None
        portraits.filling.unlink()
        receipt = await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
        assert (receipt.enrolled, receipt.already_enrolled, receipt.set_aside) == (PEOPLE - BATCH, BATCH, {})
        await follower.follow_once()
        assert follower.current.snapshot.image_count == PEOPLE
