"""The daemon's own wiring: what it does although nobody asks, and what ends it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from sqlalchemy import insert, select, update

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.galleries import expunger_for
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.commands.console import EXIT_INTEGRITY
from rtcc_bridge.demo.client import CallError, DemoClient, ProbeRequest
from rtcc_bridge.demo.pictures import encode_png, portrait, rephotograph
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.probes.desk import ORIGINAL_KIND
from rtcc_bridge.probes.steps import keep_authority
from rtcc_bridge.simulate import incident_data, publish_incident
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage import leads as stored_leads
from rtcc_bridge.storage import probes as stored_probes
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.tables import input_events, leads, probes
from tests.e2e.conftest import Place, enroll
from tests.e2e.program import running_daemon
from tests.integration.pipeline import until

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
INCIDENT = "DAEMON-PARTS"
LIST_LENGTH = 3
TARGET_FPIR = 0.17
FORM = ProbeRequest(purpose="violent_offense", legal_basis="Criminal investigation", case_number="CASE-1")


async def note_an_old_event(database: Database) -> None:
    row = {"source": "urn:old", "event_id": "1", "topic": "incidents", "value_sha256": None, "received_at": LONG_AGO}
    async with database.write() as tx:
        await tx.execute(insert(input_events).values(row))


async def expunge_without_scrubbing(place: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command could not rewrite the segment: its object, which still holds the template."""

    async def away(*_: object) -> int:
        raise UnavailableError("the object store does not answer")

    async with open_core(place.settings) as core:
        async with core.database.read() as tx:
            gallery = await galleries.find(tx, "demo")
            assert gallery is not None
            (segment,) = await galleries.segments(tx, "demo", after=0, up_to=gallery.version)
        with monkeypatch.context() as patched:
            patched.setattr(SegmentScrubber, "scrub", away)
            receipt = await expunger_for(core).expunge_subject(
                "demo", "portrait-01", "court order", DEMO_ACCOUNTS["administrator"]
            )
    assert not receipt.bytes_gone
    assert (place.objects / segment.object_key).is_file()
    return segment.object_key


async def attach(place: Place, client: DemoClient) -> str:
    """A probe whose search waits for its approval."""
    kafka = place.settings.kafka
    async with EventProducer(kafka) as producer:
        data = incident_data(INCIDENT, "SHOOT", 1, datetime.now(UTC), location="Test square")
        await publish_incident(producer, kafka.topics, "reported", data)

    async def known() -> bool:
        try:
            await client.incident(INCIDENT)
        except CallError:
            return False
        return True

    await until(known)
    probe = await client.attach(INCIDENT, FORM, rephotograph(portrait()), "still.jpg")
    if probe["state"] == "faces_found":
        probe = await client.choose(probe["probeId"], probe["faces"][0]["number"])
    assert probe["state"] == "awaiting_approval"
    return str(probe["probeId"])


async def authorize_without_a_request(place: Place, probe_id: str) -> None:
    """The approval as its transaction leaves it, with its request lost."""
    now = datetime.now(UTC)
    changes: dict[str, Any] = {
        "state": "authorized",
        "approval": "granted",
        "approved_by": "supervisor",
        "approved_at": now,
        "authority_at": now,
        "policy_hash": load_policy(place.settings.policy.file).hash,
        "requested_at": LONG_AGO,
        "requests": 1,
    }
    async with open_core(place.settings) as core, core.database.write() as tx:
        await tx.execute(update(probes).where(probes.c.probe_id == probe_id).values(changes))
        authorized = await stored_probes.find(tx, probe_id)
        assert authorized is not None
        await keep_authority(core.probe_parts(), tx, authorized)


async def enrol_by_page(place: Place, http: aiohttp.ClientSession) -> None:
    """A picture that the web's own workers look at, and whose template the matcher makes."""
    address, headers = f"{place.address}/api/v1/galleries/demo/pictures", {"X-Demo-Account": "administrator"}
    form = aiohttp.FormData(default_to_multipart=True)
    stated = {"person": "R-3", "provenance": "desk", "lawfulBasis": "statute 12", "retainUntil": "2099-01-01"}
    for name, value in {**stated, "attestedAdult": "true"}.items():
        form.add_field(name, value)
    form.add_field("image", encode_png(portrait() // 2 + 64), filename="a.png", content_type="image/png")
    async with http.post(address, data=form, headers=headers) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (201, None), await answer.text()

    async def is_enrolled() -> bool:
        async with http.get(address, headers=headers) as answer:
            [sent] = (await answer.json())["items"]
        return bool(sent["state"] == "enrolled")

    await until(is_enrolled)


async def test_the_daemon_does_what_nobody_asks_for_and_ends_at_a_breach_of_integrity(
    enrolled_place: Place,
    client_of: Callable[[Place], DemoClient],
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = enrolled_place
    place.changes["leads"] = {"reconcile_after_seconds": 1, "reconcile_every_seconds": 0.2}
    place.changes["matching"] = {"list_length": LIST_LENGTH, "target_fpir": TARGET_FPIR}
    segment = await expunge_without_scrubbing(place, monkeypatch)
    await enroll(place, "portrait-02", encode_png(portrait()[:, ::-1]))
    database = Database(place.settings.database)
    await note_an_old_event(database)

    async def count(statement: Any) -> int:
        async with database.read() as tx:
            return len((await tx.execute(statement)).all())

    async def scrubbed() -> bool:
        async with database.read() as tx:
            return not await galleries.segments_to_scrub(tx, "demo") and not (place.objects / segment).exists()

    async def forgotten() -> bool:
        return await count(select(input_events).where(input_events.c.source == "urn:old")) == 0

    try:
        client = client_of(place)
        async with running_daemon(place.settings_file, place.address, place.log) as process:
            await until(scrubbed)
            await until(forgotten)
            probe_id = await attach(place, client)
            await authorize_without_a_request(place, probe_id)

            async def has_a_lead() -> bool:
                return await count(select(leads).where(leads.c.probe_id == probe_id)) == 1

            await until(has_a_lead)
            search = (await lead_of(database, probe_id)).data["search"]
            assert search["listLength"] == LIST_LENGTH
            assert search["estimatedFpir"]["value"] == pytest.approx(TARGET_FPIR, rel=1e-3)
            await enrol_by_page(place, http)
            headers = {"X-Demo-Account": "analyst"}
            spoil_stills(place)
            async with http.get(f"{place.address}/api/v1/probes/{probe_id}/image", headers=headers) as answer:
                assert answer.status == 404
            lead_id = await spoil_lead(database, probe_id)
            async with http.post(f"{place.address}/api/v1/leads/{lead_id}/acknowledge", headers=headers) as answer:
                assert answer.status == 500
            async with asyncio.timeout(30):
                assert await process.wait() == EXIT_INTEGRITY, place.log.read_text()
    finally:
        await database.close()


async def lead_of(database: Database, probe_id: str) -> LeadRecord:
    async with database.read() as tx:
        lead = await stored_leads.of_probe(tx, probe_id)
    assert lead is not None
    return lead


async def spoil_lead(database: Database, probe_id: str) -> str:
    """Makes what was published of the probe's lead something that no lead may say."""
    lead = await lead_of(database, probe_id)
    async with database.write() as tx:
        await stored_leads.change(tx, replace(lead, data={**lead.data, "policyHash": "altered"}))
    return lead.lead_id


def spoil_stills(place: Place) -> None:
    stills = [file for file in (place.objects / ORIGINAL_KIND).iterdir() if file.is_file()]
    assert stills
    for still in stills:
        content = bytearray(still.read_bytes())
        content[len(content) // 2] ^= 1
        still.write_bytes(content)
