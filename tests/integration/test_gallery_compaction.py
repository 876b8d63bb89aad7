"""A compaction whose process is killed at any step loses nobody, and the next one finishes it."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.gallery import enroll as enroll_module
from rtcc_bridge.gallery.compact import SEGMENTS_TO_MERGE
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import object_keys
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit, open_kit, template_of
from tests.vault_kit import stored_files

OLD_ENOUGH = 700.0

_COMPACT = """
import asyncio, os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import gallery_upkeep
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault
from tests.doubles import ManualClock
from tests.gallery_kit import open_kit

async def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

# after sealing; in the transaction, when all of it is written; after its commit
place, name = {
    "sealed": (gallery_upkeep, "hold"), "switching": (ObjectVault, "destroy"), "switched": (ObjectVault, "delete"),
}[sys.argv[2]]
setattr(place, name, die)

async def main():
    clock = ManualClock()
    clock.advance(float(sys.argv[4]))
    database = Database(DatabaseSettings(url=SecretStr(sys.argv[3])))
    async with open_kit(database, Path(sys.argv[1]) / "objects", clock, Metrics()) as kit:
        await kit.compactor().compact("city")

asyncio.run(main())
"""


@pytest.fixture
async def kit(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[GalleryKit]:
    async with open_kit(database, tmp_path / "objects", clock, metrics) as opened:
        yield opened


def _compact_until_killed(folder: Path, step: str, database_url: str) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _COMPACT, str(folder), step, database_url, str(OLD_ENOUGH)],
        check=False,
        capture_output=True,
        timeout=120,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize(
    ("step", "segments_left"), [("sealed", SEGMENTS_TO_MERGE), ("switching", SEGMENTS_TO_MERGE), ("switched", 1)]
)
async def test_a_killed_compaction_loses_nobody(
    kit: GalleryKit, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, step: str, segments_left: int
) -> None:
    monkeypatch.setattr(enroll_module, "IMAGES_PER_BATCH", 1)
    names = [f"p{number:02}" for number in range(SEGMENTS_TO_MERGE)]
    for name in names:
        (tmp_path / "people" / name).mkdir(parents=True)
        (tmp_path / "people" / name / "1").write_text(name)
    source = FolderSource(tmp_path / "people", **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    _compact_until_killed(tmp_path, step, database_url)
    async with kit.database.read() as tx:
        assert len(await galleries.segments(tx, "city", after=-1, up_to=1000)) == segments_left
    await _all_are_found(kit, names)
    kit.clock.advance(OLD_ENOUGH)
    await kit.compactor().compact("city")
    async with kit.database.read() as tx:
        (segment,) = await galleries.segments(tx, "city", after=-1, up_to=1000)
        keys = set((await tx.execute(object_keys.select())).scalars())
    assert segment.rows == SEGMENTS_TO_MERGE
    stored = {f"{path.parent.name}/{path.name}" for path in stored_files(tmp_path / "objects")}
    assert keys <= stored
    assert len(keys) == SEGMENTS_TO_MERGE + 1, "what the kill left has no key"
    await _all_are_found(kit, names)


async def _all_are_found(kit: GalleryKit, names: list[str]) -> None:
    follower = kit.follower()
    await follower.follow_once()
    assert follower.current.snapshot.image_count == len(names)
    for name in names:
        (found,) = follower.current.index.search(template_of(name)[None], 1, 0.99)
        async with kit.database.read() as tx:
            refs = await galleries.subject_refs(tx, [one.subject_id for one in found])
        assert list(refs.values()) == [name]
