"""What is done to the network of a deployment that has one of its own."""

import asyncio
from collections.abc import Collection

from tests.e2e.faults.plant import Plant
from tests.hosts import Host


class NetworkFaults:
    """Each returns how often it was done, when the network is whole again. Of a role it is the first process."""

    def __init__(self, plant: Plant) -> None:
        assert plant.site is not None, "this deployment is on loopback"
        self._plant = plant
        self._site = plant.site

    async def role_cut_off(self, role: str, party: str, seconds: float) -> int:
        """A process gets nothing through to a party, nor they to it.

        party: "brokers", "leading broker", "database" or "people".
        """
        parties = {
            "brokers": self._plant.kafka.hosts,
            "leading broker": [await self._leader()],
            "database": [server.host for server in self._plant.servers],
            "people": [self._site.people],
        }
        return await self._cut(self._host_of(role), parties[party], seconds)

    async def leader_cut_off(self, seconds: float) -> int:
        """The leader of a partition of the incidents is cut off from the other brokers; everybody else reaches it."""
        leader = await self._leader()
        done = await self._cut(leader, [host for host in self._plant.kafka.hosts if host != leader], seconds)
        await self._plant.kafka.wait_until_ready()
        return done

    async def standby_cut_off(self, seconds: float) -> int:
        """The standby hears nothing of the primary, which goes on without it."""
        assert self._plant.standby is not None
        return await self._cut(self._plant.standby.host, [self._plant.postgres.host], seconds)

    async def far_away(self, roles: Collection[str], seconds: float, *, delay_seconds: float, loss: float) -> int:
        """Processes are at the end of a slow and lossy line, each way."""
        with self._site.far_away([self._host_of(role) for role in roles], delay_seconds, loss):
            await asyncio.sleep(seconds)
        return len(roles)

    async def _cut(self, host: Host, others: Collection[Host], seconds: float) -> int:
        with self._site.cut(host, others):
            await asyncio.sleep(seconds)
        return 1

    async def _leader(self) -> Host:
        """Where the leader of a partition of the incidents runs."""
        kafka = self._plant.kafka
        number = None
        while number is None:
            number = await kafka.leader_of("rtcc.incidents", 0)
        return kafka.hosts[kafka.numbers.index(number)]

    def _host_of(self, role: str) -> Host:
        return self._plant.of_role(role)[0].host
