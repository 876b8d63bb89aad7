"""Wires the reports: for the web, for the command that makes them, and for the metric of the role relay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.app.picture_worker import picture_worker
from rtcc_bridge.modelpacks.installed import Progress, open_pack
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.reports.access_log import AccessLogDesk
from rtcc_bridge.reports.activity import ActivityDesk
from rtcc_bridge.reports.audit_explorer import AuditExplorer
from rtcc_bridge.reports.desks import ReportDesks
from rtcc_bridge.reports.disclosure_orders import DisclosureOrderDesk
from rtcc_bridge.reports.discovery import DiscoveryDesk
from rtcc_bridge.reports.figures import FiguresDesk
from rtcc_bridge.reports.misuse import MisuseDesk, MisuseWatch
from rtcc_bridge.reports.packet_archive import load_packet_key
from rtcc_bridge.reports.packet_sources import PacketSources
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.reports.policies import PolicyDesk
from rtcc_bridge.reports.transparency import TransparencyDesk
from rtcc_bridge.settings import Settings


def report_desks_for(core: Core, workers: PictureReader) -> ReportDesks:
    """workers: they mask the stills of discovery packets."""
    parts = report_parts(core)
    return ReportDesks(
        TransparencyDesk(parts),
        discovery_desk_for(core, workers),
        DisclosureOrderDesk(parts),
        AccessLogDesk(parts),
        _misuse_desk_for(core),
        ActivityDesk(parts),
        AuditExplorer(parts),
        FiguresDesk(parts),
        PolicyDesk(parts),
    )


def discovery_desk_for(core: Core, workers: PictureReader) -> DiscoveryDesk:
    settings = core.settings
    sources = PacketSources(settings.matching.packs_directory, settings.policy.file, settings.policy.signature_file)
    may_create = settings.profile == "demo"
    load_key = partial(load_packet_key, settings.reports.signing_key_file, may_create=may_create)
    return DiscoveryDesk(report_parts(core), core.vault, workers, sources, load_key)


def misuse_watch_for(core: Core) -> MisuseWatch:
    return MisuseWatch(_misuse_desk_for(core), core.metrics)


def report_parts(core: Core) -> ReportParts:
    refusals = RefusalLog(core.database, core.audit, core.metrics)
    return ReportParts(core.database, core.clock, core.audit, refusals, core.policy_in_force)


@asynccontextmanager
async def open_transparency(settings: Settings) -> AsyncIterator[TransparencyDesk]:
    """Raises as `open_core` does. No policy decides on a report, so that an expired one keeps none back."""
    async with open_core(settings, under_policy=False) as core:
        yield TransparencyDesk(report_parts(core))


@asynccontextmanager
async def open_access_log(settings: Settings) -> AsyncIterator[AccessLogDesk]:
    """Raises as `open_core` does."""
    async with open_core(settings, under_policy=False) as core:
        yield AccessLogDesk(report_parts(core))


@asynccontextmanager
async def open_misuse(settings: Settings) -> AsyncIterator[MisuseDesk]:
    """Raises as `open_core` does."""
    async with open_core(settings, under_policy=False) as core:
        yield _misuse_desk_for(core)


@asynccontextmanager
async def open_discovery(settings: Settings, progress: Progress) -> AsyncIterator[DiscoveryDesk]:
    """With one picture worker of its own. Raises as `open_core` does, ConfigurationError when none can be started."""
    async with open_core(settings, under_policy=False) as core:
        pack = await asyncio.to_thread(open_pack, settings.matching, progress)
        one = settings.model_copy(update={"intake": settings.intake.model_copy(update={"workers": 1})})
        async with WorkerPool(*picture_worker(one, pack.folder), core.metrics) as workers:
            yield discovery_desk_for(core, workers)


def _misuse_desk_for(core: Core) -> MisuseDesk:
    return MisuseDesk(report_parts(core), core.settings.reports.roster_file)
