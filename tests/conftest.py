"""Fixtures that every kind of test shares."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
from pydantic import SecretStr

from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.modelpacks.default_pack import build_default_pack
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import metadata
from tests.doubles import ManualClock

# An example's time says nothing on a machine that runs two tests at once.
hypothesis.settings.register_profile("rtcc-bridge", deadline=None)
hypothesis.settings.load_profile("rtcc-bridge")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of test pictures of real people, which is never part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RTCC_TEST_DATA", beside))
    if not (folder / "pairs_dev.csv").is_file():
        pytest.skip("no test pictures here: set RTCC_TEST_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def default_pack(tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    """The default model pack, built once from the installed packages."""
    folder = tmp_path_factory.mktemp("default-pack")
    return load_pack(build_default_pack(folder, lambda _what, _done, _total: None))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty SQLite database with the present schema."""
    url = SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite3'}")
    opened = Database(DatabaseSettings(url=url))
    async with opened.write() as tx:
        await tx.run_sync(metadata.create_all)
    yield opened
    await opened.close()
