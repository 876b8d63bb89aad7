"""The faults, in the order in which they are done."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from tests.e2e.faults import hardships
from tests.e2e.faults.crash_points import POINTS_OF_ROLE
from tests.e2e.faults.disks import fill_disk
from tests.e2e.faults.kills import KillCampaign
from tests.e2e.faults.network import NetworkFaults
from tests.e2e.faults.outages import BrokerFaults, DatabaseFaults
from tests.e2e.faults.plant import ROLES
from tests.e2e.faults.readers import SEARCH_REQUEST
from tests.e2e.faults.replica import Replica
from tests.e2e.faults.stage import Stage

KILLS: Final = 100
EVENTS: Final = 5000
PROBES: Final = 300
_GO_ON_SECONDS: Final = 900.0
_TAKEN_OVER_SECONDS: Final = 13.0
"""A relay that stands still for 10 s is taken for dead, and one that stands by looks every second."""

_LANES: Final = ("imminent", "routine")
_LOOKS_FOR_LETTERS: Final = 3
JUMP_SECONDS: Final = 600.0
DELAY_SECONDS: Final = 0.2
LOSS: Final = 0.05

_CUTS: Final = (
    ("consumer", "brokers"),
    ("consumer", "leading broker"),
    ("consumer", "database"),
    ("matcher", "brokers"),
    ("matcher", "database"),
    ("relay", "brokers"),
    ("relay", "database"),
    ("web", "database"),
    ("web", "people"),
)


@dataclass(frozen=True)
class Extent:
    """How much is done. kills, events, probes: the least that the kills have to come to.

    most_passes: see `KillCampaign`. frozen_at_once: one process of each role stands still at the same time, not one
    after another.
    """

    kill_rounds: int
    most_passes: int
    kills: int
    events: int
    probes: int
    away_seconds: float
    quorum_seconds: float
    cut_seconds: float
    frozen_seconds: float
    frozen_at_once: bool


SHORT: Final = Extent(1, 2, 0, 0, 0, 5, 5, 6, 6, frozen_at_once=True)
LONG: Final = Extent(3, 3, KILLS, EVENTS, PROBES, 20, 30, 15, 40, frozen_at_once=False)

Case = Callable[[Stage, Extent], Awaitable[None]]


async def kills(stage: Stage, extent: Extent) -> None:
    campaign = KillCampaign(stage.plant, stage.random, stage.events.poison, extent.most_passes)
    searched: Counter[str] = Counter()

    def missing() -> list[str]:
        done = (
            ("kills", campaign.kills, extent.kills),
            ("events", len(stage.ledger.acknowledged), extent.events),
            ("probes", len(stage.ledger.probes), extent.probes),
        )
        return [f"only {count} {what}, where {least} are promised" for what, count, least in done if count < least]

    async def deed() -> int:
        before = await _searches_by_lane(stage)
        await campaign.run(extent.kill_rounds)
        await campaign.go_on(lambda: not missing(), _GO_ON_SECONDS)
        searched.update(await _searches_by_lane(stage) - before)
        return campaign.kills

    points = sum(map(len, POINTS_OF_ROLE.values()))
    await stage.under(
        "kill -9 of every role",
        deed,
        lambda: f"{campaign.forced.total()} forced, at {len(campaign.forced)} of {points} points between two steps",
        lambda: [
            *missing(),
            *(f"no kill could be forced at {point}" for point in campaign.missed),
            *(f"no search was to run on the {lane} lane" for lane in _LANES if not searched[lane]),
        ],
    )


async def _searches_by_lane(stage: Stage) -> Counter[str]:
    """Those that may run: that each of them comes to one outcome is judged when the fault is over."""
    found = await stage.database.fetch(
        "SELECT lane, count(*) AS searches FROM probes WHERE authority_at IS NOT NULL GROUP BY lane"
    )
    return Counter({row["lane"]: row["searches"] for row in found})


async def leader_killed(stage: Stage, _extent: Extent) -> None:
    await stage.under("broker: leader of three killed", BrokerFaults(stage.plant).leader_killed)


async def brokers_killed(stage: Stage, _extent: Extent) -> None:
    await stage.under("broker: all three killed and started", BrokerFaults(stage.plant).all_killed)


async def quorum_lost(stage: Stage, extent: Extent) -> None:
    deed = partial(BrokerFaults(stage.plant).quorum_lost, extent.quorum_seconds)
    await stage.under(f"broker: quorum lost for {extent.quorum_seconds:g} s", deed)


async def database_restarted(stage: Stage, _extent: Extent) -> None:
    await stage.under("database: restarted", DatabaseFaults(stage.plant, stage.database).restarted)


async def database_power(stage: Stage, _extent: Extent) -> None:
    await stage.under("database: killed and started", DatabaseFaults(stage.plant, stage.database).power_lost)


async def database_gone(stage: Stage, extent: Extent) -> None:
    deed = partial(DatabaseFaults(stage.plant, stage.database).gone, extent.away_seconds)
    await stage.under(f"database: gone for {extent.away_seconds:g} s", deed)


async def sessions_ended(stage: Stage, _extent: Extent) -> None:
    deed = partial(DatabaseFaults(stage.plant, stage.database).connections_ended, 3)
    await stage.under("database: all sessions ended, three times", deed)


async def failed_over(stage: Stage, _extent: Extent) -> None:
    await stage.under(
        "database: failover to the standby",
        DatabaseFaults(stage.plant, stage.database).failed_over,
        "the standby confirmed each commit",
    )


async def partitions(stage: Stage, extent: Extent) -> None:
    network, seconds = NetworkFaults(stage.plant), extent.cut_seconds
    for role, party in _CUTS:
        deed = partial(network.role_cut_off, role, party, seconds)
        name = f"network: {role} cut off from {party} for {seconds:g} s"
        if role == "relay":
            await _relay_cut_off(stage, name, deed, has_to_be_relieved=party == "database")
        else:
            await stage.under(name, deed, "one of two processes")
    await stage.under(
        f"network: broker cut off from the other two for {seconds:g} s",
        partial(network.leader_cut_off, seconds),
        "a leader; everybody else reaches it",
    )
    await stage.under(
        f"network: standby cut off from database for {seconds:g} s", partial(network.standby_cut_off, seconds)
    )


async def _relay_cut_off(
    stage: Stage, name: str, cut: Callable[[], Awaitable[int]], *, has_to_be_relieved: bool
) -> None:
    """Without the database a relay has nothing that it could publish, and the other one takes over."""
    first, at_work = stage.plant.of_role("relay")[0].name, DatabaseFaults(stage.plant, stage.database).relay_at_work
    afterwards = None

    async def deed() -> int:
        nonlocal afterwards
        await _first_relay_works(stage)
        done = await cut()
        afterwards = await at_work()
        return done

    await stage.under(
        name,
        deed,
        lambda: f"the one at work of two processes; {afterwards} works at the end of it",
        lambda: ["no other relay took over"] if has_to_be_relieved and afterwards in {None, first} else [],
    )


async def _first_relay_works(stage: Stage) -> None:
    """Has the first relay at work, which is the one that faults are done to: the other one would not notice."""
    first, *others = stage.plant.of_role("relay")
    at_work = DatabaseFaults(stage.plant, stage.database).relay_at_work
    if await at_work() == first.name:
        return
    for other in others:
        await other.kill()
    while await at_work() != first.name:  # noqa: ASYNC110 - another process changes it
        await asyncio.sleep(0.2)
    for other in others:
        await other.start()


async def slow_network(stage: Stage, extent: Extent) -> None:
    await _first_relay_works(stage)
    deed = partial(
        NetworkFaults(stage.plant).far_away, ROLES, extent.away_seconds, delay_seconds=DELAY_SECONDS, loss=LOSS
    )
    name = f"network: 200 ms delay, 5 % loss for {extent.away_seconds:g} s"
    await stage.under(name, deed, "one process of each role")


async def objects_full(stage: Stage, extent: Extent) -> None:
    await stage.under("disk full: objects", partial(fill_disk, stage.plant.objects, extent.cut_seconds))


async def database_full(stage: Stage, extent: Extent) -> None:
    deed = partial(hardships.fill_database_disk, stage.plant, stage.database, extent.cut_seconds)
    await stage.under("disk full: database", deed)


async def broker_full(stage: Stage, extent: Extent) -> None:
    deed = partial(hardships.fill_broker_disk, stage.plant, extent.cut_seconds)
    await stage.under("disk full: broker", deed, "one of three")


async def clock_ahead(stage: Stage, extent: Extent) -> None:
    await _clocks_jump(stage, extent, JUMP_SECONDS, "clock: 10 min ahead and back")


async def clock_behind(stage: Stage, extent: Extent) -> None:
    await _clocks_jump(stage, extent, -JUMP_SECONDS, "clock: 10 min behind and back")


async def _clocks_jump(stage: Stage, extent: Extent, by_seconds: float, name: str) -> None:
    """A request for a search, signed by one clock and checked by another, is refused, and made again by itself."""
    refused = stage.ledger.refused_requests
    before = len(refused)
    await _first_relay_works(stage)

    async def deed() -> int:
        done = await hardships.jump_clocks(_firsts(stage), by_seconds, extent.cut_seconds)
        for _ in range(_LOOKS_FOR_LETTERS):  # one that was refused at the last moment has its letter a moment later
            letters = await asyncio.to_thread(stage.broker.dead_letters)
            refused.update(one.identity for one in letters if one.identity and one.event_type == SEARCH_REQUEST)
            await asyncio.sleep(1)
        return done

    remark = "one process of each role; {} requests for searches refused, and made again"
    await stage.under(name, deed, lambda: remark.format(len(refused) - before))


async def frozen(stage: Stage, extent: Extent) -> None:
    relay_seconds = max(extent.frozen_seconds, _TAKEN_OVER_SECONDS)
    if extent.frozen_at_once:
        others = [replica for replica in _firsts(stage) if replica.role != "relay"]
        await _relay_frozen(stage, relay_seconds, "one process of each role", others)
        return
    for role in ROLES:
        if role == "relay":
            await _relay_frozen(stage, relay_seconds, role)
        else:
            await _one_frozen(stage, role, extent.frozen_seconds)


async def _one_frozen(stage: Stage, role: str, seconds: float) -> None:
    async def deed() -> int:
        with hardships.standing_still(stage.plant.of_role(role)[0]):
            await asyncio.sleep(seconds)
        return 1

    await stage.under(f"SIGSTOP: {role} for {seconds:g} s", deed, "one of two processes")


async def _relay_frozen(stage: Stage, seconds: float, name: str, others: Sequence[Replica] = ()) -> None:
    """The relay that works is chosen, since the other one holds nothing; meanwhile the other has to take over."""
    relay_at_work = DatabaseFaults(stage.plant, stage.database).relay_at_work
    frozen_name = taken_over_by = None

    which = "the relay at work among them" if others else "the one at work of two processes"

    async def deed() -> int:
        nonlocal frozen_name, taken_over_by
        while (frozen_name := await relay_at_work()) is None:  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.2)
        with ExitStack() as still:
            for replica in (stage.plant.replicas[frozen_name], *others):
                still.enter_context(hardships.standing_still(replica))
            await asyncio.sleep(seconds)
            taken_over_by = await relay_at_work()
        return 1 + len(others)

    await stage.under(
        f"SIGSTOP: {name} for {seconds:g} s",
        deed,
        lambda: f"{which}; {taken_over_by} took over",
        lambda: ["no other relay took over"] if taken_over_by in {None, frozen_name} else [],
    )


def _firsts(stage: Stage) -> list[Replica]:
    return [stage.plant.of_role(role)[0] for role in ROLES]


CASES: Final[Mapping[str, Case]] = MappingProxyType(
    {
        "kills": kills,
        "leader": leader_killed,
        "brokers": brokers_killed,
        "quorum": quorum_lost,
        "database-restart": database_restarted,
        "database-power": database_power,
        "database-gone": database_gone,
        "sessions": sessions_ended,
        "partitions": partitions,
        "slow-network": slow_network,
        "objects-full": objects_full,
        "database-full": database_full,
        "broker-full": broker_full,
        "clock-ahead": clock_ahead,
        "clock-behind": clock_behind,
        "frozen": frozen,
        "failover": failed_over,
    }
)
IN_SHORT: Final = ("kills", "leader", "database-restart", "sessions", "frozen")
NEEDS_SITE: Final = frozenset({"partitions", "slow-network"})
NEEDS_WIRE: Final = frozenset({"slow-network"})
NEEDS_STANDBY: Final = frozenset({"partitions", "failover"})
NEEDS_DISKS: Final = frozenset({"objects-full", "database-full", "broker-full"})
