"""`kill -9` of every role, at every point between two steps of its work."""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from tests.e2e.faults.crash_points import ACKNOWLEDGED, BEFORE_SEND, POINTS_OF_ROLE, assigned, revoked
from tests.e2e.faults.plant import Plant
from tests.e2e.faults.readers import TOPICS_OF_GROUP
from tests.e2e.faults.replica import Replica, Trap

_UNDISTURBED_SECONDS: Final = 8.0
_TRAP_SECONDS: Final = 25.0
_TAKEOVER_SECONDS: Final = 2.5
_TRIES: Final = 3
_POISONED_RECORDS: Final = 12
"""So many that each of two consumers gets some, whichever partitions it has."""

_GROUP_REVOKED: Final = {revoked(group): group for group in TOPICS_OF_GROUP}
_REBALANCES: Final = {*_GROUP_REVOKED, *map(assigned, TOPICS_OF_GROUP)}
_LETTER_POINTS: Final = frozenset({("consumer", BEFORE_SEND), ("consumer", ACKNOWLEDGED)})
"""All that a consumer sends are dead letters."""


@dataclass
class KillCampaign:
    """All processes of a role work through the role's points, each dying at one and starting anew for the next.

    poison: sends a record that a consumer has to put to the dead letters. most_passes: so often a process passes its
    point, at most, before it dies there. forced: how often a process died at each point. unforced: kills at whatever it
    was doing. missed: points at which none would die.
    """

    plant: Plant
    random: random.Random
    poison: Callable[[], None]
    most_passes: int
    forced: Counter[tuple[str, str]] = field(default_factory=Counter)
    unforced: int = 0
    missed: list[str] = field(default_factory=list)
    _spared: set[str] = field(default_factory=set)

    async def run(self, rounds: int) -> None:
        """Every point of every role `rounds` times. All processes run at the end."""
        await asyncio.gather(*(self._role(role, rounds) for role in POINTS_OF_ROLE))

    @property
    def kills(self) -> int:
        return self.forced.total() + self.unforced

    async def go_on(self, enough: Callable[[], bool], seconds: float) -> None:
        """Kills whichever process, whatever it is doing, until it is enough or the time is over."""
        end = time.monotonic() + seconds
        while not enough() and time.monotonic() < end:
            replica = self.random.choice(list(self.plant.replicas.values()))
            await self._kill(replica)
            await replica.start()
            await asyncio.sleep(self.random.uniform(0.5, 3.0))

    async def _role(self, role: str, rounds: int) -> None:
        due = deque((point, _TRIES) for _ in range(rounds) for point in POINTS_OF_ROLE[role])
        await asyncio.gather(*(self._replica(replica, due) for replica in self.plant.of_role(role)))

    async def _replica(self, replica: Replica, due: deque[tuple[str, int]]) -> None:
        while due:
            point, tries = due.popleft()
            if replica.is_running:
                await self._kill(replica)
            began = time.monotonic()
            await replica.start(Trap(point, self._passes(replica, point)))
            sprang = await self._springs(replica, point)
            self._note(replica, point, "killed" if sprang else "not reached", time.monotonic() - began)
            if sprang:
                self.forced[replica.role, point] += 1
            elif tries > 1:
                due.append((point, tries - 1))
            else:
                self.missed.append(f"{replica.role}: {point}")
        if replica.is_running:
            await self._kill(replica)
        await replica.start()
        self._spared.add(replica.name)

    async def _springs(self, replica: Replica, point: str) -> bool:
        """Waits for the process to die at its trap. What does not come about by itself is brought about."""
        if not await replica.ended(_UNDISTURBED_SECONDS):
            await self._bring_about(replica, point)
        if not await replica.ended(_TRAP_SECONDS - _UNDISTURBED_SECONDS):
            return False
        return replica.died_at == point

    async def _bring_about(self, replica: Replica, point: str) -> None:
        if point in _GROUP_REVOKED:
            await self._rebalance(_GROUP_REVOKED[point])
        elif (replica.role, point) in _LETTER_POINTS:
            for _ in range(_POISONED_RECORDS):
                self.poison()
        elif replica.role == "relay":
            await self._hand_over_from_others(replica)

    async def _kill(self, replica: Replica) -> None:
        await replica.kill()
        self.unforced += 1

    def _note(self, replica: Replica, point: str, what: str, seconds: float) -> None:
        with (self.plant.folder / "kills.log").open("a", encoding="utf-8") as log:
            log.write(f"{replica.name}: {point}: {what} after {seconds:.1f} s\n")

    def _passes(self, replica: Replica, point: str) -> int:
        """Not always the first time: what was done before is then part of what has to survive. But what seldom comes
        about is not waited for again."""
        is_seldom = point in _REBALANCES or (replica.role, point) in _LETTER_POINTS
        return 1 if is_seldom else self.random.randint(1, self.most_passes)

    async def _hand_over_from_others(self, replica: Replica) -> None:
        """A relay that stands by does nothing: those that have no point left to die at give way to it."""
        others = [other for other in self.plant.of_role(replica.role) if other.name in self._spared]
        for other in others:
            await self._kill(other)
        await asyncio.sleep(_TAKEOVER_SECONDS)
        for other in others:
            await other.start()

    async def _rebalance(self, group: str) -> None:
        """Joins the group for a moment, which takes partitions from its members and gives them back.

        That reaches a static member as well: only its own coming back is no rebalance.
        """
        member = AIOKafkaConsumer(
            *TOPICS_OF_GROUP[group], bootstrap_servers=list(self.plant.kafka.addresses), group_id=group,
            enable_auto_commit=False, session_timeout_ms=6000, rebalance_timeout_ms=6000,
        )  # fmt: skip
        try:
            async with asyncio.timeout(10):
                await member.start()
                await member.getmany(timeout_ms=500)
        except (KafkaError, TimeoutError):
            return  # the trap sprang meanwhile, or is tried once more
        finally:
            await member.stop()
