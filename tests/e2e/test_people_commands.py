"""`rtcc-bridge users` and `tokens`: as an administrator types them; no password or token where others could read it."""

import asyncio
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from rtcc_bridge.cli import main
from tests.command_kit import leave_logging

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    leave_logging(monkeypatch, "users", "tokens")
    return _settings(tmp_path, "demo")


def _settings(folder: Path, profile: str) -> Path:
    file = folder / f"{profile}.yaml"
    content = {
        "profile": profile,
        "database": {"url": f"sqlite+aiosqlite:///{folder / 'db.sqlite3'}"},
        "objects": {"url": (folder / "objects").as_uri(), "master_key_file": str(folder / "master.key")},
        "policy": {"file": str(ROOT / "config/policy.yaml")},
        "log": {"level": "ERROR"},
    }
    file.write_text(yaml.safe_dump(content))
    return file


async def run(config: Path, *arguments: str, stdin: str | None = None) -> Result:
    command = [*arguments, "--config", str(config)]
    return await asyncio.to_thread(CliRunner().invoke, main, command, stdin)


async def test_accounts_from_the_first_to_the_last_command(config: Path) -> None:
    until = ("--certificate", "implicit_bias", "2026-03-31/2027-03-31")
    added = await run(config, "users", "add", "Anna", "--role", "analyst", *until, stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert (added.exit_code, "account Anna added" in added.output) == (0, True), added.output
    assert PASSWORD not in added.output
    again = await run(config, "users", "add", "anna", "--role", "floor", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert (again.exit_code, "already" in again.output) == (4, True)
    short = await run(config, "users", "add", "boris", "--role", "floor", "--password-stdin", stdin="short\n")
    assert (short.exit_code, "12 to 256" in short.output) == (4, True)
    never = ("--certificate", "implicit_bias", "soon")
    assert (await run(config, "users", "add", "boris", "--role", "analyst", *never)).exit_code == 2
    listed = await run(config, "users", "list")
    assert "anna  analyst  person anna" in listed.output
    assert "implicit_bias issued 2026-03-31T00:00:00Z, until 2027-04-01T00:00:00Z" in listed.output
    changed = await run(config, "users", "password", "anna", "--password-stdin", stdin="another horse battery\n")
    assert changed.output == "password of anna changed, 0 sessions ended\n"
    assert (await run(config, "users", "disable", "anna")).output == "account anna disabled, 0 sessions ended\n"
    assert "disabled" in (await run(config, "users", "list")).output
    assert (await run(config, "users", "disable", "nobody")).exit_code == 4


async def test_outside_the_demo_there_are_no_local_accounts(config: Path) -> None:
    assert (await run(config, "users", "list")).exit_code == 0  # makes the master key, which the demo may
    refused = await run(_settings(config.parent, "production"), "users", "list")
    assert (refused.exit_code, "in the demo profile only" in refused.output) == (4, True), refused.output


async def test_tokens_from_the_first_to_the_last_command(config: Path) -> None:
    created = await run(config, "tokens", "create", "the wall", "--deed", "watch-floor", "--days", "7")
    found = re.search(r"^rtcc_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$", created.output, re.MULTILINE)
    assert found is not None, created.output
    listed = (await run(config, "tokens", "list")).output
    assert f"{found[1]}  the wall  watch-floor  until " in listed
    assert found[0] not in listed
    assert (await run(config, "tokens", "revoke", found[1])).exit_code == 0
    assert "revoked" in (await run(config, "tokens", "list")).output
    assert (await run(config, "tokens", "revoke", found[1])).exit_code == 4
    assert (await run(config, "tokens", "create", "x", "--deed", "decide-search")).exit_code == 2
