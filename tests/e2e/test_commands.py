"""The command line against a real broker, a real database and real files."""

import json
import shutil
from pathlib import Path

import pytest

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.commands.console import EXIT_FAILED, EXIT_INTEGRITY, EXIT_REJECTED, EXIT_UNAVAILABLE
from rtcc_bridge.demo.pictures import encode_png, portrait
from rtcc_bridge.storage.tables import audit_entries
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon

pytestmark = pytest.mark.timeout(240)

GROUNDS = (
    "--attest-adult",
    "--provenance", "public-domain portrait", "--lawful-basis", "test", "--retain-until", "2099-01-01",
)  # fmt: skip


async def done(place: Place, *arguments: str) -> str:
    code, output = await place.command(*arguments)
    assert code == 0, output
    return output


async def test_topics_are_created_once(place: Place) -> None:
    output = await done(place, "topics", "create")
    assert "created" not in output
    assert f"is there  {place.settings.kafka.topics.leads}" in output


async def test_a_broker_that_is_away_is_told(place: Place) -> None:
    place.bootstrap = "127.0.0.1:1"
    place.changes["kafka"] = {"request_timeout_seconds": 1, "session_timeout_seconds": 1}
    code, output = await place.command("topics", "create")
    assert code == EXIT_UNAVAILABLE, output
    assert "no broker answers at 127.0.0.1:1: start it, or correct kafka.bootstrap_servers" in output
    assert "KafkaConnectionError" not in output


@pytest.mark.once
async def test_packs_are_listed_verified_and_a_bad_one_is_named(place: Place, tmp_path: Path) -> None:
    await done(place, "models", "add", "default")
    copies = tmp_path / "copies"
    shutil.copytree(place.packs, copies)
    place.packs = copies
    name = next(copies.glob("default-*")).name
    assert name in await done(place, "models", "list")
    assert "good, 5 files" in await done(place, "models", "verify", name)
    shutil.copytree(copies / name, copies / "altered")
    (copies / "altered" / "output.onnx").write_bytes(b"not the file that was pinned")
    code, output = await place.command("models", "verify")
    assert code == EXIT_FAILED, output
    assert f"{name}: good" in output
    assert "altered: BAD" in output
    source = tmp_path / "mine"
    shutil.copytree(copies / name, source)
    description = json.loads((source / "pack.json").read_text())
    description["name"] = "mine"
    (source / "pack.json").write_text(json.dumps(description))
    shutil.rmtree(copies / "altered")
    assert "added mine" in await done(place, "models", "add", str(source))
    assert "mine: mine" in await done(place, "models", "list")


async def test_a_manifest_is_enrolled_and_what_is_left_out_is_listed(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "good.png").write_bytes(encode_png(portrait()))
    (folder / "text.png").write_text("not a picture")
    manifest = folder / "manifest.csv"
    manifest.write_text(
        "image,subject_ref,provenance,lawful_basis,retain_until,attested_adult\n"
        "good.png,subject-1,booking system,statute,2099-01-01,true\n"
        "text.png,subject-2,booking system,statute,2099-01-01,true\n"
        "good.png,subject-3,,statute,2099-01-01,true\n"
    )
    report = tmp_path / "report.csv"
    code, output = await place.command("gallery", "enroll", str(manifest), "--report", str(report), real_workers=True)
    assert code == EXIT_FAILED, output
    assert "1 of 3 enrolled" in output
    assert "left out: 1 without provenance" in output
    assert "left out: 1 that cannot be read as a picture" in output
    assert "unreadable" in report.read_text()
    assert "no_provenance" in report.read_text()
    stats = await done(place, "gallery", "stats")
    assert "demo  kind demo" in stats
    assert "subjects: 1" in stats
    code, output = await place.command("gallery", "expunge", "subject-9", "--reason", "test")
    assert code == EXIT_REJECTED, output
    assert "no subject" in output
    assert "1 images" in await done(place, "gallery", "expunge", "subject-1", "--reason", "court order")
    code, output = await place.command("gallery", "enroll", str(manifest))
    assert "removed" in output


async def test_a_gallery_is_exported_and_a_damaged_one_is_found(enrolled_place: Place, tmp_path: Path) -> None:
    place, out = enrolled_place, tmp_path / "out"
    assert "1 images and 1 pictures written" in await done(place, "gallery", "export", str(out), "--pictures")
    assert "portrait-01" in (out / "manifest.csv").read_text()
    assert "1 segments, 1 templates, 1 pictures checked, 0 faults" in await done(
        place, "gallery", "verify", "--pictures"
    )
    assert "0 images removed" in await done(place, "gallery", "expire")
    stats = json.loads(await done(place, "gallery", "stats", "--json"))
    assert (stats["gallery"], stats["images"], stats["removals"]) == ("demo", 1, 0)
    code, output = await place.command("gallery", "repeat", "no-lead")
    assert code == EXIT_REJECTED, output
    (segment,) = (place.objects / "gallery-segment").iterdir()
    segment.write_bytes(segment.read_bytes()[:-1])
    code, output = await place.command("gallery", "verify")
    assert code == EXIT_INTEGRITY, output
    assert f"Copy objects/gallery-segment/{segment.name} from a backup" in output


@pytest.mark.once
@pytest.mark.parametrize(("until", "said"), [("whenever", "no date as in"), ("2020-01-01", "has passed")])
async def test_a_retention_that_nothing_can_be_enrolled_with_is_a_usage_error(
    until: str, said: str, place: Place, tmp_path: Path
) -> None:
    code, output = await place.command("gallery", "enroll", str(tmp_path), *GROUNDS[:-1], until)
    assert code == 2, output
    assert "--retain-until" in output
    assert said in output


async def test_an_expungement_without_a_gallery_says_where_to_look(place: Place) -> None:
    code, output = await place.command("gallery", "expunge", "P1", "--reason", "court order")
    assert code == EXIT_REJECTED, output
    assert "there is no gallery demo: `rtcc-bridge gallery stats` lists" in output


@pytest.mark.once
async def test_a_folder_without_grounds_is_refused(place: Place, tmp_path: Path) -> None:
    for given in ((), GROUNDS[1:]):
        code, output = await place.command("gallery", "enroll", str(tmp_path), *given)
        assert code == EXIT_REJECTED, output
        assert "--attest-adult" in output


async def test_events_are_simulated_and_a_dead_letter_is_listed_and_replayed(enrolled_place: Place) -> None:
    place = enrolled_place
    incidents = place.settings.kafka.topics.incidents
    async with EventProducer(place.settings.kafka) as producer:
        await producer.send(incidents, key=b"INC-1", value=b"{not json")
    assert "published 20 events" in await done(place, "simulate", "--rate", "200", "--events", "20")
    async with running_daemon(place.settings_file, place.address, place.log):
        letters: list[str] = []
        while not letters:
            letters = (await done(place, "dead-letters", "list", "--json")).splitlines()
    (letter,) = [json.loads(line) for line in letters]
    assert letter["topic"] == incidents
    text = await done(place, "dead-letters", "list")
    assert letter["place"] in text
    assert f"put back on {incidents}" in await done(place, "dead-letters", "replay", letter["place"])
    code, output = await place.command("dead-letters", "replay", "0:999999")
    assert code == EXIT_REJECTED, output
    assert "no dead letter" in output
    async with open_core(place.settings) as core, core.database.read() as tx:
        entries = [row.entry for row in await tx.execute(audit_entries.select())]
    acts = {entry["action"]: entry for entry in entries if entry.get("from", {}).get("way") == "command"}
    assert acts["simulation.run"]["details"] == {
        "threats": place.settings.kafka.topics.threats, "eventsPerHour": 720_000, "events": 20, "exercise": False,
    }  # fmt: skip
    assert acts["letter.replay"]["details"]["places"] == [letter["place"]]
