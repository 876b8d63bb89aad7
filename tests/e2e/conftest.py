"""The daemon as a process, on the broker and the database of the run and a local object store."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from playwright.async_api import Browser, Playwright, async_playwright
from sqlalchemy import update

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.galleries import enroller_for
from rtcc_bridge.demo.client import DemoClient
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.modelpacks.installed import open_pack
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.settings import Settings, load_settings
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests import databases
from tests.brokers import KAFKA, BrokerOfRun, delete_topics, make_topics, new_mark, unique_names
from tests.e2e.program import running_daemon, start
from tests.e2e.visitors import running_browser
from tests.gallery_kit import SOURCE_WORDS
from tests.node_provider import provider_nursery
from tests.ports import free_port
from tests.shared_folders import made_once
from tests.warm_workers.start import warm_workers

__all__ = ["provider_nursery"]

ROOT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 120.0
DATABASE = "database.sqlite3"


def pytest_itemcollected(item: pytest.Item) -> None:
    if "browser" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.browser)


@dataclass
class Place:
    """A folder with settings that a daemon can be started with, with topics and groups of its own."""

    folder: Path
    bootstrap: str
    packs: Path
    database_url: str
    enable_idempotence: bool
    mark: str = field(default_factory=new_mark)
    port: int = field(default_factory=free_port)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def settings_file(self) -> Path:
        content: dict[str, dict[str, Any]] = {
            "kafka": {
                "bootstrap_servers": [self.bootstrap],
                "session_timeout_seconds": 6,
                "enable_idempotence": self.enable_idempotence,
                "group_prefix": f"test-{self.mark}",
                "topics": {**unique_names(self.mark), "partitions": 3},
            },
            "database": {"url": self.database_url},
            "objects": {"url": self.objects.as_uri(), "master_key_file": str(self.folder / "master.key")},
            "web": {"port": self.port},
            "matching": {"packs_directory": str(self.packs), "threads": 1},  # two spin where cores are busy
            "policy": {"file": str(ROOT / "config/policy.yaml")},
        }
        for section, values in self.changes.items():
            content.setdefault(section, {}).update(values)
        file = self.folder / "settings.yaml"
        file.write_text(yaml.safe_dump(content))
        return file

    @property
    def settings(self) -> Settings:
        return load_settings(self.settings_file)

    async def command(self, *arguments: str, real_workers: bool = False) -> tuple[int, str]:
        """Runs a command of the command line with this place's settings. real_workers: see `program.start`."""
        with tempfile.TemporaryDirectory() as folder:
            printed = Path(folder) / "printed.txt"
            process = await start(
                [*arguments, "--config", str(self.settings_file)], printed, real_workers=real_workers, COLUMNS="200"
            )
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    code = await process.wait()
            finally:
                process.kill()
                await process.wait()
            return code, printed.read_text()


@pytest.fixture
async def place(
    tmp_path: Path, broker: str, broker_of_run: BrokerOfRun, packs_directory: Path, database_url: str
) -> AsyncIterator[Place]:
    """Settings, topics and the present schema; nothing is running yet."""
    made = Place(tmp_path, broker, packs_directory, database_url, broker_of_run.kind == KAFKA)
    kafka = made.settings.kafka
    await make_topics(kafka)
    yield made
    if broker == broker_of_run.address:
        await delete_topics(kafka)


async def enroll(place: Place, name: str, picture: bytes) -> None:
    """Enrols the person with that picture, in this process: the command has tests of its own, and takes seconds."""
    people = place.folder / f"people-{name}"
    (people / name).mkdir(parents=True)
    (people / name / "portrait.png").write_bytes(picture)
    source = FolderSource(people, **{**SOURCE_WORDS, "retain_until": "2099-01-01"})
    settings = place.settings
    pack = await asyncio.to_thread(open_pack, settings.matching, lambda _what, _done, _total: None)
    with warm_workers():
        async with open_core(settings) as core, enroller_for(core, pack) as enroller:
            receipt = await enroller.enroll(
                source, settings.matching.gallery, GalleryKind.DEMO, account=DEMO_ACCOUNTS["administrator"]
            )
    assert receipt.enrolled == 1, receipt


async def enroll_portrait(place: Place) -> None:
    from rtcc_bridge.demo.pictures import encode_png, portrait  # noqa: PLC0415 - scikit-image is slow to import

    await enroll(place, "portrait-01", encode_png(portrait()))


@pytest.fixture(scope="session")
def place_to_copy(
    tmp_path_factory: pytest.TempPathFactory, packs_directory: Path, pytestconfig: pytest.Config
) -> Place:
    """With one portrait enrolled, which takes longer than many a test that begins with one."""
    server = databases.server_of(pytestconfig)

    def place_in(folder: Path) -> Place:
        url = (
            f"sqlite+aiosqlite:///{folder / DATABASE}" if server is None else server.url_of_template(databases.ENROLLED)
        )
        return Place(folder, "127.0.0.1:9", packs_directory, url, enable_idempotence=False)

    async def make(folder: Path) -> None:
        if server is not None:
            await server.create_template(databases.ENROLLED)
        await enroll_portrait(place_in(folder))

    return place_in(made_once(tmp_path_factory, "place-to-copy", lambda folder: asyncio.run(make(folder))))


@pytest.fixture
async def enrolled_place(place: Place, place_to_copy: Place, database_server: databases.TestServer | None) -> Place:
    """With one portrait enrolled."""
    if database_server is None:
        shutil.copyfile(place_to_copy.folder / DATABASE, place.database_url.partition(":///")[2])
    elif database_server.has(place.database_url):
        await database_server.become(place.database_url, databases.ENROLLED)
    else:  # the test has a server of its own
        await enroll_portrait(place)
        return place
    shutil.copytree(place_to_copy.objects, place.objects, dirs_exist_ok=True)
    shutil.copy(place_to_copy.folder / "master.key", place.folder / "master.key")
    settings = place.settings
    database = Database(settings.database)
    async with database.write() as tx:
        await tx.execute(update(tables.outbox).values(topic=settings.kafka.topics.gallery))
    await database.close()
    return place


@pytest.fixture
async def daemon(enrolled_place: Place) -> AsyncIterator[Place]:
    """A daemon that is ready."""
    async with running_daemon(enrolled_place.settings_file, enrolled_place.address, enrolled_place.log):
        yield enrolled_place


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.fixture
def _function_scoped_runner(
    _function_scoped_runner: asyncio.Runner, request: pytest.FixtureRequest
) -> Iterator[asyncio.Runner]:
    """What pytest-asyncio runs a test and its fixtures with: those with a browser run in the loop of its driver."""
    if "browser" not in request.fixturenames:
        yield _function_scoped_runner
        return
    runner: asyncio.Runner = request.getfixturevalue("_session_scoped_runner")
    of_driver = asyncio.all_tasks(runner.get_loop())
    yield runner
    runner.run(end_tasks_but(of_driver))


async def end_tasks_but(kept: Collection[asyncio.Task[Any]]) -> None:
    """Ends what a test has left, as closing its loop would."""
    left = [task for task in asyncio.all_tasks() if task not in kept and task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def driver() -> AsyncIterator[Playwright]:
    """What drives browsers, one for all tests: starting it takes six times as long as a browser."""
    async with async_playwright() as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser_of_all(driver: Playwright) -> AsyncIterator[Browser]:
    async with running_browser(driver) as launched:
        yield launched


@pytest.fixture
async def browser(browser_of_all: Browser) -> AsyncIterator[Browser]:
    """One for all tests; each has contexts of its own, which share nothing."""
    yield browser_of_all
    for context in browser_of_all.contexts:
        await context.close()


@pytest.fixture
def client_of(http: aiohttp.ClientSession) -> Callable[[Place], DemoClient]:
    return lambda place: DemoClient(http, place.address)
