"""One process of the daemon: builds the parts that its roles need, and stops them in reverse order."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial

import structlog
from aiohttp import web

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.consumers.dead_letters import DeadLetterWriter
from rtcc_bridge.consumers.forgetting import EventForgetter
from rtcc_bridge.consumers.incidents import IncidentsHandler
from rtcc_bridge.consumers.probes import SearchHandler
from rtcc_bridge.consumers.records import Handler
from rtcc_bridge.consumers.runner import Runner
from rtcc_bridge.consumers.threats import ThreatsHandler
from rtcc_bridge.errors import BridgeError, ConfigurationError, ConfigurationProblem, IntegrityError
from rtcc_bridge.gallery.follower import GalleryFollower
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.incidents.desk import IncidentDesk
from rtcc_bridge.incidents.threat_desk import ThreatDesk
from rtcc_bridge.leads.schemas import lead_schemas
from rtcc_bridge.matching.batcher import Batcher
from rtcc_bridge.matching.calibration import Calibration
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.session import Device
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.modelpacks.installed import Progress, open_pack, require_calibration
from rtcc_bridge.probes.approval import ApprovalDesk
from rtcc_bridge.probes.desk import ProbeDesk
from rtcc_bridge.probes.reconciler import Reconciler
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.search import FaceSearch, GallerySearch, observe_batch
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits, worker_command
from rtcc_bridge.publishing.relay import Relay
from rtcc_bridge.settings import SQLITE_SCHEME, IntakeSettings, Settings
from rtcc_bridge.storage import probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.supervisor import Part, supervise
from rtcc_bridge.web.application import create_app
from rtcc_bridge.web.feed_hub import FeedHub
from rtcc_bridge.web.services import ReadinessProbe, WebServices

_log = structlog.get_logger(__name__)


class Role(StrEnum):
    """What a process does."""

    WEB = "web"
    CONSUMER = "consumer"
    MATCHER = "matcher"
    RELAY = "relay"


async def serve(settings: Settings, roles: Collection[Role], progress: Progress) -> None:
    """Runs until SIGTERM or SIGINT. Raises BridgeError when it cannot start or must not go on."""
    _require_one_process(settings, roles)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_core(settings) as core, AsyncExitStack() as stack:
        process = _Process(core, stack)
        if Role.MATCHER in roles or Role.WEB in roles:
            process.pack = await asyncio.to_thread(open_pack, settings.matching, progress)
        if Role.RELAY in roles:
            await process.add_relay()
        if Role.MATCHER in roles:
            await process.add_matcher()
        if Role.CONSUMER in roles:
            await process.add_consumer()
        if Role.WEB in roles:
            await process.add_web()
        await supervise(process.parts, stop)
    _log.info("stopped")


def _require_one_process(settings: Settings, roles: Collection[Role]) -> None:
    """Raises ConfigurationError when several processes would have to share a database that serves one (decision 4)."""
    if settings.database.url.get_secret_value().startswith(SQLITE_SCHEME) and set(roles) != set(Role):
        raise ConfigurationError(
            ConfigurationProblem(
                "--roles",
                "SQLite serves one process only",
                "Leave --roles out, or let database.url name a PostgreSQL database, which serves several processes",
            )
        )


class _Process:
    """Collects the parts of one process. The last that is added is stopped first: web, consumers, matcher, relay."""

    def __init__(self, core: Core, stack: AsyncExitStack) -> None:
        self.core = core
        self.parts: list[Part] = []
        self.pack: ModelPack | None = None
        self._stack = stack
        self._readiness: dict[str, ReadinessProbe] = {"database": self._database_ready, "objects": self._objects_ready}
        self._producer = EventProducer(core.settings.kafka)
        stack.push_async_callback(self._producer.close)
        self._breach: IntegrityError | None = None
        self._breached = asyncio.Event()
        self._approvals = ApprovalDesk(core.probe_parts())
        self._feed = FeedHub(
            core.database,
            core.metrics,
            clients=core.settings.web.feed_clients,
            poll_seconds=core.settings.relay.idle_seconds,
        )

    async def add_relay(self) -> None:
        core = self.core
        settings = core.settings
        relay = Relay(core.database, self._producer, settings.relay, core.metrics, core.clock, self._feed.on_feed_moved)
        self._readiness["broker"] = relay.readiness
        self.parts.append(Part("relay", relay.run, relay.stop, 2 * settings.relay.publish_timeout_seconds))
        reconciler = Reconciler(core.probe_parts(), settings.leads)
        self.parts.append(Part("reconciler", reconciler.run))
        scrubber = SegmentScrubber(core.database, core.vault, core.audit)
        self.parts.append(Part("segment scrubber", scrubber.run))

    async def add_matcher(self) -> None:
        settings = self.core.settings.matching
        assert self.pack is not None
        calibration = await asyncio.to_thread(require_calibration, self.pack)
        embedder = await asyncio.to_thread(open_embedder, self.pack, Device(settings.device), settings.threads)
        face_embedder = FaceEmbedder(embedder, self._on_stage)
        searches = {
            name: await self._add_gallery(name, face_embedder, self.pack, calibration)
            for name in dict.fromkeys(filter(None, (settings.gallery, settings.training_gallery)))
        }
        training = searches[settings.training_gallery] if settings.training_gallery else None
        handler = SearchHandler(
            self.core.probe_parts(),
            self.core.vault,
            searches[settings.gallery],
            training,
            timeout_seconds=settings.request_timeout_seconds,
        )
        topics = self.core.settings.kafka.topics
        for lane, topic in (("routine", topics.probes_routine), ("imminent", topics.probes_imminent)):
            self._add_runner(f"matcher.{lane}", {topic: handler})

    async def _add_gallery(
        self, name: str, embedder: FaceEmbedder, pack: ModelPack, calibration: Calibration
    ) -> FaceSearch:
        core = self.core
        settings = core.settings.matching
        identity = PackIdentity.of(pack)
        follower = GalleryFollower(core.database, core.vault, name, identity, settings, core.metrics, core.clock)

        async def gallery_ready() -> str | None:
            try:
                _ = follower.current
            except BridgeError as error:
                return str(error)
            return None

        self._readiness[f"gallery {name}"] = gallery_ready
        self.parts.append(Part(f"gallery {name}", follower.run))
        search = GallerySearch(
            embedder,
            follower,
            pack,
            calibration,
            list_length=settings.list_length,
            target_fpir=settings.target_fpir,
            on_stage=self._on_stage,
        )
        batcher = await self._stack.enter_async_context(
            Batcher(
                search.search_batch,
                max_batch_size=settings.batch_size,
                max_wait_seconds=settings.batch_deadline_seconds,
                queue_limit=settings.queue_size,
                on_batch=partial(observe_batch, self.core.metrics),
            )
        )
        return FaceSearch(search, batcher)

    async def add_consumer(self) -> None:
        core = self.core
        kafka = core.settings.kafka
        desk = IncidentDesk(core.outbox, core.clock, self._authority_ended, self._incident_merged)
        threats = ThreatDesk(desk, core.clock, core.policy.deferral.senders)
        forgetter = EventForgetter(core.database, core.clock, kafka.deduplicate_hours)
        self.parts.append(Part("event forgetter", forgetter.run))
        self._add_runner(
            "consumer",
            {
                kafka.topics.incidents: IncidentsHandler(core.database, desk, core.clock, kafka),
                kafka.topics.threats: ThreatsHandler(core.database, threats, core.clock, kafka),
            },
        )

    def _add_runner(self, role: str, handlers: dict[str, Handler]) -> None:
        kafka = self.core.settings.kafka
        letters = DeadLetterWriter(self._producer, kafka.topics.dead_letters)
        runner = Runner(kafka, f"{kafka.group_prefix}.{role}", handlers, letters, self.core.metrics, self.core.clock)

        async def runner_ready() -> str | None:
            return runner.not_ready_reason

        self._readiness[role] = runner_ready
        self.parts.append(Part(role, runner.run, runner.stop, 2 * kafka.request_timeout_seconds))

    async def add_web(self) -> None:
        core = self.core
        settings = core.settings
        assert self.pack is not None
        workers = await self._stack.enter_async_context(
            _worker_pool(settings.intake, settings.web.upload_timeout_seconds, self.pack, core.metrics)
        )

        async def workers_ready() -> str | None:
            return None if workers.ready else workers.problem

        self._readiness["intake"] = workers_ready
        desk = ProbeDesk(
            core.probe_parts(),
            core.vault,
            workers,
            training_gallery=settings.matching.training_gallery,
            upload_timeout_seconds=settings.web.upload_timeout_seconds,
        )
        services = WebServices(
            settings=settings,
            clock=core.clock,
            metrics=core.metrics,
            database=core.database,
            policy=core.policy,
            probes=desk,
            leads=core.leads,
            refusals=RefusalLog(core.database, core.audit, core.metrics),
            feed=self._feed,
            readiness=self._readiness,
            schemas=lead_schemas(),
            on_integrity_breach=self._on_breach,
        )
        self.parts.append(Part("feed", self._feed.run, self._feed.close))
        self.parts.append(Part("breach watch", self._watch_for_breach))
        await self._listen(create_app(services))

    async def _listen(self, app: web.Application) -> None:
        settings = self.core.settings.web
        runner = web.AppRunner(app, shutdown_timeout=settings.shutdown_seconds, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            problem = ConfigurationProblem(
                "web.port",
                f"{settings.host}:{settings.port} cannot be bound ({error.strerror})",
                "Stop what listens there, or choose another port (0 takes a free one)",
            )
            raise ConfigurationError(problem) from error
        stopped = asyncio.Event()

        async def serve_requests() -> None:
            await stopped.wait()

        async def stop_serving() -> None:
            await runner.cleanup()
            stopped.set()

        self.parts.append(Part("web", serve_requests, stop_serving, 2 * settings.shutdown_seconds))
        for address in runner.addresses:
            _log.info("listening", address=f"http://{address[0]}:{address[1]}")

    async def _authority_ended(self, tx: Transaction, incident_id: str, reason: str) -> None:
        await self._approvals.withdraw_for_incident(tx, incident_id, reason)
        await self.core.leads.withdraw_for_incident(tx, incident_id, reason, SYSTEM)

    async def _incident_merged(self, tx: Transaction, incident_id: str, into: str) -> None:
        await probes.move_to_incident(tx, incident_id, into, at=self.core.clock.now())
        await self.core.leads.follow_merge(tx, incident_id, into)

    async def _watch_for_breach(self) -> None:
        await self._breached.wait()
        assert self._breach is not None
        raise self._breach

    def _on_breach(self, error: IntegrityError) -> None:
        self._breach = error
        self._breached.set()

    def _on_stage(self, stage: str, seconds: float) -> None:
        self.core.metrics.stage_seconds.labels(stage).observe(seconds)

    async def _database_ready(self) -> str | None:
        return await _answers(self.core.database.ping)

    async def _objects_ready(self) -> str | None:
        return await _answers(self.core.vault.ping)


async def _answers(ping: Callable[[], Awaitable[None]]) -> str | None:
    try:
        await ping()
    except BridgeError as error:
        return str(error)
    return None


def _worker_pool(
    settings: IntakeSettings, upload_timeout_seconds: float, pack: ModelPack, metrics: Metrics
) -> WorkerPool:
    limits = WorkerLimits(
        workers=settings.workers,
        max_upload_bytes=settings.max_upload_bytes,
        max_pixels=settings.max_pixels,
        max_detection_pixels=settings.max_detection_pixels,
        memory_bytes=settings.worker_memory_bytes,
        timeout_seconds=settings.worker_timeout_seconds,
        upload_timeout_seconds=upload_timeout_seconds,
        jobs_per_worker=settings.jobs_per_worker,
        max_waiting=settings.max_waiting,
    )
    return WorkerPool(worker_command(pack.folder, settings.min_face_px, limits), limits, metrics)
