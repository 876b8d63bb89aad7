"""An auditor and a running daemon: what is signed reaches the topic, an export and a receipt are verified elsewhere."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rtcc_bridge.audit.note import SignedCheckpoint, VerifierKey
from rtcc_bridge.cli import main
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon
from tests.integration.pipeline import read_all

pytestmark = pytest.mark.timeout(240)


async def _head(place: Place) -> dict[str, Any]:
    """Of the log, as soon as every entry so far is signed and the store outside has it."""
    while True:
        code, output = await place.command("audit", "head", "--json")
        if code == 0:
            head: dict[str, Any] = json.loads(output.splitlines()[-1])
            if head["entries"] == head["signed"] == head["acknowledged"].get("store"):
                return head
        await asyncio.sleep(0.2)


async def test_what_the_daemon_signs_is_verified_without_it(enrolled_place: Place, tmp_path: Path) -> None:
    place, city = enrolled_place, tmp_path / "city"
    city.mkdir()
    place.changes["audit"] = {
        "signing_key_file": str(tmp_path / "signing.key"),
        "checkpoint_file": str(tmp_path / "checkpoint"),
        "outside_url": city.as_uri(),
        "checkpoint_seconds": 1,
        "journal_folder": str(tmp_path / "journal"),
    }
    async with running_daemon(place.settings_file, place.address, place.log):
        head = await _head(place)
    kept = SignedCheckpoint.read(head["checkpoint"])
    assert kept.signed_by(VerifierKey.read(head["publicKey"]))
    assert (tmp_path / "checkpoint").read_text(encoding="utf-8") == head["checkpoint"]
    export = tmp_path / "export"
    code, output = await place.command("audit", "export", str(export))
    assert code == 0, output
    verify = ["audit", "verify", str(export), "--key", head["publicKey"], "--checkpoint", str(tmp_path / "checkpoint")]
    done = CliRunner().invoke(main, verify)
    assert (done.exit_code, "is one of this history" in done.output) == (0, True), done.output
    records = await read_all(place.settings.kafka, place.settings.kafka.topics.audit_checkpoints)
    assert head["checkpoint"] in [json.loads(record.value)["data"]["note"] for record in records]
