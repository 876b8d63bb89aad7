"""The two contracts before the judges of their own worlds: AsyncAPI's parser and Redocly's linter.

Both are programs for Node.js. `npm ci` fetches what package-lock.json pins by hash into .cache/contracts, once for each
state of the lock file; a machine without Node.js leaves these tests out.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.npm_tools import LOCK, installed, require_pinned_by_hash

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

Judge = Callable[[str, Any], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def tools() -> Path:
    """A folder with the linters installed."""
    return installed(HERE, ("asyncapi.mjs", "redocly.yaml"))


@pytest.fixture
def judge(tools: Path, tmp_path: Path) -> Judge:
    """Lets a linter, asyncapi or openapi, judge a document."""

    def judged(kind: str, document: Any) -> subprocess.CompletedProcess[str]:
        file = tmp_path / f"{kind}.json"
        file.write_text(json.dumps(document))
        quiet = {**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        return subprocess.run(
            ["npm", "run", "--silent", kind, "--", str(file)],
            cwd=tools, env=quiet, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return judged


def document(kind: str) -> Any:
    return json.loads((ROOT / f"docs/{kind}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["asyncapi", "openapi"])
def test_its_own_world_finds_nothing_to_complain_about(kind: str, judge: Judge) -> None:
    judged = judge(kind, document(kind))
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_a_channel_without_its_message_is_seen(judge: Judge) -> None:
    broken = document("asyncapi")
    del broken["components"]["messages"]["lead.candidates"]
    assert judge("asyncapi", broken).returncode != 0


def test_an_operation_without_an_answer_is_seen(judge: Judge) -> None:
    broken = document("openapi")
    del broken["paths"]["/api/v1/leads"]["get"]["responses"]
    assert judge("openapi", broken).returncode != 0


def test_the_lock_file_names_no_registry_and_pins_everything_by_hash() -> None:
    require_pinned_by_hash(HERE / LOCK)
