"""The incident desk: applies what dispatch and the alerting systems report, inside the caller's transaction."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import ConflictError, RejectedError
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.board import floor_view
from rtcc_bridge.incidents.changes import Changes
from rtcc_bridge.incidents.incident import IncidentEvent, apply_event, authority_ended
from rtcc_bridge.incidents.present import present_for
from rtcc_bridge.publishing.outbox import Latency, LatencyMetric, Outbox, OutgoingEvent
from rtcc_bridge.storage import incidents, threats
from rtcc_bridge.storage.engine import Transaction, savepoint
from rtcc_bridge.storage.incidents import IncidentRecord

AuthorityEnded: TypeAlias = Callable[[Transaction, str, str], Awaitable[None]]
"""Called with the incident and the reason: ends waiting searches and live leads (P08). Idempotent."""
IncidentMerged: TypeAlias = Callable[[Transaction, str, str], Awaitable[None]]
"""Called with the incident and the one that it goes on as, itself when a merge was taken back: moves probes and live
leads there, those that came from it and lie elsewhere as well. Idempotent."""
IncidentChanges: TypeAlias = Changes[IncidentRecord]

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

    async def apply_incidents(
        self, tx: Transaction, arrivals: Sequence[Arrival[IncidentEvent]]
    ) -> list[RejectedError | None]:
        """Applies events from dispatch in their order, with few statements for many of them.

        Returns for each the InvalidInputError or ConflictError that says why it can never apply, or None. Raises
        TransientError to be called again, in a transaction of its own.
        """
        named = {incident_id for each in arrivals for incident_id in each.event.named}
        changes = await self.lock(tx, named)
        outcomes: list[RejectedError | None] = []
        told: list[tuple[IncidentRecord, Arrival[IncidentEvent]]] = []
        for arrival in arrivals:
            try:
                incident = await self._apply(tx, changes, arrival)
            except RejectedError as refusal:
                outcomes.append(refusal)
                continue
            outcomes.append(None)
            if incident is not None:
                told.append((incident, arrival))
        await self.save(tx, changes)
        await self.announce(tx, FLOOR_INCIDENT, told)
        return outcomes

    async def lock(self, tx: Transaction, incident_ids: Collection[str]) -> IncidentChanges:
        """Those of these incidents that are stored, and what they are merged into, kept from others until the end.

        Take all that a batch may change at once.
        """
        locked = await incidents.lock_all(tx, incident_ids)
        return IncidentChanges({incident.incident_id: incident for incident in locked})

    async def change(self, tx: Transaction, changes: IncidentChanges, incident: IncidentRecord) -> None:
        """Puts the new state to the changes; what hangs on the incident follows now, or when they are saved.

        Raises ConflictError for a merge in a circle; the incident is as it was then.
        """
        known = changes.get(incident.incident_id)
        if incident.merged_into is None and not authority_ended(incident) and not _leaves(known, incident):
            changes.put(incident.incident_id, incident)
            return
        # What hangs on it, and on the incidents that it is merged with, has to see what was told before.
        await self.save(tx, changes)
        async with savepoint(tx):
            await self._write(tx, known, incident)
        changes.put(incident.incident_id, incident)
        changes.saved()

    async def save(self, tx: Transaction, changes: IncidentChanges) -> None:
        """Stores the changed incidents; merges that arrived before the incident that they lead to take effect."""
        await incidents.change_all(tx, changes.of_stored)
        if added := changes.of_new:
            await incidents.add_all(tx, added)
            waiting = await incidents.merged_into(tx, [incident.incident_id for incident in added])
            for earlier, goes_on_as in sorted(waiting.items()):
                await self._incident_merged(tx, earlier, goes_on_as)
        changes.saved()

    async def announce(
        self, tx: Transaction, event_type: str, told: Sequence[tuple[IncidentRecord, Arrival[Any]]]
    ) -> None:
        """Puts the floor's view of the incidents on the feed, with what told of each."""
        now = self._clock.now()
        threatened = await threats.of_incidents(tx, {incident.incident_id for incident, _ in told})
        views = [floor_view(incident, threatened[incident.incident_id], now) for incident, _ in told]
        events = [
            OutgoingEvent(
                event_type=event_type,
                topic=None,
                key=None,
                subject=incident.incident_id,
                data=view,
                on_feed=True,
                urgent=view["imminent"],
                latency=Latency(LatencyMetric.EVENT_TO_FLOOR, arrival.topic, arrival.since),
                traceparent=arrival.traceparent,
            )
            for (incident, arrival), view in zip(told, views, strict=True)
        ]
        await self._outbox.put_all(tx, events)

    async def _apply(
        self, tx: Transaction, changes: IncidentChanges, arrival: Arrival[IncidentEvent]
    ) -> IncidentRecord | None:
        """The incident after the event; None when that told nothing new. Raises RejectedError."""
        known = changes.get(arrival.event.incident_id)
        incident = apply_event(known, arrival.event, await present_for(tx, self._clock, arrival.event.at))
        if incident is known:
            return None
        if arrival.traceparent is not None:
            incident = replace(incident, traceparent=arrival.traceparent)
        await self.change(tx, changes, incident)
        return incident

    async def _write(self, tx: Transaction, known: IncidentRecord | None, incident: IncidentRecord) -> None:
        """Stores a new state that merges the incident, parts it or ends its authority; what hangs on it follows."""
        if incident.merged_into is not None:
            # Who ends the incident that goes on either does so before, and is seen here, or waits, and sees this merge.
            await incidents.lock_all(tx, (incident.incident_id, incident.merged_into))
            await _refuse_circle(tx, incident.incident_id, incident.merged_into)
        await incidents.upsert(tx, known, incident)
        goes_on_as = incident
        if incident.merged_into is not None:
            goes_on_as = await incidents.resolve(tx, incident.merged_into) or incident
        if _leaves(known, incident):
            # What came from it, and from what is part of it, goes along; what was attached to the other one stays.
            for part in (incident.incident_id, *sorted(await incidents.merged_into(tx, (incident.incident_id,)))):
                await self._incident_merged(tx, part, goes_on_as.incident_id)
        elif goes_on_as is not incident:
            await self._incident_merged(tx, incident.incident_id, goes_on_as.incident_id)
        if known is not None and not authority_ended(goes_on_as):
            return
        part_of_it = sorted(await incidents.merged_into(tx, (incident.incident_id,)))
        if known is None:
            for earlier in part_of_it:  # a merge may arrive before the incident that it leads to
                await self._incident_merged(tx, earlier, goes_on_as.incident_id)
        if authority_ended(goes_on_as):
            # What hung on this incident was moved, above or by an earlier merge, to the one that it goes on as.
            for affected in dict.fromkeys((goes_on_as.incident_id, incident.incident_id, *part_of_it)):
                await self._authority_ended(tx, affected, f"the incident is {goes_on_as.status}")


def _leaves(known: IncidentRecord | None, incident: IncidentRecord) -> bool:
    """Whether the incident is not part of the one any more that it was merged into."""
    return known is not None and known.merged_into is not None and known.merged_into != incident.merged_into


async def _refuse_circle(tx: Transaction, incident_id: str, target: str) -> None:
    """Raises ConflictError when the target is itself part of this incident."""
    if target in await incidents.merged_into(tx, (incident_id,)):
        raise ConflictError("the incident that goes on was itself merged into this one")
