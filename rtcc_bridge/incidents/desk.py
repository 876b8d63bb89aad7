"""The incident desk: applies what dispatch and the alerting systems report, inside the caller's transaction."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import ConflictError
from rtcc_bridge.incidents.board import incident_view
from rtcc_bridge.incidents.incident import IncidentEvent, apply_event, authority_ended
from rtcc_bridge.publishing.outbox import Latency, LatencyMetric, Outbox, OutgoingEvent
from rtcc_bridge.storage import incidents
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.incidents import IncidentRecord

AuthorityEnded: TypeAlias = Callable[[Transaction, str, str], Awaitable[None]]
"""Called with the incident and the reason: ends waiting searches and live leads (P08). Idempotent."""
IncidentMerged: TypeAlias = Callable[[Transaction, str, str], Awaitable[None]]
"""Called with the incident and the one that goes on: moves open probes and leads there. Idempotent."""

FLOOR_INCIDENT = "floor.incident"
FLOOR_THREAT = "floor.threat"


class IncidentDesk:
    """Writes incidents and tells the floor. Reads and writes within `tx`; never commits by itself."""

    def __init__(
        self, outbox: Outbox, clock: Clock, authority_ended: AuthorityEnded, incident_merged: IncidentMerged
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._authority_ended = authority_ended
        self._incident_merged = incident_merged

    async def apply_incident(self, tx: Transaction, event: IncidentEvent, topic: str, since: datetime) -> bool:
        """Applies an event from dispatch; says whether it told anything new.

        topic, since: where and when the record arrived, for the metric `event_to_floor_seconds`.
        Raises InvalidInputError or ConflictError for an event that can never apply, TransientError to be called again.
        """
        known = await incidents.get(tx, event.incident_id, to_change=True)
        incident = apply_event(known, event, self._clock.now())
        if incident is known:
            return False
        await self.write(tx, known, incident)
        await self.announce(tx, incident, FLOOR_INCIDENT, topic, since)
        return True

    async def write(self, tx: Transaction, known: IncidentRecord | None, incident: IncidentRecord) -> None:
        """Stores the new state and lets what hangs on the incident follow: merges, and the end of its authority."""
        if incident.merged_into is not None:
            await _refuse_circle(tx, incident.incident_id, incident.merged_into)
        await incidents.upsert(tx, known, incident)
        goes_on_as = incident
        if incident.merged_into is not None:
            goes_on_as = await incidents.resolve(tx, incident.merged_into) or incident
        if goes_on_as is not incident:
            await self._incident_merged(tx, incident.incident_id, goes_on_as.incident_id)
        if known is not None and not authority_ended(goes_on_as):
            return
        part_of_it = sorted(await incidents.merged_into(tx, (incident.incident_id,)))
        if known is None:
            for earlier in part_of_it:  # a merge may arrive before the incident that it leads to
                await self._incident_merged(tx, earlier, goes_on_as.incident_id)
        if authority_ended(goes_on_as):
            for affected in (incident.incident_id, *part_of_it):
                await self._authority_ended(tx, affected, f"the incident is {goes_on_as.status}")

    async def announce(
        self, tx: Transaction, incident: IncidentRecord, event_type: str, topic: str, since: datetime
    ) -> None:
        """Puts the floor's view of the incident on the feed."""
        view = await incident_view(tx, incident, self._clock.now())
        event = OutgoingEvent(
            event_type=event_type,
            topic=None,
            key=None,
            subject=incident.incident_id,
            data=view,
            on_feed=True,
            urgent=view["imminent"],
            latency=Latency(LatencyMetric.EVENT_TO_FLOOR, topic, since),
        )
        await self._outbox.put(tx, event)


async def _refuse_circle(tx: Transaction, incident_id: str, target: str) -> None:
    """Raises ConflictError when the target is itself part of this incident."""
    if target in await incidents.merged_into(tx, (incident_id,)):
        raise ConflictError("the incident that goes on was itself merged into this one")
