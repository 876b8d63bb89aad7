"""Moves one process of each role into a network namespace of its own, and cuts or slows its links."""

import asyncio
import os
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tests.e2e.faults.network import Link, Namespace
from tests.e2e.faults.plant import ROLES, Plant

_KEEPALIVE_SECONDS: Final = 11.0
"""The daemon asks the database for this: after so long the server notices that a client is gone."""


@dataclass(frozen=True)
class Separation:
    """The links by pair: (role, "broker" | "database" | "people")."""

    links: dict[tuple[str, str], Link]

    async def cut(self, pair: tuple[str, str], seconds: float) -> int:
        """Nothing gets through between the two for a while."""
        self.links[pair].cut()
        await asyncio.sleep(seconds)
        self.links[pair].mend()
        return 1

    async def degrade(self, seconds: float, *, delay_seconds: float, loss: float) -> int:
        """All links are slow and lossy for a while; returns how many."""
        self._degrade(self.links.values(), delay_seconds, loss)
        await asyncio.sleep(seconds)
        self._degrade(self.links.values(), 0.0, 0.0)
        return len(self.links)

    def _degrade(self, links: Collection[Link], delay_seconds: float, loss: float) -> None:
        for link in links:
            link.delay_seconds, link.loss = delay_seconds, loss


@asynccontextmanager
async def separated(plant: Plant) -> AsyncIterator[Separation]:
    """The first process of each role is started anew in a namespace, and outside again at the end."""
    links: dict[tuple[str, str], Link] = {}
    moved = [plant.of_role(role)[0] for role in ROLES]
    brokers = [int(address.rpartition(":")[2]) for address in plant.kafka.addresses]
    databases = [server.port for server in (plant.postgres, plant.standby) if server is not None]
    async with AsyncExitStack() as stack:
        for replica in moved:
            await replica.kill()
            space = await stack.enter_async_context(Namespace(f"rtcc-{os.getpid()}-{replica.role}"))
            if replica.role != "web":
                link = links[replica.role, "broker"] = Link(f"{replica.role}-broker")
                await space.reach_out(link, brokers)
            link = links[replica.role, "database"] = Link(f"{replica.role}-database", _KEEPALIVE_SECONDS)
            await space.reach_out(link, databases)
            if replica.role == "web":
                link = links["web", "people"] = Link("web-people")
                await space.let_in(link, plant.port_of(replica))
            replica.namespace = space.name
            await replica.start()
        try:
            yield Separation(links)
        finally:
            for link in links.values():
                link.mend()
            for replica in moved:
                await replica.kill()
                replica.namespace = None
    for replica in moved:
        await replica.start()
