"""Wires what an operator may do about topics: pauses, dead letters, and what is altered on the broker."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from rtcc_bridge.app.command_acts import enter_act
from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.broker.topic_check import Difference
from rtcc_bridge.broker.topics import Alterations, apply_differences
from rtcc_bridge.consumers.letter_desk import LetterDesk
from rtcc_bridge.consumers.pauses import PauseDesk
from rtcc_bridge.settings import Settings


@asynccontextmanager
async def open_pause_desk(settings: Settings) -> AsyncIterator[PauseDesk]:
    """Raises as `open_core` does."""
    async with open_core(settings, under_policy=False) as core:
        yield PauseDesk(core.database, core.audit, core.clock)


@asynccontextmanager
async def open_letter_desk(settings: Settings, actor: str) -> AsyncIterator[LetterDesk]:
    """Raises as `open_core` does."""
    async with open_core(settings, under_policy=False) as core:
        yield LetterDesk(settings.kafka, core.database, core.audit, core.clock, actor)


async def alter_topics(settings: Settings, found: Sequence[Difference], actor: str) -> Alterations:
    """As `apply_differences`, with its audit entry; where nothing differs nothing is opened and nothing entered.

    Raises as `open_core` and `apply_differences` do.
    """
    if not found:
        return Alterations((), ())
    details = {
        "changes": [
            {"topic": one.topic, "setting": one.setting, "found": one.found, "wanted": one.wanted} for one in found
        ]
    }
    async with open_core(settings, under_policy=False) as core:
        await enter_act(core, actor, action="topic.alter", subject="topics", details=details)
    return await apply_differences(settings.kafka, found)
