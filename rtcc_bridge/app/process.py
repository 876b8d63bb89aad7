"""One process of the daemon, from its start to its end."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import structlog

from rtcc_bridge import processor
from rtcc_bridge.app import freed_memory, unused_memory
from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.audit import add_journal_merge
from rtcc_bridge.app.consumer import add_consumer
from rtcc_bridge.app.exit_limit import ExitLimit
from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.heartbeat import Heartbeat
from rtcc_bridge.app.matcher import add_matcher
from rtcc_bridge.app.policy_reload import PolicyReload
from rtcc_bridge.app.relay import add_relay
from rtcc_bridge.app.roles import Role, opens_templates, require_possible
from rtcc_bridge.app.surroundings import add_surroundings
from rtcc_bridge.app.template_keys import require_gallery_key
from rtcc_bridge.app.web import add_operations, add_web
from rtcc_bridge.audit.arrival import Way, came_by
from rtcc_bridge.broker.grants import topics_of
from rtcc_bridge.broker.start_check import require_topics
from rtcc_bridge.modelpacks.installed import Progress, open_pack
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.sqlite_lock import sole_daemon
from rtcc_bridge.supervisor import supervise
from rtcc_bridge.telemetry.trace_export import exporting_traces

_SHARE_OF_PARTS: Final = 0.7
"""So much of the shutdown may go to the parts; the rest is for closing what they used."""

_log = structlog.get_logger(__name__)


async def serve(settings: Settings, roles: Collection[Role], progress: Progress) -> None:
    """Runs until SIGTERM or SIGINT. Raises BridgeError when it cannot start or must not go on.

    SIGHUP has the policy read again, also one that comes while the process still starts.
    From the signal on, `process.shutdown_seconds` remain: what hangs then is cut off, at last by ending the process.
    """
    require_possible(roles, settings.database)
    if opens_templates(roles):
        require_gallery_key(settings)
    if not freed_memory.write_over_freed_memory():
        _log.warning("freed memory is not written over here: pictures that were purged may stay in it for a while")
    came_by(Way.DAEMON)
    seconds = settings.process.shutdown_seconds
    limit = ExitLimit(seconds)
    stop, reload_asked = asyncio.Event(), asyncio.Event()

    def ask_to_stop() -> None:
        limit.start()
        stop.set()

    async def assemble(stack: AsyncExitStack) -> Assembly:
        losses = await stack.enter_async_context(exporting_traces(settings.tracing, sorted(roles)))
        stack.enter_context(sole_daemon(settings.database.sqlite_file))
        await require_topics(settings.kafka, topics_of(settings.kafka, roles))
        patience = settings.database.start_patience_seconds
        opening = open_core(settings, patience_seconds=patience, opens_templates=opens_templates(roles))
        core = await stack.enter_async_context(opening)
        losses.count_in(lambda reason, spans: core.metrics.spans_lost_total.labels(reason).inc(spans))
        policy_reload = PolicyReload(core, reload_asked)
        await policy_reload.note_start()
        assembly = Assembly(core, stack)
        await _assemble(assembly, roles, progress)
        assembly.add_part("policy reload", policy_reload.run)
        return assembly

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop)
    loop.add_signal_handler(signal.SIGHUP, reload_asked.set)
    async with _closed_within(seconds * (1 - _SHARE_OF_PARTS)) as stack:
        assembly = await _unless(stop, assemble(stack))
        if assembly is not None:
            _set_aside_what_stays()
            await supervise(assembly.parts, stop, seconds * _SHARE_OF_PARTS, on_stopping=limit.start)
    _log.info("stopped")


def _set_aside_what_stays() -> None:
    """Takes what the start has made, which lives as long as the process, out of what Python's collector looks through:
    that held everything up for 90 ms each time, 200,000 objects on a core of 2026. What is garbage by then would
    stay for ever otherwise.
    """
    gc.collect()
    gc.freeze()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Assembly]) -> Assembly | None:
    """What the work returns or raises; None when it was cut off because the process has to stop."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _assemble(assembly: Assembly, roles: Collection[Role], progress: Progress) -> None:
    """Adds what the roles need, against the flow, so that nothing is taken before it can be passed on."""
    if Role.RELAY in roles:
        await add_relay(assembly)
    pack = None
    if Role.MATCHER in roles or Role.WEB in roles:
        if (remark := processor.remark()) is not None:
            _log.warning("slow processor", remark=remark)
        pack = await asyncio.to_thread(open_pack, assembly.core.settings.matching, progress)
    if Role.MATCHER in roles and pack is not None:
        await add_matcher(assembly, pack)
    if Role.CONSUMER in roles:
        add_consumer(assembly)
    if Role.WEB in roles and pack is not None:
        await add_web(assembly, pack)
    if Role.WEB not in roles or assembly.core.settings.operations.port is not None:
        await add_operations(assembly)
    if unused_memory.can_be_returned():
        assembly.add_part("unused memory", unused_memory.keep_returning)
    add_surroundings(assembly, roles)
    add_journal_merge(assembly)
    heartbeat = Heartbeat(assembly.core.database, roles, assembly.board, assembly.core.clock)
    assembly.add_part("heartbeat", heartbeat.run, heartbeat.stop)


@asynccontextmanager
async def _closed_within(seconds: float) -> AsyncIterator[AsyncExitStack]:
    """A stack whose closing is cut off after that time: what it holds ends with the process at the latest."""
    stack = AsyncExitStack()
    try:
        yield stack
    finally:
        try:
            async with asyncio.timeout(seconds):
                await stack.aclose()
        except TimeoutError:
            _log.warning("not everything could be closed in time", seconds=seconds)
