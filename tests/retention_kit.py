"""What tests of keeping and purging are built from: the desks and the keeper, and searches that have ended each way."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rtcc_bridge.matching.types import Verdict
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.retention.clock_watch import ClockWatch
from rtcc_bridge.retention.desk import RetentionDesk
from rtcc_bridge.retention.keeper import PurgeKeeper
from rtcc_bridge.retention.parts import RetentionParts
from rtcc_bridge.retention.purge import Purger
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database, Transaction
from tests.doubles import ManualClock
from tests.life_kit import ADMINISTRATOR, PEER, SUPERVISOR, LifeKit
from tests.probe_kit import ProbeKit, face

DAY: Final = timedelta(days=1)
CASE: Final = "26-000123"
"""Of everything that the kits attach."""


def retention_parts(kit: ProbeKit, database: Database | None = None) -> RetentionParts:
    parts = kit.parts
    refusals = RefusalLog(parts.database, parts.audit, parts.metrics)
    return RetentionParts(
        database or parts.database, kit.vault, parts.audit, parts.clock, parts.policy_in_force, refusals
    )


@dataclass
class RetentionKit:
    """Everything about keeping, over the desks of a lead's life.

    counted: seconds on the clock that only counts. other_clock: what the database says, where it is asked.
    """

    life: LifeKit
    counted: float = 0.0
    other_clock: ManualClock | None = None

    def __post_init__(self) -> None:
        self.parts = retention_parts(self.life.kit)
        self.desk = RetentionDesk(self.parts)
        self.purger = Purger(self.parts)
        self.keeper = self.new_keeper()

    def new_keeper(self) -> PurgeKeeper:
        """As of a process that has just been started."""
        watch = ClockWatch(
            self.kit.clock, "purge", self._by_the_other, waits_after_silence=True, monotonic=lambda: self.counted
        )
        return PurgeKeeper(self.parts, self.kit.metrics, watch)

    async def _by_the_other(self, _tx: Transaction) -> datetime:
        return (self.other_clock or self.kit.clock).now()

    @property
    def kit(self) -> ProbeKit:
        return self.life.kit

    def pass_time(self, time: timedelta) -> None:
        """On both clocks."""
        self.kit.clock.advance(time.total_seconds())
        self.counted += time.total_seconds()

    async def purge(self, account: Account = ADMINISTRATOR) -> int:
        """Purges all that is due; returns how much was."""
        run = await self.keeper.purge_due(account)
        assert run.left == 0
        return run.purged

    async def probe(self, lead_id: str) -> dict[str, Any]:
        [lead] = await self.kit.rows(tables.leads, lead_id=lead_id)
        [probe] = await self.kit.rows(tables.probes, probe_id=lead["probe_id"])
        return probe

    async def objects_of(self, probe_id: str) -> list[str]:
        """The names of the sealed objects of a search."""
        [probe] = await self.kit.rows(tables.probes, probe_id=probe_id)
        leads = await self.kit.rows(tables.leads, probe_id=probe_id)
        found = [probe["original_object"], probe["crop_object"], *(lead["candidates_object"] for lead in leads)]
        return [name for name in found if name is not None]

    def file_of(self, object_key: str) -> Path:
        return self.kit.objects / object_key

    async def has_key(self, object_key: str) -> bool:
        return bool(await self.kit.rows(tables.object_keys, object_key=object_key))


Ending = Callable[[RetentionKit], Awaitable[str]]
"""Brings a search to its end, and returns the id of its probe."""


async def rejected_quality(here: RetentionKit) -> str:
    here.kit.workers.faces = [face(verdict=Verdict.REFUSED)]
    probe = await here.kit.attached()
    assert probe.state == "rejected_quality"
    return probe.probe_id


async def refused(here: RetentionKit) -> str:
    probe = await here.kit.chosen()
    return (await here.kit.desk.refuse(probe.probe_id, SUPERVISOR, "no grounds in the report")).probe_id


async def withdrawn(here: RetentionKit) -> str:
    lead_id = await here.life.lead()
    await here.life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "another camera")
    return str((await here.probe(lead_id))["probe_id"])


async def no_candidate(here: RetentionKit) -> str:
    return await _expired(here, await here.life.lead(people=0))


async def inconclusive(here: RetentionKit) -> str:
    lead_id = await here.life.taken()
    await here.life.conclude(lead_id, inconclusive=(0,))
    await here.life.review(lead_id, PEER, inconclusive=(0,))
    return str((await here.probe(lead_id))["probe_id"])


async def expired(here: RetentionKit) -> str:
    return await _expired(here, await here.life.lead())


async def abandoned(here: RetentionKit) -> str:
    """A still of which nobody ever chose a face."""
    return (await here.kit.attached()).probe_id


async def _expired(here: RetentionKit, lead_id: str) -> str:
    [lead] = await here.kit.rows(tables.leads, lead_id=lead_id)
    ends_at: datetime = lead["expires_at"]
    here.pass_time(ends_at - here.kit.clock.now())
    assert await here.life.leads.expire_due() == 1
    return str(lead["probe_id"])


ENDINGS: Final[Mapping[str, tuple[Ending, str]]] = MappingProxyType(
    {
        "rejected_quality": (rejected_quality, "rejected_quality"),
        "refused": (refused, "refused"),
        "withdrawn": (withdrawn, "withdrawn"),
        "no_candidate": (no_candidate, "no_candidate"),
        "inconclusive": (inconclusive, "inconclusive"),
        "expired": (expired, "expired"),
        "abandoned": (abandoned, "expired"),
    }
)
"""By name how a search can end without a release, and the policy's outcome that is."""
