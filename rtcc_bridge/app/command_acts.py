"""Enters what a command does outside the database, where no service has a transaction that the entry could share."""

from collections.abc import Mapping
from typing import Any

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.settings import Settings


async def enter_act(core: Core, actor: str, *, action: str, subject: str, details: Mapping[str, Any]) -> None:
    """Before the act, since what cannot be entered is not done (P23). Commits. Raises UnavailableError."""
    async with core.database.write() as tx:
        await core.audit.append(
            tx, actor=actor, action=action, subject=subject, outcome="begun", authority={}, details=details
        )


async def enter_simulation(settings: Settings, actor: str, *, rate: float, events: int | None, exercise: bool) -> None:
    """That made-up incidents and threats are published on the topics of dispatch. Raises as `open_core` does."""
    topics = settings.kafka.topics
    details = {"threats": topics.threats, "eventsPerHour": round(rate * 3600), "events": events, "exercise": exercise}
    async with open_core(settings, under_policy=False) as core:
        await enter_act(core, actor, action="simulation.run", subject=f"topic/{topics.incidents}", details=details)
