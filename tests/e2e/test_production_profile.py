"""The four roles as processes, each as a user of its own with its own rights, on Apache Kafka by TLS and PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from confluent_kafka import Consumer

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.galleries import expunger_for
from rtcc_bridge.app.roles import Role
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.demo.client import CallError, DemoClient, ProbeRequest
from rtcc_bridge.demo.pictures import encode_png, portrait, rephotograph
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import publish_threat, threat_data
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.engine import Database
from tests.e2e.conftest import Place
from tests.e2e.program import Program, running_daemon
from tests.gallery_kit import ADMINISTRATOR
from tests.integration.guarded_kafka import GuardedKafka, guarded_kafka
from tests.integration.pipeline import send_event, until
from tests.ports import free_port
from tests.records_kit import booking, removal

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

    The record system leaves its pictures in `booked`.
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
            # All name one; who commands and who searches have it (P30), and the demo makes any that is read.
            "gallery_key_file": str((tmp_path if user in {"operator", "matcher"} else folder) / "gallery.key"),
        }
        place.changes["records"] = {"pictures_url": (tmp_path / "booked").as_uri()}
        return place

    (tmp_path / "booked").mkdir()
    return made


async def test_a_threat_becomes_a_lead_with_the_rights_of_each_role_alone(
    guarded: GuardedKafka, place_of: Callable[[str], Place], http: aiohttp.ClientSession
) -> None:
    operator = place_of("operator")
    await done(operator, "topics", "create")
    people = operator.folder / "people"
    for name, picture in (("portrait-01", portrait()), ("removed", portrait()[:, ::-1])):
        (people / name).mkdir(parents=True)
        (people / name / "portrait.png").write_bytes(encode_png(picture))
    await done(
        operator, "gallery", "enroll", str(people),
        "--provenance", "public-domain portrait", "--lawful-basis", "test", "--retain-until", "2099-01-01",
        "--attest-adult",
    )  # fmt: skip
    async with open_core(operator.settings, opens_templates=False) as core:
        removing = expunger_for(core).expunge_subject("demo", "removed", "court order", ADMINISTRATOR, scrubs=False)
        assert not (await removing).bytes_gone
    async with AsyncExitStack() as stack:
        places = {role: place_of(role) for role in (Role.RELAY, Role.CONSUMER, Role.MATCHER)}
        for role, place in places.items():
            await stack.enter_async_context(running(place, role))
        web = places[Role.WEB] = place_of("web-without-a-user")
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
        async with EventProducer(guarded.of("record-system")) as producer:
            records = partial(send_event, producer, guarded.open.topics.gallery_records)
            await the_gallery_follows(operator, records)
    assert [role for role, place in places.items() if has_key_of_templates(place)] == [Role.MATCHER], "P30"
    assert event["type"] == "lead.candidates"
    assert event["data"]["probeId"] == probe["probeId"]
    assert event["data"]["classification"] == "INVESTIGATIVE_LEAD_ONLY"


def has_key_of_templates(place: Place) -> bool:
    return Path(place.changes["objects"]["gallery_key_file"]).exists()


async def the_gallery_follows(operator: Place, records: Callable[[CloudEvent], Awaitable[Any]]) -> None:
    """The template of who was removed is gone from the sealed segments, bookings are taken, and orders carried out."""
    booked = Path(operator.changes["records"]["pictures_url"].removeprefix("file://"))
    picture = encode_png(portrait() // 2 + 64)
    (booked / "one.png").write_bytes(picture)
    database = Database(operator.settings.database)

    async def searched(*people: str) -> bool:
        async with database.read() as tx:
            living = await galleries.living_images(tx, "demo")
            refs = await galleries.subject_refs(tx, {image.subject_id for image in living})
        return sorted(refs.values()) == sorted(people)

    async def bytes_are_gone() -> bool:
        async with database.read() as tx:
            return not await gallery_upkeep.unsettled_removals(tx, "demo")

    try:
        await until(bytes_are_gone)
        await records(booking("R-1", "one.png", picture))
        await until(partial(searched, "portrait-01", "R-1"))
        await records(removal("R-1"))
        await until(partial(searched, "portrait-01"))
    finally:
        await database.close()


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
