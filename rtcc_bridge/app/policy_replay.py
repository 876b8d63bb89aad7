"""Wires what judges past searches by another policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.probes.policy_replay import PolicyReplay
from rtcc_bridge.settings import Settings


@asynccontextmanager
async def open_policy_replay(settings: Settings) -> AsyncIterator[PolicyReplay]:
    """Raises as `open_core` does."""
    async with open_core(settings, under_policy=False) as core:
        yield PolicyReplay(core.database, core.clock)
