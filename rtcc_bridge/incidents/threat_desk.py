"""The threat desk: applies alerts, updates and cancels, and the incidents that they name or open."""

from collections.abc import Collection, Sequence
from datetime import datetime

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import InvalidInputError, RejectedError
from rtcc_bridge.incidents import threat
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.desk import FLOOR_THREAT, IncidentDesk
from rtcc_bridge.incidents.incident import THREAT_TYPE, UNKNOWN_TYPE, Status, is_placeholder, placeholder, with_status
from rtcc_bridge.incidents.threat import NOT_FOR_PEOPLE, MessageType, ThreatEvent, ThreatState
from rtcc_bridge.storage import incidents, threats
from rtcc_bridge.storage.engine import Transaction, savepoint
from rtcc_bridge.storage.threats import ThreadMessage


class ThreatDesk:
    """Writes threats. Reads and writes within the caller's transaction; never commits by itself."""

    def __init__(self, incident_desk: IncidentDesk, clock: Clock, imminent_senders: Collection[str]) -> None:
        self._incidents = incident_desk
        self._clock = clock
        self._imminent_senders = frozenset(imminent_senders)

    async def apply_threats(
        self, tx: Transaction, arrivals: Sequence[Arrival[ThreatEvent]]
    ) -> list[RejectedError | None]:
        """Applies messages in their order, while no other transaction does. System messages and drafts tell nothing.

        Returns for each the InvalidInputError or ConflictError that says why it can never apply, or None. Raises
        TransientError to be called again, in a transaction of its own.
        """
        await threats.wait_for_turn(tx)
        await self._lock_incidents(tx, [arrival.event for arrival in arrivals])
        outcomes: list[RejectedError | None] = []
        for arrival in arrivals:
            try:
                async with savepoint(tx):
                    await self._apply(tx, arrival)
            except RejectedError as refusal:
                outcomes.append(refusal)
            else:
                outcomes.append(None)
        return outcomes

    async def _lock_incidents(self, tx: Transaction, events: Collection[ThreatEvent]) -> None:
        """Keeps every incident that the messages may touch from being changed, or told of, by others: all at once.

        That keeps the one order of locks. Those of a thread that is too large are left out: it is refused below.
        """
        touched: set[str] = set()
        for event in events:
            try:
                names = await threats.names_of_thread(tx, {event.identifier, *event.references})
            except InvalidInputError:
                continue
            touched |= {*event.incident_ids, *map(threat.own_incident_id, names), *await _linked(tx, names)}
        await incidents.lock_all(tx, touched)

    async def _apply(self, tx: Transaction, arrival: Arrival[ThreatEvent]) -> None:
        event = arrival.event
        if event.status in NOT_FOR_PEOPLE:
            return
        now = self._clock.now()
        known = await threats.get(tx, event.identifier)
        threat.check(event, known, now)
        if known is not None and not threat.is_newer(event, known):
            return
        incident_ids = await self._incidents_of(tx, event)
        record = threat.to_record(event, known, incident_ids[0], self._imminent_senders, now)
        await threats.upsert(tx, known, record, incident_ids, event.references)
        thread = await threats.thread(tx, event.identifier)
        changed = await self._settle(tx, thread, now)
        touched = {*incident_ids, *await _linked(tx, changed)}
        await self._open_missing(tx, event, incident_ids, now)
        touched |= await self._merge_own_incidents(tx, event, thread, now)
        await self._follow_with_own_incidents(tx, touched, thread, now)
        told = [(incident, arrival) for incident in await incidents.get_all(tx, touched)]
        await self._incidents.announce(tx, FLOOR_THREAT, told)

    async def _incidents_of(self, tx: Transaction, event: ThreatEvent) -> Sequence[str]:
        """The incidents that the message names, else those of the messages that it speaks about, else its own."""
        if event.incident_ids:
            return event.incident_ids
        earlier = await threats.incidents_of(tx, event.references)
        inherited = sorted({incident_id for ids in earlier.values() for incident_id in ids})
        first = event.references[0] if event.references else event.identifier
        return inherited or [threat.own_incident_id(first)]

    async def _settle(self, tx: Transaction, thread: Collection[ThreadMessage], now: datetime) -> list[str]:
        """Writes the states of the thread's messages and names those that changed."""
        before = {message.record.identifier: message.record.state for message in thread}
        after = threat.thread_states(thread)
        changed = [identifier for identifier, state in after.items() if state != before[identifier]]
        for identifier in changed:
            await threats.set_state(tx, identifier, after[identifier].value, now)
        return changed

    async def _open_missing(
        self, tx: Transaction, event: ThreatEvent, incident_ids: Collection[str], now: datetime
    ) -> None:
        """Opens the incidents that dispatch has not reported yet. A cancel opens nothing."""
        if event.message_type is MessageType.CANCEL:
            return
        for incident_id in incident_ids:
            if await incidents.get(tx, incident_id, to_change=True) is None:
                kind = THREAT_TYPE if threat.is_own_incident_id(incident_id) else UNKNOWN_TYPE
                opened = placeholder(incident_id, kind, exercise=event.exercise, at=event.sent, now=now)
                await self._incidents.write(tx, None, opened)

    async def _merge_own_incidents(
        self, tx: Transaction, event: ThreatEvent, thread: Collection[ThreadMessage], now: datetime
    ) -> set[str]:
        """An incident that this thread had opened by itself goes on as the one that a message now names."""
        named = next((name for name in event.incident_ids if not threat.is_own_incident_id(name)), None)
        if named is None or await incidents.get(tx, named) is None:
            return set()
        merged: set[str] = set()
        for own in {threat.own_incident_id(name) for message in thread for name in _names(message)}:
            incident = await incidents.get(tx, own, to_change=True)
            if incident is not None and is_placeholder(incident) and incident.merged_into is None:
                await self._incidents.write(tx, incident, with_status(incident, Status.MERGED, now, merged_into=named))
                merged.add(own)
        return merged

    async def _follow_with_own_incidents(
        self, tx: Transaction, incident_ids: Collection[str], thread: Collection[ThreadMessage], now: datetime
    ) -> None:
        """An incident that exists only for its threat ends when that is cancelled, and reopens with a later message."""
        goes_on = any(state is ThreatState.ACTIVE for state in threat.thread_states(thread).values())
        status = Status.OPEN if goes_on else Status.CANCELLED
        for incident_id in incident_ids:
            if not threat.is_own_incident_id(incident_id):
                continue
            incident = await incidents.get(tx, incident_id, to_change=True)
            if incident is None or not is_placeholder(incident) or incident.merged_into is not None:
                continue
            if incident.status != status:
                await self._incidents.write(tx, incident, with_status(incident, status, now))


def _names(message: ThreadMessage) -> set[str]:
    return {message.record.identifier, *message.references}


async def _linked(tx: Transaction, identifiers: Collection[str]) -> set[str]:
    by_message = await threats.incidents_of(tx, identifiers)
    return {incident_id for ids in by_message.values() for incident_id in ids}
