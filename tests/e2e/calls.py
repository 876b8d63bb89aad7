"""What a test does with a daemon as a sender of events and as an analyst: a still on a threat, and what comes of it."""

import secrets
from collections.abc import Callable
from functools import partial

import aiohttp

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.demo.client import Answer, CallError, DemoClient, ProbeRequest
from rtcc_bridge.demo.pictures import portrait, rephotograph
from rtcc_bridge.simulate import incident_data, publish_incident, publish_threat, threat_data
from tests.e2e.conftest import Place
from tests.integration import pipeline

WAIT_SECONDS = 60.0
URGENT = ProbeRequest(purpose="imminent_threat", legal_basis="Exigency", case_number="CASE-1")
ClientOf = Callable[[Place], DemoClient]
until = partial(pipeline.until, seconds=WAIT_SECONDS)


async def readiness(http: aiohttp.ClientSession, place: Place) -> tuple[int, str]:
    async with http.get(f"{place.address}/readyz") as answer:
        return answer.status, await answer.text()


async def is_ready(http: aiohttp.ClientSession, place: Place) -> bool:
    """Whether the daemon is up, and ready."""
    try:
        return (await readiness(http, place))[0] == 200
    except aiohttp.ClientError:
        return False


async def publish(place: Place, *, threat: bool) -> str:
    name = f"T-{secrets.token_hex(4)}"
    now = SystemClock().now()
    settings = place.settings.kafka
    async with EventProducer(settings) as producer:
        if threat:
            data = threat_data(f"{name}-alert", "Active shooter", now, incident_ids=(name,))
            await publish_threat(producer, settings.topics, "alert", data)
        else:
            data = incident_data(name, "SHOOT", 1, now, location="Test square")
            await publish_incident(producer, settings.topics, "reported", data)
    return name


async def on_floor(client: DemoClient, incident: str) -> None:
    async def known() -> bool:
        try:
            await client.incident(incident)
        except CallError:
            return False
        return True

    await until(known)


async def leads_of(http: aiohttp.ClientSession, place: Place, probe_id: str) -> list[Answer]:
    headers = {"X-Demo-Account": "analyst"}
    async with http.get(f"{place.address}/api/v1/leads", headers=headers) as answer:
        content = await answer.json()
    return [lead for lead in content["items"] if lead["data"]["probeId"] == probe_id]


async def choose_on_threat(client: DemoClient, incident: str) -> str:
    probe = await client.attach(incident, URGENT, rephotograph(portrait()), "still.jpg")
    probe = await client.choose(probe["probeId"], probe["faces"][0]["number"])
    return str(probe["probeId"])
