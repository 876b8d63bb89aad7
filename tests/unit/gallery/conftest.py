"""The parts of a gallery on a real database and a real object folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.gallery_kit import GalleryKit, open_kit


@pytest.fixture
async def kit(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[GalleryKit]:
    async with open_kit(database, tmp_path / "objects", clock, metrics) as opened:
        yield opened


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of people: two pictures of ann, one of bob, one of cat."""
    root = tmp_path / "pictures"
    for name, words in {"ann/1": "ann-1", "ann/2": "ann-2", "bob/1": "bob-1", "cat/1": "cat-1"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(words)
    return root
