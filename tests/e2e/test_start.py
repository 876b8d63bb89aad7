"""What an operator sees when the daemon cannot start: a sentence that says what to do, and an exit code."""

import asyncio
import base64
import json
import os
import re
import shutil
import socket
import sys
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the module does not list what it exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from rtcc_bridge.commands.console import EXIT_CONFIGURATION, EXIT_UNAVAILABLE
from rtcc_bridge.web.words import DEPENDENCIES
from tests.brokers import unique_names
from tests.e2e.calls import until
from tests.e2e.conftest import ROOT, Place
from tests.ports import free_port

SECRET = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.once
async def test_a_taken_port_is_named(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen()
        code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert f"127.0.0.1:{place.port} cannot be bound" in output
    assert "choose another port" in output


async def test_a_missing_topic_is_named(place: Place) -> None:
    place.changes["kafka"] = {"topics": {**unique_names(place.mark), "threats": f"rtcc.threats.{place.mark}.elsewhere"}}
    code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert f"topic rtcc.threats.{place.mark}.elsewhere: is missing" in output
    assert "rtcc-bridge topics create" in output


async def _is_compacted(admin: AdminClient, topic: str) -> bool:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    found = await asyncio.to_thread(admin.describe_configs([resource])[resource].result)
    return bool(found["cleanup.policy"].value == "compact")


@pytest.mark.kafka
async def test_a_topic_that_compaction_would_tear_is_named(place: Place) -> None:
    """Its partitions are fewer than the settings ask for, too: that is told, and stops nothing."""
    incidents = place.settings.kafka.topics.incidents
    admin = AdminClient({"bootstrap.servers": place.bootstrap})
    resource = ConfigResource(
        ConfigResource.Type.TOPIC,
        incidents,
        incremental_configs=[ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)],
    )
    await asyncio.to_thread(admin.incremental_alter_configs([resource])[resource].result)
    await until(lambda: _is_compacted(admin, incidents))  # the broker acknowledges it before it goes by it
    place.changes["kafka"] = {"topics": {**unique_names(place.mark), "partitions": 50}}
    code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert f"topic {incidents}: has cleanup.policy compact" in output
    assert '"setting": "partitions"' in output
    assert "fewer processes can share the work" in output


@pytest.mark.postgresql
async def test_a_database_of_a_newer_program_is_refused(place: Place) -> None:
    assert (await place.command("db", "upgrade"))[0] == 0
    connection = await asyncpg.connect(place.database_url.replace("+asyncpg", ""))
    await connection.execute("UPDATE alembic_version SET version_num = 'later'")
    await connection.execute("UPDATE oldest_program SET revision = 'later'")
    await connection.close()
    code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert "the database has revision later, which this program does not know" in output
    assert "Start the newer program" in output


@pytest.mark.once
async def test_an_unknown_setting_is_named(place: Place) -> None:
    place.changes["web"] = {"prot": 1}
    code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert "web.prot: unknown setting" in output


@pytest.mark.once
async def test_a_model_file_with_another_hash_is_refused(place: Place, tmp_path: Path) -> None:
    code, output = await place.command("models", "add", "default")
    assert code == 0, output
    altered = tmp_path / "altered"
    shutil.copytree(place.packs, altered)
    recognizer = next(altered.glob("default-*/recognizer.onnx"))
    content = bytearray(recognizer.read_bytes())
    content[-1] ^= 1
    recognizer.write_bytes(content)
    place.packs = altered
    code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert "recognizer.onnx" in output
    assert "matching.pack" in output


@pytest.mark.sqlite
async def test_a_read_only_database_is_told(place: Place) -> None:
    assert (await place.command("db", "upgrade"))[0] == 0
    file = place.database_url.removeprefix("sqlite+aiosqlite:///")
    url = f"sqlite+aiosqlite:///file:{file}?mode=ro&uri=true"
    place.changes["database"] = {"url": url, "start_patience_seconds": 1}
    code, output = await place.command("serve")
    assert code == EXIT_UNAVAILABLE
    assert "readonly" in output
    assert output.count("interrupted: it is tried again") == 1


@pytest.mark.sqlite
async def test_several_processes_on_sqlite_are_refused(place: Place) -> None:
    code, output = await place.command("serve", "--roles", "web")
    assert code == EXIT_CONFIGURATION
    assert "PostgreSQL" in output


@pytest.mark.once
async def test_the_floor_is_told_what_the_absence_of_each_dependency_means(
    daemon: Place, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{daemon.address}/readyz") as answer:
        found = {re.split("[. ]", one["name"])[0] for one in (await answer.json())["dependencies"]}
    assert found == set(DEPENDENCIES)


@pytest.mark.sqlite
async def test_a_second_daemon_on_one_sqlite_file_is_refused(daemon: Place, http: aiohttp.ClientSession) -> None:
    """With another port nothing else would stand in its way."""
    first, daemon.port = daemon.address, free_port()
    code, output = await daemon.command("serve")
    assert code == EXIT_CONFIGURATION
    assert "another daemon works on" in output
    assert "Stop that one first" in output
    async with http.get(f"{first}/healthz") as answer:
        assert answer.status == 200


async def test_check_config_prints_no_secret(place: Place) -> None:
    place.changes["objects"] = {"master_key": SECRET, "master_key_file": None}
    code, output = await place.command("check-config", "--show")
    assert code == 0, output
    assert "master_key" in output
    assert SECRET not in output


@pytest.mark.once
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objects": {"master_key_file": None}}, "no master key is configured"),
        ({"objects": {"master_key_file": "{file}/key"}}, "objects.master_key_file: the folder"),
        ({"objects": {"url": "file://{file}/objects"}}, "objects.url: the folder"),
        ({"matching": {"packs_directory": "{file}/packs"}}, "matching.packs_directory: the folder"),
        ({"matching": {"pack": "absent"}}, "matching.pack"),
        ({"policy": {"file": "{file}/policy.yaml"}}, "policy.yaml"),
        ({"objects": {"transit_url": "https://vault.example", "master_key_file": None}}, "objects.transit_token"),
        ({"objects": {"ledger_url": "gopher://ledger"}}, "objects.ledger_url: only file:"),
        (
            {"database": {"url": "postgresql+asyncpg://db.example/rtcc", "tls_ca_file": "{file}/ca.pem"}},
            "database.tls_ca_file",
        ),
    ],
)
async def test_check_config_refuses_what_serve_would_and_makes_nothing(
    changes: dict[str, dict[str, str | None]], said: str, place: Place, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    before = names_in(tmp_path) | {place.settings_file.name}
    for section, values in changes.items():
        place.changes[section] = {
            name: value and value.replace("{file}", str(tmp_path / "file")) for name, value in values.items()
        }
    code, output = await place.command("check-config")
    assert code == EXIT_CONFIGURATION, output
    assert said in output
    assert names_in(tmp_path) == before


async def test_check_config_asks_what_the_settings_name(place: Place) -> None:
    code, output = await place.command("check-config", "--reach")
    assert code == 0, output
    assert {"reach broker: good (answers)", "reach topics: good (as they should be)"} <= set(output.splitlines())
    assert "reach objects: good (not made yet: `serve` makes it)" in output
    assert not place.objects.exists()
    assert (await place.command("db", "upgrade"))[0] == 0
    names = {**unique_names(place.mark), "gallery_records": f"rtcc.gallery.records.{place.mark}.elsewhere"}
    place.changes["kafka"] = {"topics": names}
    code, output = await place.command("check-config", "--reach")
    assert code == EXIT_UNAVAILABLE
    assert f"reach topics: rtcc.gallery.records.{place.mark}.elsewhere: missing" in output
    assert "run `rtcc-bridge topics create`" in output
    assert "reach database: good (at revision" in output
    assert output.rstrip().endswith("error: not usable: topics")


async def test_check_config_names_what_does_not_answer(place: Place, tmp_path: Path) -> None:
    """An object store on a disk that is not mounted: its folder is there, and is not the store."""
    assert (await place.command("gallery", "stats"))[0] == 0  # makes the master key and the store
    (place.objects / ".rtcc-bridge-store").unlink()
    (place.objects / "lost+found").mkdir()
    (place.objects / "something").touch()
    place.changes["kafka"] = {"bootstrap_servers": [f"127.0.0.1:{free_port()}"]}
    code, output = await place.command("check-config", "--reach")
    assert code == EXIT_UNAVAILABLE
    assert "is it mounted?" in next(line for line in output.splitlines() if line.startswith("reach objects:"))
    assert output.rstrip().endswith("error: not usable: broker, topics, objects")


@pytest.mark.once
async def test_the_example_in_config_starts_in_an_empty_folder(place: Place, tmp_path: Path) -> None:
    """With the addresses and the packs of the tests' own run, which every machine has elsewhere."""
    folder = tmp_path / "elsewhere"
    (folder / "config").mkdir(parents=True)
    for name in ("demo.yaml", "policy.yaml"):
        shutil.copy(ROOT / "config" / name, folder / "config")
    environment = {
        "RTCC_BRIDGE_KAFKA__BOOTSTRAP_SERVERS": json.dumps([place.bootstrap]),
        "RTCC_BRIDGE_KAFKA__TOPICS": place.settings.kafka.topics.model_dump_json(),
        "RTCC_BRIDGE_MATCHING__PACKS_DIRECTORY": str(place.packs),
        "RTCC_BRIDGE_WEB__PORT": str(place.port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcc_bridge", "serve", "--config", "config/demo.yaml",
        cwd=folder, stdin=asyncio.subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    try:
        async with asyncio.timeout(90), aiohttp.ClientSession() as http:
            while not await _answers(http, place.address):
                assert process.returncode is None
                await asyncio.sleep(0.1)
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert names_in(folder / "var/demo") >= {"objects", "master.key", "rtcc-bridge.sqlite3"}


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


async def _answers(http: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with http.get(f"{address}/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_a_database_of_another_kind_is_refused_without_its_password(place: Place) -> None:
    place.changes["database"] = {"url": "mysql+asyncmy://user:correct-horse@db/rtcc"}
    code, output = await place.command("check-config")
    assert code == EXIT_CONFIGURATION
    assert "postgresql+asyncpg://" in output
    assert "correct-horse" not in output
