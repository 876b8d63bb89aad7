"""What commands leave behind in an installation that lies in one folder."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

_DATABASE = "commands.sqlite3"
_POLICY = Path(__file__).resolve().parents[1] / "config/policy.yaml"


def own_folder(folder: Path) -> dict[str, Any]:
    """Settings with database and objects there."""
    return {
        "database": {"url": f"sqlite+aiosqlite:///{folder / _DATABASE}"},
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
