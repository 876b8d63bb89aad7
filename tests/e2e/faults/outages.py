"""What is done to the broker and to the database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from tests.e2e.faults.plant import Plant
from tests.e2e.faults.readers import DatabaseReader

_AWAY_SECONDS: Final = 5.0
_IN_STEP_SECONDS: Final = 30.0


class BrokerFaults:
    """Each returns how often it was done, when the brokers serve again."""

    def __init__(self, plant: Plant) -> None:
        self._kafka = plant.kafka

    async def leader_killed(self) -> int:
        """The leader of a partition of the incidents dies, and comes back after a while."""
        leader = None
        while leader is None:
            leader = await self._kafka.leader_of("rtcc.incidents", 0)
        await self._kafka.kill(leader)
        await asyncio.sleep(_AWAY_SECONDS)
        self._kafka.launch(leader)
        await self._kafka.wait_until_ready()
        return 1

    async def all_killed(self) -> int:
        """Every node dies at once."""
        await self._kafka.kill(*self._kafka.numbers)
        self._kafka.launch(*self._kafka.numbers)
        await self._kafka.wait_until_ready()
        return 1

    async def quorum_lost(self, seconds: float) -> int:
        """All nodes but one are gone for a while: nothing can be written."""
        gone = self._kafka.numbers[1:]
        await self._kafka.kill(*gone)
        await asyncio.sleep(seconds)
        self._kafka.launch(*gone)
        await self._kafka.wait_until_ready()
        return 1


class DatabaseFaults:
    """Each returns how often it was done, when the database serves again."""

    def __init__(self, plant: Plant, reader: DatabaseReader) -> None:
        self._plant = plant
        self._reader = reader

    async def restarted(self) -> int:
        await asyncio.to_thread(self._plant.postgres.restart)
        return 1

    async def power_lost(self) -> int:
        """Every process of the server is killed; it recovers from its log."""
        await asyncio.to_thread(self._plant.postgres.kill)
        await asyncio.to_thread(self._plant.postgres.start)
        return 1

    async def gone(self, seconds: float) -> int:
        """It is away for a while; a process that is started meanwhile waits for it."""
        await asyncio.to_thread(self._plant.postgres.stop)
        started = self._plant.of_role("consumer")[-1]
        await started.kill()
        await started.start()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._plant.postgres.start)
        return 1

    async def connections_ended(self, times: int, every_seconds: float = 2.0) -> int:
        """The server ends every session, again and again: what lies in the pools is dead."""
        ended = 0
        for _ in range(times):
            ended += await self._reader.number(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE usename = 'rtcc' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(every_seconds)
        return ended

    async def failed_over(self) -> int:
        """The primary dies for good and its standby, which had to confirm every commit, takes over."""
        standby = self._plant.standby
        assert standby is not None
        for statement in ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"):
            await self._reader.fetch(statement)
        await _until(self._is_in_step)
        await asyncio.sleep(_AWAY_SECONDS)  # under load
        await asyncio.to_thread(self._plant.postgres.kill)
        await asyncio.to_thread(standby.promote)
        self._plant.postgres, self._plant.standby = standby, self._plant.postgres
        return 1

    async def relay_at_work(self) -> str | None:
        """The name of the process that holds the relay's lock."""
        found = await self._reader.fetch(
            "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE locktype = 'advisory' AND granted AND objid = 1 AND application_name LIKE 'relay-%'"
        )
        return found[0]["application_name"] if found else None

    async def _is_in_step(self) -> bool:
        query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
        try:
            return await self._reader.number(query) > 0
        except (OSError, asyncpg.PostgresError):
            return False


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_IN_STEP_SECONDS):
        while not await holds():  # noqa: ASYNC110 - another process changes what is waited for
            await asyncio.sleep(0.2)
