"""Reports by the command line of a real installation: a real search, real picture workers, the default pack."""

import hashlib
import json
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rtcc_bridge.commands.console import EXIT_CONFIGURATION, EXIT_REJECTED
from rtcc_bridge.demo.client import Answer, DemoClient, ProbeRequest
from rtcc_bridge.demo.pictures import portrait, rephotograph
from tests import tools
from tests.e2e.calls import ClientOf, on_floor, publish, until
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon

pytestmark = [pytest.mark.timeout(240), tools.needs("openssl", "openssl")]

FORM = ProbeRequest(purpose="violent_offense", legal_basis="Criminal investigation", case_number="CASE-1")
MOTION = ("--reason", "motion", "--office", "public defender", "--receiver", "matter 26-118")


async def searched(place: Place, client: DemoClient) -> str:
    """A lead that a supervisor has taken back, so that nobody has to conclude on it any more; returns its id."""
    incident = await publish(place, threat=False)
    await on_floor(client, incident)
    probe = await client.attach(incident, FORM, rephotograph(portrait()), "still.jpg")
    probe = await client.choose(probe["probeId"], probe["faces"][0]["number"])
    await client.approve(probe["probeId"])
    found: list[Answer] = []

    async def known() -> bool:
        found[:] = await client.leads_of(incident)
        return bool(found)

    await until(known)
    lead_id = str(found[0]["data"]["leadId"])
    if found[0]["data"]["result"] == "candidates":
        code, output = await place.command("report", "discovery", lead_id, *MOTION)
        assert code == EXIT_REJECTED, output
        assert "have not concluded" in output
    await client.post(f"leads/{lead_id}/withdraw", "supervisor", {"reason": "a test"})
    return lead_id


async def test_reports_are_made_beside_a_daemon(enrolled_place: Place, client_of: ClientOf, tmp_path: Path) -> None:
    place, month = enrolled_place, f"{datetime.now(UTC):%Y-%m}"
    place.changes["reports"] = {"signing_key_file": str(tmp_path / "packet.key")}
    async with running_daemon(place.settings_file, place.address, place.log):
        lead_id = await searched(place, client_of(place))
        packet = tmp_path / "packet.zip"
        to_packet = ("report", "discovery", lead_id, *MOTION, "--to", str(packet))
        code, output = await place.command(*to_packet, real_workers=True)
        assert code == 0, output
        code, misuse = await place.command("report", "misuse")
        assert code == 0, misuse
    unpacked = unpack(packet)
    facts = json.loads((unpacked / "lead-1/facts.json").read_text())
    assert facts["model"]["packHash"] == facts["search"]["modelHash"]
    calibration = (unpacked / "lead-1/model/calibration.json").read_bytes()
    assert facts["model"]["calibrationSha256"] == hashlib.sha256(calibration).hexdigest()
    assert facts["still"]["files"] == ["pictures/still.jpg", "pictures/face-searched.png"]
    assert (unpacked / "lead-1/pictures/still.jpg").read_bytes().startswith(b"\xff\xd8")
    assert (await place.command("report", "discovery", lead_id, *MOTION, "--to", str(packet)))[0] != 0
    assert "unopened_approvals: 1" in misuse
    formats = ("--format", "html", "--format", "csv", "--format", "json", "--format", "pdf")
    code, output = await place.command("report", "transparency", "--from", month, *formats, "--to", str(tmp_path))
    assert code == 0, output
    assert "publish none of it" in output
    assert all((tmp_path / f"transparency-{month}.{form}").stat().st_size > 100 for form in formats[1::2])
    log = tmp_path / "log.csv"
    asked = ("report", "access-log", "demo", "portrait-01", "--reason", "asked for", "--to", str(log))
    code, output = await place.command(*asked)
    assert code == 0, output
    assert "an access log of the record was made" in log.read_text()


async def test_without_a_key_no_packet_is_made(place: Place) -> None:
    code, output = await place.command("report", "discovery", "x" * 22, *MOTION)
    assert code == EXIT_REJECTED, output
    place.changes["reports"] = {"roster_file": "nowhere.csv"}
    code, output = await place.command("report", "misuse")
    assert code == EXIT_CONFIGURATION, output
    assert "reports.roster_file" in output


def unpack(packet: Path) -> Path:
    """Verifies it as its README says, with nothing of ours; returns its folder."""
    folder = packet.with_suffix("")
    with zipfile.ZipFile(packet) as packed:
        packed.extractall(folder)
    [only] = folder.iterdir()
    for command in (
        "openssl pkeyutl -verify -pubin -inkey PUBLIC-KEY.pem -rawin -in MANIFEST.sha256 -sigfile MANIFEST.sha256.sig",
        "sha256sum --check --strict MANIFEST.sha256",
    ):
        subprocess.run(command.split(), cwd=only, check=True, capture_output=True)
    return only
