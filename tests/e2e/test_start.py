"""What an operator sees when the daemon cannot start: a sentence that says what to do, and an exit code."""

import base64
import shutil
import socket
from pathlib import Path

from rtcc_bridge.commands.console import EXIT_CONFIGURATION, EXIT_UNAVAILABLE
from tests.e2e.conftest import Place

SECRET = base64.b64encode(bytes(range(32))).decode()


async def test_a_taken_port_is_named(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen()
        code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert f"127.0.0.1:{place.port} cannot be bound" in output
    assert "choose another port" in output


async def test_an_unknown_setting_is_named(place: Place) -> None:
    place.changes["web"] = {"prot": 1}
    code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert "web.prot: unknown setting" in output


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


async def test_a_read_only_database_is_told(place: Place) -> None:
    assert (await place.command("db", "upgrade"))[0] == 0
    file = place.folder / "db.sqlite3"
    place.changes["database"] = {"url": f"sqlite+aiosqlite:///file:{file}?mode=ro&uri=true"}
    code, output = await place.command("serve")
    assert code == EXIT_UNAVAILABLE
    assert "readonly" in output


async def test_several_processes_on_sqlite_are_refused(place: Place) -> None:
    code, output = await place.command("serve", "--roles", "web")
    assert code == EXIT_CONFIGURATION
    assert "PostgreSQL" in output


async def test_check_config_prints_no_secret(place: Place) -> None:
    place.changes["objects"] = {"master_key": SECRET}
    code, output = await place.command("check-config", "--show")
    assert code == 0, output
    assert "master_key" in output
    assert SECRET not in output


async def test_a_database_that_is_not_there_yet_is_refused_without_its_password(place: Place) -> None:
    place.changes["database"] = {"url": "postgresql+asyncpg://user:correct-horse@db/rtcc"}
    code, output = await place.command("check-config")
    assert code == EXIT_CONFIGURATION
    assert "PostgreSQL comes with the next version" in " ".join(output.split())
    assert "correct-horse" not in output
