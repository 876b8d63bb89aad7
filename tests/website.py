"""The whole web over one database, with the real desks behind it; only the picture workers and the model stand in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import DummyCookieJar, FormData, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from rtcc_bridge.app.heartbeat import Heartbeat
from rtcc_bridge.app.people import people_desk
from rtcc_bridge.app.roles import Role
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.gallery.export_orders import ExportOrderDesk
from rtcc_bridge.gallery.expunge import Expunger
from rtcc_bridge.gallery.overview import GalleryOverview
from rtcc_bridge.gallery.sent_pictures import SentPictureDesk
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.desk import IncidentDesk
from rtcc_bridge.incidents.incident import IncidentEvent
from rtcc_bridge.incidents.threat import MessageStatus, MessageType, ThreatEvent, ThreatInfo
from rtcc_bridge.incidents.threat_desk import ThreatDesk
from rtcc_bridge.leads.life import LeadLife
from rtcc_bridge.matching.types import Candidate
from rtcc_bridge.matching_settings import IntakeSettings, MatchingSettings
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.publishing.numbering import Numbering
from rtcc_bridge.retention.desk import RetentionDesk
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.application import create_app
from rtcc_bridge.web.feed_hub import FeedHub
from rtcc_bridge.web.health import ReadinessBoard, ReadinessProbe
from rtcc_bridge.web.services import WebServices
from rtcc_bridge.web_settings import WebSettings
from tests.doubles import ManualClock
from tests.gallery_kit import PACK
from tests.life_kit import life_parts
from tests.probe_kit import (
    CLIP,
    SENDER,
    STILL,
    Gallery,
    ProbeKit,
    build_kit,
    face_search,
    gallery_parts,
    incident_desk,
    open_vault,
    record_of,
    search_handler,
)
from tests.report_kit import report_desks
from tests.retention_kit import retention_parts

Json = dict[str, Any]
FIELDS: Mapping[str, str] = {
    "purpose": "violent_offense",
    "legalBasis": "criminal investigation",
    "caseNumber": "26-000123",
    "requestor": "the requestor",
    "attestedOriginal": "true",
}
TOPIC = "test"
WAIT_SECONDS = 20.0
BEAT_SECONDS = 0.2


def clip_form(changes: Mapping[str, str] | None = None, data: bytes = CLIP, part: str = "clip") -> FormData:
    form = FormData(default_to_multipart=True)
    for name, value in {**FIELDS, **(changes or {})}.items():
        form.add_field(name, value)
    form.add_field(part, data, filename="camera.mp4", content_type="video/mp4")
    return form


@dataclass
class Website:
    """A running site, and ways to change the world behind it."""

    kit: ProbeKit
    hub: FeedHub
    client: TestClient[web.Request, web.Application]
    incidents: IncidentDesk
    threats: ThreatDesk
    feeder: "Feeder"
    services: WebServices
    readiness: dict[str, ReadinessProbe]
    breaches: list[IntegrityError] = field(default_factory=list)
    _events: int = 0

    @property
    def address(self) -> str:
        return str(self.client.make_url("/")).rstrip("/")

    def cut_connections(self) -> None:
        """Every connection is lost at once."""
        runner = self.client.server.runner
        assert runner is not None
        server = runner.server
        assert server is not None
        for connection in list(server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def settle(self) -> None:
        """What has committed is numbered, and the hub has handed it on."""
        await self.feeder.feed()
        async with self.kit.database.read() as tx:
            latest = await outbox.latest_position(tx)
        await until(lambda: (self.hub.position or 0) >= latest)

    async def report(self, incident_id: str = "INC-1", **fields: Any) -> str:
        """Dispatch reports an incident, or something new of it."""
        await self.report_all({incident_id: fields})
        return incident_id

    async def report_all(self, incidents: Mapping[str, Json]) -> None:
        """Dispatch reports all of these at once, in one transaction; by incident what is new of it."""
        now = self.kit.clock.now()
        values = {
            "incidentTypeCommonRegistryText": "HOMICIDE",
            "incidentStatusCommonRegistryText": "open",
            "openedAt": rfc3339(now),
        }
        arrivals = []
        for incident_id, fields in incidents.items():
            self._events += 1
            event = IncidentEvent(
                incident_id=incident_id,
                event=f"urn:test {self._events:06}",
                at=now + timedelta(milliseconds=self._events),
                fields=values | fields,
            )
            arrivals.append(Arrival(event, TOPIC, now))
        async with self.kit.database.write() as tx:
            assert await self.incidents.apply_incidents(tx, arrivals) == [None] * len(arrivals)
        await self.settle()

    async def alert(self, *incident_ids: str, headline: str = "Armed person", minutes: float = 30, **info: Any) -> str:
        """The watch desk raises an imminent threat."""
        self._events += 1
        now = self.kit.clock.now()
        values: Json = {
            "categories": frozenset({"Safety"}),
            "event": "Threat to life",
            "urgency": "Immediate",
            "severity": "Extreme",
            "certainty": "Observed",
            "expires": now + timedelta(minutes=minutes),
            "headline": headline,
        }
        event = ThreatEvent(
            identifier=f"threat-{self._events}",
            sender=SENDER,
            sent=now,
            status=MessageStatus.ACTUAL,
            message_type=MessageType.ALERT,
            references=(),
            incident_ids=incident_ids,
            infos=(ThreatInfo(**values | info),),
            data={"info": {name: values[name] for name in ("event", "urgency", "severity", "headline")} | info},
            event=f"urn:test {self._events:06}",
        )
        async with self.kit.database.write() as tx:
            assert await self.threats.apply_threats(tx, [Arrival(event, TOPIC, now)]) == [None]
        await self.settle()
        return event.identifier

    async def attach(
        self, incident_id: str = "INC-1", account: str = "analyst", image: bytes = STILL, **changes: str | None
    ) -> Json:
        """An analyst attaches a still; returns the probe."""
        async with self.client.post(
            URL(f"/api/v1/incidents/{quote(incident_id, safe='')}/probes", encoded=True),
            data=still_form(changes, image),
            headers=acting(account),
        ) as answer:
            assert answer.status == 201, await answer.text()
            return dict(await answer.json())

    async def post(self, path: str, account: str, body: Json | None = None) -> Json:
        async with self.client.post(f"/api/v1{path}", json=body or {}, headers=acting(account)) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())

    async def get(self, path: str, account: str = "floor") -> Json:
        async with self.client.get(f"/api/v1{path}", headers=acting(account)) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())

    async def search_all(self, finds: Sequence[Candidate] = ()) -> None:
        """The matcher answers every search that was asked for."""
        search = face_search(Gallery(finds=lambda _crop: finds))
        async with search.batcher:
            handler = search_handler(self.kit, search)
            for row in await self.kit.requests():
                await handler.handle(record_of(row))
        await self.settle()

    async def lead(self, incident_id: str = "INC-1", people: int = 1) -> Json:
        """A search that went all the way; returns its lead as the API shows it."""
        probe = await self.attach(incident_id)
        probe = await self.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
        if probe["state"] == "awaiting_approval":
            await self.post(f"/probes/{probe['probeId']}/approve", "supervisor")
        found = [await self.kit.enrol(f"person {probe['probeId']} {number}") for number in range(people)]
        await self.search_all(found)
        shown = await self.get(f"/probes/{probe['probeId']}", "analyst")
        return dict(shown["lead"])


class Feeder:
    """The relay without a broker: numbers what commits, at once when a test asks, else a moment later."""

    def __init__(self, numbering: Numbering, database: Database) -> None:
        self._numbering = numbering
        self._lock = asyncio.Lock()
        self._committed = asyncio.Event()
        database.after_commit(self._committed.set)

    async def feed(self) -> None:
        async with self._lock:
            await self._numbering.number_all()

    async def run(self, *, active: bool) -> None:
        while active:
            await self._committed.wait()
            self._committed.clear()
            await self.feed()


def acting(account: str) -> dict[str, str]:
    return {"X-Demo-Account": account}


def still_form(changes: Mapping[str, str | None] | None = None, image: bytes = STILL) -> FormData:
    """The form as a browser sends it: fields first, the still last."""
    form = FormData(default_to_multipart=True)
    for name, value in {**FIELDS, **(changes or {})}.items():
        if value is not None:
            form.add_field(name, value)
    form.add_field("image", image, filename="still.jpg", content_type="image/jpeg")
    return form


def picture_form(text: str, **changes: str) -> FormData:
    """A picture for a gallery, which says who is on it, as its page sends it."""
    form = FormData(default_to_multipart=True)
    stated = {"person": "ann", "provenance": "booking desk", "lawfulBasis": "statute 12", "retainUntil": "2030-12-31"}
    for name, value in {**stated, "attestedAdult": "true", **changes}.items():
        form.add_field(name, value)
    form.add_field("image", text.encode(), filename="Ann.jpg", content_type="image/jpeg")
    return form


@asynccontextmanager
async def running_site(
    database: Database,
    clock: ManualClock,
    metrics: Metrics,
    folder: Path,
    port: int | None = None,
    web_settings: Mapping[str, Any] | None = None,
    intake: Mapping[str, Any] | None = None,
    training_gallery: str | None = None,
    relay: bool = True,
    roles: Collection[Role] = tuple(Role),
    profile: str = "demo",
    identity: Mapping[str, Any] | None = None,
    fed_gallery: str | None = None,
    **options: Any,
) -> AsyncIterator[Website]:
    """relay: whether this process numbers what is committed. roles: what it reports that it does; without any it is
    silent. fed_gallery: the one that bookings go to. options: as `build_kit` takes them."""
    intake_settings = IntakeSettings(**(intake or {}))
    options.setdefault("max_upload_bytes", intake_settings.max_upload_bytes)
    options.setdefault("max_clip_bytes", intake_settings.max_clip_bytes)
    async with open_vault(folder, clock) as vault:
        kit = build_kit(
            database, vault, clock, metrics, folder / "objects", training_gallery=training_gallery, **options
        )
        settings = Settings(
            profile=profile,
            identity=dict(identity or {}),
            web=WebSettings(**{"feed_heartbeat_seconds": 0.3, **(web_settings or {})}),
            intake=intake_settings,
            matching=MatchingSettings(training_gallery=training_gallery),
        )
        hub = FeedHub(database, metrics, clients=settings.web.feed_clients, poll_seconds=0.2)
        readiness: dict[str, ReadinessProbe] = {"database": _ping(database)}
        breaches: list[IntegrityError] = []
        services = WebServices(
            settings=settings,
            clock=clock,
            metrics=metrics,
            database=database,
            policy_in_force=kit.parts.policy_in_force,
            probes=kit.desk,
            clips=kit.clips,
            provisional=kit.provisional,
            leads=kit.parts.leads,
            life=LeadLife(life_parts(kit.parts, kit.vault), kit.workers),
            people=people_desk(settings, database, kit.parts.audit, clock, metrics, kit.parts.policy_in_force),
            retention=RetentionDesk(retention_parts(kit)),
            reports=report_desks(kit, folder),
            galleries=GalleryOverview(gallery_parts(kit)),
            expunger=Expunger(gallery_parts(kit), kit.parts.leads.withdraw_for_subject),
            export_orders=ExportOrderDesk(gallery_parts(kit)),
            sent_pictures=SentPictureDesk(
                gallery_parts(kit),
                kit.workers,
                PACK,
                fed_gallery=fed_gallery,
                max_upload_bytes=intake_settings.max_upload_bytes,
                upload_timeout_seconds=settings.web.upload_timeout_seconds,
            ),
            refusals=RefusalLog(database, kit.parts.audit, metrics),
            feed=hub,
            readiness=ReadinessBoard(metrics, readiness),
            schemas=lambda: {"lead.candidates": {"title": "an example"}},
            on_integrity_breach=breaches.append,
        )
        heartbeat = Heartbeat(database, roles, services.readiness, clock, BEAT_SECONDS)
        incidents = incident_desk(kit.parts)
        feeder = Feeder(Numbering(database, metrics, clock, 100, hub.on_feed_moved), database)
        site = Website(
            kit,
            hub,
            TestClient(TestServer(create_app(services), host="127.0.0.1", port=port), cookie_jar=DummyCookieJar()),
            incidents,
            ThreatDesk(incidents, clock, lambda: kit.parts.policy.deferral.senders),
            feeder,
            services,
            readiness,
            breaches,
        )
        reading, feeding = asyncio.create_task(hub.run()), asyncio.create_task(feeder.run(active=relay))
        beating = asyncio.create_task(heartbeat.run() if roles else asyncio.sleep(0))
        try:
            async with site.client:
                await until(lambda: hub.position is not None)
                yield site
        finally:
            if services.people.provider is not None:
                await services.people.provider.close()
            hub.close()
            feeding.cancel()
            heartbeat.stop()
            await asyncio.wait((reading, feeding, beating))


async def until(condition: Callable[[], bool]) -> None:
    """Waits until `condition()` is true. Raises TimeoutError."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


def _ping(database: Database) -> ReadinessProbe:
    async def ready() -> str | None:
        await database.ping()
        return None

    return ready
