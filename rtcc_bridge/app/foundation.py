"""What every role of the daemon and every command stands on: database, sealed objects, policy, outbox, audit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock, SystemClock
from rtcc_bridge.leads.desk import LeadDesk
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.policy_file import Policy, load_policy
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.settings import DatabaseSettings, Settings
from rtcc_bridge.storage import schema
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.master_key import load_master_key
from rtcc_bridge.storage.objects import ObjectVault


@dataclass(frozen=True, slots=True)
class Core:
    """What every role and every command shares."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    vault: ObjectVault
    policy: Policy
    outbox: Outbox
    audit: AuditLog
    leads: LeadDesk

    def probe_parts(self) -> ProbeParts:
        return ProbeParts(
            self.database,
            self.clock,
            self.policy,
            self.audit,
            self.outbox,
            self.leads,
            self.metrics,
            self.settings.kafka.topics,
        )


@asynccontextmanager
async def open_core(settings: Settings) -> AsyncIterator[Core]:
    """Opens the database (and brings it to this program's revision), the sealed objects and the policy.

    Raises ConfigurationError or UnavailableError.
    """
    clock, metrics = SystemClock(), Metrics()
    policy = await asyncio.to_thread(load_policy, settings.policy.file)
    master_key = await asyncio.to_thread(load_master_key, settings.objects, settings.profile == "demo")
    async with AsyncExitStack() as stack:
        database = Database(settings.database)
        stack.push_async_callback(database.close)
        await schema.upgrade(database)
        vault = await stack.enter_async_context(ObjectVault(settings.objects, master_key, clock))
        outbox, audit = Outbox(clock), AuditLog(clock)
        leads = LeadDesk(database, outbox, audit, vault, settings.kafka.topics, settings.leads, metrics, clock)
        yield Core(settings, clock, metrics, database, vault, policy, outbox, audit, leads)


async def upgrade_database(settings: DatabaseSettings) -> str | None:
    """Brings the database to this program's revision and returns it. Raises as `schema.upgrade` does."""
    database = Database(settings)
    try:
        await schema.upgrade(database)
    finally:
        await database.close()
    return schema.newest_revision()
