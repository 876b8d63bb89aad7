"""An enrolment whose process is killed between and within batches is finished by starting it again."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import object_keys
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit, open_kit, template_of
from tests.vault_kit import stored_files

PEOPLE = 12
BATCH = 3

_ENROLL = """
import asyncio, os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from rtcc_bridge.gallery import enroll
from rtcc_bridge.gallery.identity import GalleryKind
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


async def test_a_killed_enrolment_is_resumed_and_nothing_is_there_twice(
    kit: GalleryKit, tmp_path: Path, database_url: str
) -> None:
    for number in range(PEOPLE):
        (tmp_path / "people" / f"p{number:02}").mkdir(parents=True)
        (tmp_path / "people" / f"p{number:02}" / "1").write_text(f"face-{number}")
    enrolled = 0
    for words in ("face-6", "face-9"):  # in the third batch, when the first is committed, and in the fourth
        _enroll_until_killed(tmp_path, words, database_url)
        async with kit.database.read() as tx:
            before, enrolled = enrolled, len(await galleries.living_images(tx, "city"))
        assert enrolled > before
        assert enrolled % BATCH == 0, "whole batches only"
    source = FolderSource(tmp_path / "people", **SOURCE_WORDS)
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
