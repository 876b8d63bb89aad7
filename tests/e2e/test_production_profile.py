"""The four roles as processes, each as a user of its own with its own rights, on Apache Kafka by TLS and PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from confluent_kafka import Consumer

from rtcc_bridge.app.roles import Role
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.demo.client import CallError, DemoClient, ProbeRequest
from rtcc_bridge.demo.pictures import encode_png, portrait, rephotograph
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import publish_threat, threat_data
from tests.e2e.conftest import Place
from tests.e2e.program import Program, running_daemon
from tests.integration.guarded_kafka import GuardedKafka, guarded_kafka
from tests.ports import free_port

pytestmark = [pytest.mark.kafka, pytest.mark.postgresql, pytest.mark.timeout(300)]

INCIDENT = "GUARDED-1"
REQUEST = ProbeRequest(purpose="imminent_threat", legal_basis="Exigency", case_number="CASE-1")


@pytest.fixture
async def guarded() -> AsyncIterator[GuardedKafka]:
    async with guarded_kafka() as made:
        yield made


@pytest.fixture
def place_of(
    guarded: GuardedKafka, tmp_path: Path, packs_directory: Path, empty_database_url: str
) -> Callable[[str], Place]:
    """Settings for a role or another user of the broker; objects, database and the web's port are the same for all.

    Each tells how it is at a port of its own, and only the role web takes the other.
    """
    web_port = free_port()

    def made(user: str) -> Place:
        folder = tmp_path / user
        folder.mkdir()
        kafka = guarded.of(user)
        password = folder / "password"
        password.write_text(f"secret-{user}")
        password.chmod(0o600)
        place = Place(folder, "", packs_directory, empty_database_url, enable_idempotence=True)
        place.changes["kafka"] = {
            **json.loads(kafka.model_dump_json(include={"bootstrap_servers", "group_prefix", "topics"})),
            "security_protocol": "SASL_SSL",
            "tls": {"ca_file": str(kafka.tls.ca_file)},
            "sasl": {
                "mechanism": "SCRAM-SHA-512",
                "username": f"rtcc-{user}",
                "password_file": str(password),
            },
        }
        place.changes["web"] = {"port": web_port}
        place.changes["operations"] = {
            "host": "0.0.0.0" if user == "web-without-a-user" else "127.0.0.1",
            "port": place.port,
        }
        place.changes["objects"] = {
            "url": (tmp_path / "objects").as_uri(),
            "master_key_file": str(tmp_path / "master.key"),
        }
        return place

    return made


async def test_a_threat_becomes_a_lead_with_the_rights_of_each_role_alone(
    guarded: GuardedKafka, place_of: Callable[[str], Place], http: aiohttp.ClientSession
) -> None:
    operator = place_of("operator")
    await done(operator, "topics", "create")
    people = operator.folder / "people" / "portrait-01"
    people.mkdir(parents=True)
    (people / "portrait.png").write_bytes(encode_png(portrait()))
    await done(
        operator, "gallery", "enroll", str(people.parent),
        "--provenance", "public-domain portrait", "--lawful-basis", "test", "--retain-until", "2099-01-01",
        "--attest-adult",
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        for role in (Role.RELAY, Role.CONSUMER, Role.MATCHER):
            await stack.enter_async_context(running(place_of(role), role))
        web = place_of("web-without-a-user")
        await stack.enter_async_context(running(web, Role.WEB))
        pages = f"http://127.0.0.1:{web.settings.web.port}"
        await operations_are_apart(http, web.port, pages)
        client = DemoClient(http, pages)
        async with EventProducer(guarded.of("watch-desk")) as producer:
            now = SystemClock().now()
            alert = threat_data("GUARDED-ALERT", "Active shooter", now, incident_ids=(INCIDENT,))
            await publish_threat(producer, guarded.open.topics, "alert", alert)
        await known(client)
        probe = await client.attach(INCIDENT, REQUEST, rephotograph(portrait()), "still.jpg")
        if probe["state"] == "faces_found":
            await client.choose(probe["probeId"], probe["faces"][0]["number"])
        event = await asyncio.to_thread(first_lead, guarded)
    assert event["type"] == "lead.candidates"
    assert event["data"]["probeId"] == probe["probeId"]
    assert event["data"]["classification"] == "INVESTIGATIVE_LEAD_ONLY"


async def operations_are_apart(http: aiohttp.ClientSession, port: int, pages: str) -> None:
    """Prometheus and Kubernetes ask by other names and through proxies; people and searches are not served there."""
    asked_as = {"Host": f"10.0.0.7:{port}", "X-Forwarded-For": "10.0.0.9"}
    answers = {
        "/healthz": 200,
        "/readyz": 200,
        "/metrics": 200,
        "/": 404,
        "/api/v1/feed": 404,
        "/api/v1/incidents": 404,
    }
    for path, status in answers.items():
        async with http.get(f"http://127.0.0.1:{port}{path}", headers=asked_as) as answer:
            assert answer.status == status
    async with http.get(f"{pages}/healthz", headers=asked_as) as answer:
        assert answer.status == 403


def running(place: Place, role: Role) -> AbstractAsyncContextManager[Program]:
    return running_daemon(place.settings_file, place.address, place.log, options=["--roles", role], real_workers=True)


async def done(place: Place, *arguments: str) -> None:
    code, output = await place.command(*arguments)
    assert code == 0, output


async def known(client: DemoClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await client.incident(INCIDENT)
            except CallError:
                await asyncio.sleep(0.1)
            else:
                return


def first_lead(guarded: GuardedKafka) -> dict[str, Any]:
    """What the crime center's feed reads, with another client and its own user."""
    kafka: KafkaSettings = guarded.of("feed")
    assert kafka.sasl.password is not None
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(kafka.bootstrap_servers),
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(kafka.tls.ca_file),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": kafka.sasl.username,
            "sasl.password": kafka.sasl.password.get_secret_value(),
            "group.id": "rtcc-feed-1",
            "auto.offset.reset": "earliest",
        }
    )
    try:
        consumer.subscribe([kafka.topics.leads])
        message = consumer.poll(60)
        assert message is not None, "no lead on the topic"
        assert message.error() is None, message.error()
        event: dict[str, Any] = json.loads(message.value() or b"")
        return event
    finally:
        consumer.close()
