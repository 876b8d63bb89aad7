"""Wires what judges past searches by another policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rtcc_bridge.app.command_acts import enter_act
from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.probes.policy_replay import PolicyReplay
from rtcc_bridge.settings import Settings


@asynccontextmanager
async def open_policy_replay(settings: Settings, actor: str, old: str, new: str) -> AsyncIterator[PolicyReplay]:
    """What is judged names past searches, so a look is entered (P22). old, new: the hashes of the two policies.

    Raises as `open_core` does.
    """
    async with open_core(settings, under_policy=False) as core:
        await enter_act(core, actor, action="policy.replay", subject=f"policy/{new}", details={"old": old})
        yield PolicyReplay(core.database, core.clock)
