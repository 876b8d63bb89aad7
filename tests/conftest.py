"""Fixtures that every kind of test shares."""

import asyncio
import fcntl
import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from pydantic import SecretStr

from rtcc_bridge.broker.embedded import EmbeddedBroker
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.modelpacks.add_pack import add_pack
from rtcc_bridge.modelpacks.default_pack import ensure_default_pack
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database
from tests import brokers, chosen_tests, databases, tools
from tests.agency_pack import write_agency_pack
from tests.doubles import ManualClock
from tests.outages import Outages
from tests.shared_folders import made_once

TEMPLATE = "template.sqlite3"

# The tests start programs, and what gRPC, which Milvus's client brings, does at each fork breaks them now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# An example's time says nothing on a machine that runs two tests at once.
hypothesis.settings.register_profile("rtcc-bridge", deadline=None)
hypothesis.settings.load_profile("rtcc-bridge")

# With every local variable, which is the default, a traceback takes a second: longer than a consumer's heartbeat waits.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=(databases.SQLITE, databases.POSTGRESQL),
        default=databases.SQLITE,
        help=f"the database of the tests; with {databases.POSTGRESQL} only those run that use it, on a server that is "
        f"started for them or on the one at {databases.URL_VARIABLE}",
    )
    parser.addoption(
        "--broker",
        choices=(brokers.TANSU, brokers.KAFKA),
        default=brokers.default_kind(),
        help=f"the broker of the tests; with {brokers.KAFKA} only those run that use one, on Apache Kafka that is "
        f"started for them or on the one at {brokers.ADDRESS_VARIABLE} (which then is the default)",
    )

    parser.addoption(
        "--every-case",
        action="store_true",
        help="on another database or broker than the embedded ones too, all cases of a test and not the first of those "
        "that say the same to it",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes minutes, so it begins first and no worker waits for it at the end")
    config.addinivalue_line(
        "markers", "browser: runs in a real Chromium; what has the fixture `browser` gets it by itself"
    )
    config.addinivalue_line("markers", "needs_program(name, package): see tests/tools.py")
    config.addinivalue_line("markers", "once: is not about what broker and database do, so one kind of each is enough")
    config.addinivalue_line(
        "markers", "every_case: what a database does may differ from case to case, see chosen_tests"
    )
    config.addinivalue_line("markers", "sqlite: says something about SQLite alone")
    config.addinivalue_line("markers", "postgresql: says something about PostgreSQL alone")
    config.addinivalue_line("markers", "tansu: says something about the embedded broker alone")
    config.addinivalue_line("markers", "kafka: says something about Apache Kafka alone")
    databases.start(config)
    brokers.start(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist for each worker."""
    databases.hand_to_worker(node.config, node.workerinput)
    brokers.hand_to_worker(node.config, node.workerinput)


def pytest_report_header(config: pytest.Config) -> str:
    return brokers.header(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    databases.stop(config)
    brokers.stop(config)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves folders unread of which no test has a part in the run."""
    database, broker = config.getoption("--database"), config.getoption("--broker")
    return None if chosen_tests.is_read(collection_path, config.rootpath, database, broker) else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what the chosen database and broker have no part in, so that no test runs twice for nothing.

    What takes long comes first.
    """
    if wrong := chosen_tests.wrongly_apart(items, config.rootpath):
        raise pytest.UsageError(f"no run on Apache Kafka and PostgreSQL finds {wrong[0].nodeid}: chosen_tests.NOT_READ")
    kept = chosen_tests.of_run(
        items, config.getoption("--database"), config.getoption("--broker"), every_case=config.getoption("--every-case")
    )
    left_out = set(items) - set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """What is collected stays until the end: the garbage collector need not go through all of it again and again, which
    takes a fifth of the time of the collection and of the tests."""
    gc.disable()
    try:
        with _compiled_once(session.config):
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _compiled_once(config: pytest.Config) -> Iterator[None]:
    """In a checkout where nothing was tested yet one worker of the run collects before the others do: what it reads is
    compiled then, which takes as long as the collection itself, and would be done by all of them at the same time."""
    if not hasattr(config, "workerinput") or (config.rootpath / ".pytest_cache").exists():
        yield
        return
    with Path(__file__).open() as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(turn, fcntl.LOCK_SH)
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    if reason := brokers.of_run(item.config).why_left_out(item):
        tools.is_missing(reason)
    tools.require_programs(item)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of test pictures of real people, which is never part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RTCC_TEST_DATA", beside))
    if not (folder / "pairs_dev.csv").is_file():
        pytest.skip("no test pictures here: set RTCC_TEST_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def packs_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the default pack lies, built from the installed packages."""

    def build(folder: Path) -> None:
        ensure_default_pack(folder, lambda _what, _done, _total: None)

    return made_once(tmp_path_factory, "packs", build)


@pytest.fixture(scope="session")
def default_pack(packs_directory: Path) -> ModelPack:
    """The default model pack."""
    return load_pack(ensure_default_pack(packs_directory, lambda _what, _done, _total: None))


@pytest.fixture(scope="session")
def second_pack(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    """A pack that is not the default one, added as an operator adds it. It has no calibration."""
    source = write_agency_pack(tmp_path_factory.mktemp("agency"), test_data / "models")
    return load_pack(add_pack(source, tmp_path_factory.mktemp("packs")))


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was() -> Iterator[None]:
    """Loggers that have kept a test's configuration tell later tests nothing (`command_kit.leave_logging`)."""
    before = structlog.get_config()
    yield
    left = structlog.get_config()
    structlog.configure(**before)
    assert not left["cache_logger_on_first_use"], "this test configured the logging of all later ones"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def database_server(request: pytest.FixtureRequest) -> databases.TestServer | None:
    """The PostgreSQL server of this run, or None when it runs on SQLite."""
    return databases.server_of(request.config)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the present schema, as a daemon would have left it: making the tables takes longer than most
    tests that use them."""

    def make(folder: Path) -> None:
        asyncio.run(databases.migrate(f"sqlite+aiosqlite:///{folder / TEMPLATE}"))

    return made_once(tmp_path_factory, "database", make) / TEMPLATE


@pytest.fixture
async def database_url(
    tmp_path: Path, database_server: databases.TestServer | None, sqlite_template: Path
) -> AsyncIterator[str]:
    """The URL of a database of this test's own, with the present schema and no rows of the program's work."""
    if database_server is not None:
        async with database_server.fresh(with_schema=True) as url:
            yield url
        return
    file = shutil.copyfile(sqlite_template, tmp_path / "test.sqlite3")
    yield f"sqlite+aiosqlite:///{file}"


@pytest.fixture
async def empty_database_url(tmp_path: Path, database_server: databases.TestServer | None) -> AsyncIterator[str]:
    """The URL of a database of this test's own without any table."""
    if database_server is None:
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    async with database_server.fresh(with_schema=False) as url:
        yield url


@pytest.fixture
def outages(database: Database, database_url: str, database_server: databases.TestServer | None) -> Outages:
    """Takes this test's database away for a while."""
    return Outages(database, database_url, database_server)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database with the present schema."""
    opened = Database(DatabaseSettings(url=SecretStr(database_url)))
    yield opened
    await opened.close()


@pytest.fixture
def broker_of_run(request: pytest.FixtureRequest) -> brokers.BrokerOfRun:
    return brokers.of_run(request.config)


@pytest.fixture
async def broker(broker_of_run: brokers.BrokerOfRun) -> AsyncIterator[str]:
    """host:port of a broker: the one that all tests of the run share, or an embedded one for this test."""
    if broker_of_run.address is not None:
        yield broker_of_run.address
        return
    async with EmbeddedBroker() as started:
        yield started.address


@pytest.fixture(scope="module")
def own_kafka_node(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[brokers.OwnKafka | None]:
    """What the tests of a file that want a broker of their own have one after another, on Apache Kafka."""
    with brokers.own_kafka(brokers.of_run(pytestconfig), tmp_path_factory.mktemp("kafka")) as node:
        yield node


@pytest.fixture
async def own_broker(own_kafka_node: brokers.OwnKafka | None) -> AsyncIterator[brokers.OwnBroker]:
    """A broker that this test may freeze and stop."""
    async with brokers.own_broker(own_kafka_node) as started:
        yield started
