"""A live gallery follows the record system in a running daemon: who is booked is found, who is ordered out is not."""

import json
import secrets
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.demo.client import Answer, DemoClient
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.modelpacks.add_pack import add_pack
from rtcc_bridge.storage.tables import audit_entries
from tests.agency_pack import AGENCY_PACK, write_agency_pack
from tests.e2e.calls import URGENT, ClientOf, leads_of, on_floor, publish, until
from tests.e2e.conftest import ROOT, Place
from tests.e2e.program import Program, running_daemon
from tests.integration.pipeline import read_all, send_event
from tests.ports import free_port
from tests.qualified_pack import LIMITS, qualified, write_calibration
from tests.records_kit import booking, removal

pytestmark = pytest.mark.timeout(240)

GALLERY = "city"
GROUNDS = (
    "--provenance", "booking desk", "--lawful-basis", "statute 12", "--retain-until", "2099-01-01", "--attest-adult",
)  # fmt: skip


@pytest.fixture
def pack(second_pack: ModelPack, test_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The folder of packs, with one that a live gallery may be searched with, and the key that vouches for it."""
    calibration = write_calibration(second_pack, test_data, tmp_path / "calibration.json")
    source = write_agency_pack(tmp_path / "from-elsewhere", test_data / "models", calibration)
    added = add_pack(source, tmp_path / "packs")
    return added.parent, qualified(load_pack(added), tmp_path / "keys")


@pytest.fixture
async def city(place: Place, pack: tuple[Path, Path], people: list[list[bytes]]) -> Place:
    """An agency's settings, with the role switch in place of sign-in; a live gallery with one person in it."""
    place.packs, key = pack
    policy = place.folder / "policy.yaml"
    policy.write_text((ROOT / "config/policy.yaml").read_text() + LIMITS)
    store = place.folder / "booked"
    store.mkdir()
    place.changes["policy"] = {"file": str(policy)}
    place.changes["records"] = {"pictures_url": store.as_uri()}
    place.changes["matching"] = {"pack": AGENCY_PACK, "gallery": GALLERY, "evaluation_key_file": str(key)}
    place.changes["operations"] = {"port": free_port()}
    enrolled = place.folder / "people" / "R-0"
    enrolled.mkdir(parents=True)
    (enrolled / "1.jpg").write_bytes(people[0][0])
    code, output = await place.command("gallery", "enroll", str(enrolled.parent), "--kind", "live", *GROUNDS)
    assert code == 0, output
    return place


@pytest.fixture
def people(test_data: Path) -> list[list[bytes]]:
    """Two booking photographs of each of four people."""
    found = [sorted(folder.iterdir()) for folder in sorted((test_data / "faces").glob("MEDS_*"))]
    return [[file.read_bytes() for file in files[:2]] for files in found if len(files) > 1][:4]


@dataclass
class Records:
    """The record system: leaves pictures in its store and publishes."""

    place: Place
    producer: EventProducer

    async def book(self, ref: str, picture: bytes) -> None:
        name = f"{secrets.token_hex(4)}.jpg"
        (self.place.folder / "booked" / name).write_bytes(picture)
        await send_event(self.producer, self._topic, booking(ref, name, picture))

    async def order_out(self, ref: str, kind: str) -> None:
        await send_event(self.producer, self._topic, removal(ref, event_type=f"rtcc.gallery.{kind}"))

    @property
    def _topic(self) -> str:
        return self.place.settings.kafka.topics.gallery_records


@dataclass
class Matcher:
    """What the running matcher tells of itself."""

    http: aiohttp.ClientSession
    place: Place

    async def tells(self, metric: str, **labels: str) -> float:
        address = f"http://127.0.0.1:{self.place.changes['operations']['port']}/metrics"
        async with self.http.get(address) as answer:
            text = await answer.text()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"rtcc_bridge_{metric}" and labels.items() <= sample.labels.items()
        )

    async def searches(self, templates: int) -> int:
        """Waits until so many are searched, and gives the version."""

        async def so_many() -> bool:
            return await self.tells("gallery_templates", gallery=GALLERY) == templates

        await until(so_many)
        return int(await self.tells("gallery_version", gallery=GALLERY))


@pytest.fixture
def matcher(city: Place, http: aiohttp.ClientSession) -> Matcher:
    return Matcher(http, city)


async def test_who_is_booked_is_found_and_who_is_ordered_out_is_not(
    city: Place, people: list[list[bytes]], matcher: Matcher, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    client = client_of(city)
    kafka = city.settings.kafka
    async with running(city) as daemon, EventProducer(kafka) as producer:
        records = Records(city, producer)
        before = await matcher.searches(1)
        for number in (1, 2, 3):
            await records.book(f"R-{number}", people[number][0])
        booked = await matcher.searches(4)
        assert booked > before
        incident = await publish(city, threat=True)
        await on_floor(client, incident)
        found = await searched(city, http, client, incident, people[1][1])
        assert (found["result"], found["candidateCount"]) == ("candidates", 1)
        facts = found["search"]
        assert (facts["gallery"], facts["galleryVersion"], facts["gallerySize"]) == (GALLERY, booked, 4)

        await records.order_out("R-1", "expunged")
        await records.order_out("R-2", "sealed")
        left = await matcher.searches(2)
        assert left > booked
        (lead,) = await leads_of(http, city, found["probeId"])
        assert lead["data"]["reviewState"] == "withdrawn"
        again = await searched(city, http, client, incident, people[1][1])
        assert (again["result"], again["search"]["galleryVersion"], again["search"]["gallerySize"]) == (
            "no_candidate", left, 2,
        )  # fmt: skip
        await records.book("R-1", people[1][0])
        await until(lambda: refused_one(matcher))
        assert await matcher.searches(2) == left
        assert await matcher.tells("expunge_effective_seconds_count") == 2
        assert daemon.returncode is None, "the same matcher all along"
    assert [kind for lead, kind in await published(city) if lead == found["leadId"]] == [
        "lead.candidates",
        "lead.withdrawn",
    ]

    async with open_core(city.settings) as core:
        removals = [left - 1, left]
        assert (await receipts(core))["gallery.expunged"] == removals

        async def bytes_gone() -> bool:
            return (await receipts(core)).get("gallery.bytes_gone") == removals

        async with running(city):  # which looks for what is left at its start, and each minute
            await until(bytes_gone)
            assert await matcher.searches(2) == left, "nobody comes back by a restart"
    code, output = await city.command("gallery", "repeat", found["leadId"])
    assert code == 0, output
    assert f"version {booked}: 2 images of it were removed since, and of 1 people on the list 0 are still" in output


def running(place: Place) -> AbstractAsyncContextManager[Program]:
    address = f"http://127.0.0.1:{place.changes['operations']['port']}"
    return running_daemon(place.settings_file, address, place.log)


async def searched(
    place: Place, http: aiohttp.ClientSession, client: DemoClient, incident: str, still: bytes
) -> Answer:
    """What the lead says that comes of this still."""
    probe = await client.attach(incident, URGENT, still, "still.jpg")
    (face,) = probe["faces"]
    probe = await client.choose(probe["probeId"], face["number"])
    await until(lambda: leads_of(http, place, probe["probeId"]))
    (lead,) = await leads_of(http, place, probe["probeId"])
    data: Answer = lead["data"]
    return data


async def refused_one(matcher: Matcher) -> bool:
    return await matcher.tells("gallery_bookings_total", outcome="removed") == 1


async def published(place: Place) -> list[tuple[str, str]]:
    """Which lead events are on the topic, in their order: whose, and of which type."""
    kafka = place.settings.kafka
    events = [json.loads(record.value) for record in await read_all(kafka, kafka.topics.leads)]
    return [(event["data"]["leadId"], event["type"]) for event in events]


async def receipts(core: Core) -> dict[str, list[int]]:
    """The versions that the receipts of removals name, by the kind of receipt."""
    found: dict[str, list[int]] = {}
    query = select(audit_entries).where(audit_entries.c.action.in_(("gallery.expunged", "gallery.bytes_gone")))
    async with core.database.read() as tx:
        rows = (await tx.execute(query)).mappings().all()
    for row in rows:
        found.setdefault(row["action"], []).append(row["entry"]["details"]["version"])
    return {action: sorted(versions) for action, versions in found.items()}
