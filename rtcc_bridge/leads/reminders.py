"""Asking for the outcome of a released lead before it ends for want of one (P18)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from rtcc_bridge.audit.entries import SYSTEM, AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.leads.lead import ReviewState
from rtcc_bridge.storage import corroborations
from rtcc_bridge.storage.engine import Database

_AT_ONCE: Final = 100


async def remind_due(database: Database, audit: AuditLog, clock: Clock, hours_before: Sequence[int]) -> int:
    """Notes the reminders that are due, each once; the receivers' list shows them. Commits. Returns how many."""
    reminded = 0
    for hours in hours_before:
        async with database.write() as tx:
            now = clock.now()
            found = await corroborations.to_remind(
                tx, ReviewState.RELEASED, ends_before=now + timedelta(hours=hours), hours_before=hours, limit=_AT_ONCE
            )
            for lead in found:
                if not await corroborations.remind(tx, lead.lead_id, hours, now):
                    continue
                await audit.append(
                    tx,
                    actor=SYSTEM,
                    action="lead.remind",
                    subject=lead.lead_id,
                    outcome="reminded",
                    authority={},
                    details={"hoursBefore": hours},
                )
                reminded += 1
    return reminded
