"""Commands within the tests' process: on an installation in one folder, and what they leave behind there."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from click.testing import CliRunner, Result

from rtcc_bridge.app import foundation
from rtcc_bridge.cli import main
from rtcc_bridge.storage.engine import Transaction
from tests.doubles import ManualClock

Command: TypeAlias = Callable[..., Awaitable[Result]]
"""The words of a command, without its settings -> what came of it."""

_DATABASE = "commands.sqlite3"
_POLICY = Path(__file__).resolve().parents[1] / "config/policy.yaml"


def own_folder(folder: Path, database_url: str | None = None) -> dict[str, Any]:
    """Settings with database (unless one is named) and objects there."""
    return {
        "database": {"url": database_url or f"sqlite+aiosqlite:///{folder / _DATABASE}"},
        "objects": {"url": (folder / "objects").as_uri(), "master_key_file": str(folder / "master.key")},
        "audit": {"journal_folder": str(folder / "journal")},
        "policy": {"file": str(_POLICY)},
    }


def entries_of(folder: Path) -> list[dict[str, Any]]:
    """The audit entries in their order; none where no command has opened the database."""
    file = folder / _DATABASE
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as opened:
        rows = opened.execute("SELECT entry FROM audit_entries ORDER BY rowid").fetchall()
    return [json.loads(text) for (text,) in rows]


def leave_logging(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Commands of these modules leave the logging as it is: that of a process of its own would be all later tests'."""
    for module in modules:
        monkeypatch.setattr(f"rtcc_bridge.commands.{module}.configure_logging", lambda _settings: None)


def commands_on(folder: Path, database_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Commands on what the kits have made in this folder and database, by the clock that the test moves."""
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(own_folder(folder, database_url)))

    async def database_now(_tx: Transaction) -> datetime:
        return clock.now()

    monkeypatch.setattr(foundation, "SystemClock", lambda: clock)
    monkeypatch.setattr("rtcc_bridge.app.retention.database_now", database_now)
    leave_logging(monkeypatch, "retention", "report")

    def run(*words: str) -> Awaitable[Result]:
        return asyncio.to_thread(CliRunner().invoke, main, [*words, "--config", str(file)])

    return run
