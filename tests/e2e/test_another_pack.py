"""A daemon with an agency's own model pack: from the still to the lead, and what it says without a calibration."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from rtcc_bridge.commands.console import EXIT_CONFIGURATION
from rtcc_bridge.demo.client import Answer, DemoClient
from rtcc_bridge.matching.modelpack import PACK_FILE, ModelPack, load_pack
from tests.agency_pack import AGENCY_PACK, write_agency_pack
from tests.e2e.calls import URGENT, leads_of, on_floor, publish, until
from tests.e2e.conftest import Place, enroll
from tests.e2e.program import running_daemon
from tests.qualified_pack import write_calibration

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def calibration(second_pack: ModelPack, test_data: Path, tmp_path: Path) -> Path:
    return write_calibration(second_pack, test_data, tmp_path / "calibration.json")


@pytest.fixture
async def agency(place: Place, test_data: Path, calibration: Path, tmp_path: Path) -> Place:
    """Settings that name the pack, which was added with the command. The default pack is not there."""
    place.packs = tmp_path / "packs"
    source = write_agency_pack(tmp_path / "from-elsewhere", test_data / "models", calibration)
    code, output = await place.command("models", "add", str(source))
    assert (code, output.strip()) == (0, f"added {AGENCY_PACK}: set matching.pack to {AGENCY_PACK}")
    place.changes["matching"] = {"pack": AGENCY_PACK}
    return place


@pytest.mark.once
async def test_a_still_becomes_a_lead_with_another_pack(
    agency: Place, test_data: Path, http: aiohttp.ClientSession, client_of: Callable[[Place], DemoClient]
) -> None:
    """One of two booking photographs is enrolled and the other searched; then that of somebody else."""
    people = [sorted(folder.iterdir()) for folder in sorted((test_data / "faces").glob("MEDS_*"))]
    pictures = [[file.read_bytes() for file in files[:2]] for files in people if len(files) > 1]
    (enrolled, searched), (stranger, _) = pictures[:2]
    await enroll(agency, "somebody", enrolled)
    client = client_of(agency)
    async with running_daemon(agency.settings_file, agency.address, agency.log):
        incident = await publish(agency, threat=True)
        await on_floor(client, incident)

        async def lead_of(still: bytes) -> Answer:
            probe = await client.attach(incident, URGENT, still, "still.jpg")
            (face,) = probe["faces"]
            probe = await client.choose(probe["probeId"], face["number"])
            await until(lambda: leads_of(http, agency, probe["probeId"]))
            (lead,) = await leads_of(http, agency, probe["probeId"])
            data: Answer = lead["data"]
            return data

        lead, other = await lead_of(searched), await lead_of(stranger)
    assert (lead["result"], lead["candidateCount"], other["result"]) == ("candidates", 1, "no_candidate")
    pack = load_pack(agency.packs / AGENCY_PACK)
    assert (lead["search"]["modelPack"], lead["search"]["modelHash"]) == (AGENCY_PACK, pack.pack_hash)
    assert [folder.name for folder in agency.packs.iterdir()] == [AGENCY_PACK]


@pytest.mark.once
async def test_a_pack_without_a_calibration_is_refused(place: Place, default_pack: ModelPack, tmp_path: Path) -> None:
    """No threshold means anything without one."""
    place.packs = tmp_path / "packs"
    folder = place.packs / "uncalibrated"
    shutil.copytree(default_pack.folder, folder)
    description = json.loads((folder / PACK_FILE).read_text())
    del description["files"][description["calibration"]]
    (folder / PACK_FILE).write_text(json.dumps({**description, "name": "uncalibrated", "calibration": None}))
    place.changes["matching"] = {"pack": "uncalibrated"}
    code, output = await place.command("serve")
    assert code == EXIT_CONFIGURATION
    assert "matching.pack: the pack uncalibrated has no calibration" in output
    assert "rtcc-bridge models calibrate uncalibrated" in output
