"""Wires what an operator may do about paused topics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.consumers.pauses import PauseDesk
from rtcc_bridge.settings import Settings


@asynccontextmanager
async def open_pause_desk(settings: Settings) -> AsyncIterator[PauseDesk]:
    """Raises as `open_core` does."""
    async with open_core(settings, under_policy=False) as core:
        yield PauseDesk(core.database, core.audit, core.clock)
