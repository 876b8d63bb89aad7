"""Wires the role web, and the address at which every process tells how it is."""

import asyncio

import structlog
from aiohttp.web import Application

from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.galleries import export_orders_for, expunger_for, gallery_parts, sent_picture_desk_for
from rtcc_bridge.app.incidents import provisional_desk_for
from rtcc_bridge.app.leads import life_parts_for
from rtcc_bridge.app.people import add_people
from rtcc_bridge.app.picture_worker import picture_worker
from rtcc_bridge.app.reports import report_desks_for
from rtcc_bridge.app.retention import retention_desk_for
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.gallery.overview import GalleryOverview
from rtcc_bridge.leads.life import LeadLife
from rtcc_bridge.leads.schemas import lead_schemas
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.probes.clips import ClipDesk, ClipRules
from rtcc_bridge.probes.desk import ProbeDesk
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.supervisor import Stage
from rtcc_bridge.web.application import create_app, create_operations_app
from rtcc_bridge.web.listener import listen
from rtcc_bridge.web.origins import LOOPBACK_NAMES
from rtcc_bridge.web.services import WebServices

_log = structlog.get_logger(__name__)


async def add_web(assembly: Assembly, pack: ModelPack) -> None:
    """The whole web. Raises ConfigurationError when its address cannot be bound, nobody could sign in, or no key is
    there to sign with."""
    core = assembly.core
    core.authority_keys.require_signer()
    settings = core.settings
    workers = await assembly.stack.enter_async_context(
        WorkerPool(*picture_worker(settings, pack.folder, clips=True), core.metrics)
    )

    async def workers_ready() -> str | None:
        return None if workers.ready else workers.problem

    assembly.readiness["intake"] = workers_ready
    desk = ProbeDesk(
        core.probe_parts(),
        core.vault,
        workers,
        training_gallery=settings.matching.training_gallery,
        max_upload_bytes=settings.intake.max_upload_bytes,
        upload_timeout_seconds=settings.web.upload_timeout_seconds,
    )
    intake = settings.intake
    clip_desk = ClipDesk(
        core.probe_parts(),
        core.vault,
        workers,
        desk,
        ClipRules(intake.max_clip_bytes, settings.web.upload_timeout_seconds, intake.clip_minutes),
    )
    refusals = RefusalLog(core.database, core.audit, core.metrics)
    people = await add_people(assembly)
    services = WebServices(
        settings=settings,
        clock=core.clock,
        metrics=core.metrics,
        database=core.database,
        policy_in_force=core.policy_in_force,
        probes=desk,
        clips=clip_desk,
        provisional=provisional_desk_for(core),
        leads=core.leads,
        life=LeadLife(life_parts_for(core), workers),
        people=people,
        retention=retention_desk_for(core),
        reports=report_desks_for(core, workers),
        galleries=GalleryOverview(gallery_parts(core)),
        expunger=expunger_for(core),
        export_orders=export_orders_for(core),
        sent_pictures=sent_picture_desk_for(core, workers, pack),
        refusals=refusals,
        feed=assembly.feed,
        readiness=assembly.board,
        schemas=lead_schemas,
        on_integrity_breach=assembly.on_breach,
    )
    assembly.add_part("feed", assembly.feed.run, assembly.feed.close)
    web = settings.web
    await _listen(assembly, "web", create_app(services), Stage.INTAKE, web.host, web.port, web.connections)


async def add_operations(assembly: Assembly) -> None:
    """`/healthz`, `/readyz` and `/metrics` at an address of their own, which is that of the web where none is set.

    Raises as `add_web` does.
    """
    settings = assembly.core.settings
    own = settings.operations
    section, host, port = "operations", own.host, own.port
    if port is None:
        section, host, port = "web", settings.web.host, settings.web.port
    app = create_operations_app(assembly.board, assembly.on_breach, local_only=host in LOOPBACK_NAMES)
    await _listen(assembly, section, app, Stage.BACKGROUND, host, port, own.connections)


async def _listen(
    assembly: Assembly, section: str, app: Application, stage: Stage, host: str, port: int, connections: int
) -> None:
    web = assembly.core.settings.web
    try:
        listener = await listen(
            app,
            host,
            port,
            connections=connections,
            idle_seconds=web.idle_seconds,
            shutdown_seconds=web.shutdown_seconds,
        )
    except OSError as error:
        problem = ConfigurationProblem(
            f"{section}.port",
            f"{host}:{port} cannot be bound ({error.strerror})",
            "Stop what listens there, or choose another port (0 takes a free one)",
        )
        raise ConfigurationError(problem) from error
    stopped = asyncio.Event()

    async def stop_serving() -> None:
        await listener.stop()
        stopped.set()

    async def serve_requests() -> None:
        await stopped.wait()

    assembly.add_part(section, serve_requests, stop_serving, stage)
    for address in listener.addresses:
        _log.info("listening", section=section, address=f"http://{address[0]}:{address[1]}")
