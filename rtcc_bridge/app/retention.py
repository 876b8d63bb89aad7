"""Wires what keeps and purges searches: the timer in the role relay, the desks of web and commands, the replay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.audit.proofs import ProofReader
from rtcc_bridge.audit.receipts import InclusionReceipt
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.retention.clock_watch import ClockWatch
from rtcc_bridge.retention.desk import RetentionDesk
from rtcc_bridge.retention.keeper import PurgeKeeper
from rtcc_bridge.retention.parts import RetentionParts
from rtcc_bridge.retention.replay import PurgeReplay
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.database_clock import database_now


class RetentionCommands:
    """What the command line does, in the name of one account."""

    def __init__(self, core: Core, account: Account) -> None:
        self._proofs = ProofReader(core.database)
        self.desk = retention_desk_for(core)
        self.keeper = purge_keeper_for(core)
        self.account = account

    async def proof(self, probe_or_lead_id: str) -> InclusionReceipt:
        """Raises NotFoundError when it was not purged, or no signed checkpoint covers the entry yet."""
        record = await self.desk.overview.receipt(self.account, probe_or_lead_id)
        return await self._proofs.of_leaf(record.audit_leaf)


@asynccontextmanager
async def open_retention(settings: Settings, account: Account) -> AsyncIterator[RetentionCommands]:
    """Raises as `open_core` does. A policy that has expired still says how long things are kept."""
    async with open_core(settings, under_policy=False) as core:
        yield RetentionCommands(core, account)


def purge_keeper_for(core: Core) -> PurgeKeeper:
    """Purges searches whose time is over."""
    return PurgeKeeper(retention_parts(core), core.metrics, clock_watch(core, "purge", waits_after_silence=True))


def clock_watch(core: Core, work: str, *, waits_after_silence: bool) -> ClockWatch:
    """On SQLite the database's clock is this machine's."""
    other = None if core.database.is_sqlite else database_now
    return ClockWatch(core.clock, work, other, waits_after_silence=waits_after_silence)


def retention_desk_for(core: Core) -> RetentionDesk:
    """Where people look at what is kept, hold it, and record how cases were disposed of."""
    return RetentionDesk(retention_parts(core))


def purge_replay_for(core: Core) -> PurgeReplay:
    """Carries purges and legal holds out again after a restoration."""
    return PurgeReplay(retention_parts(core))


def retention_parts(core: Core) -> RetentionParts:
    """What they share."""
    refusals = RefusalLog(core.database, core.audit, core.metrics)
    return RetentionParts(core.database, core.vault, core.audit, core.clock, core.policy_in_force, refusals)
