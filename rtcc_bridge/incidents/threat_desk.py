"""The threat desk: applies alerts, updates and cancels, and the incidents that they name or open."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import RejectedError, TransientError
from rtcc_bridge.incidents import threat
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.desk import FLOOR_THREAT, IncidentChanges, IncidentDesk
from rtcc_bridge.incidents.incident import THREAT_TYPE, UNKNOWN_TYPE, Status, is_placeholder, placeholder, with_status
from rtcc_bridge.incidents.present import present_for
from rtcc_bridge.incidents.threat import NOT_FOR_PEOPLE, MessageType, ThreatEvent, ThreatState
from rtcc_bridge.incidents.threat_book import ThreatBook
from rtcc_bridge.storage import threats
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.incidents import IncidentRecord, way
from rtcc_bridge.storage.threats import ThreadMessage


@dataclass(frozen=True, slots=True)
class _Work:
    """What a batch reads and changes, and what the floor is still to be told of it."""

    book: ThreatBook
    incidents: IncidentChanges
    told: list[tuple[IncidentRecord, Arrival[ThreatEvent]]] = field(default_factory=list)

    def hangs_together(self, incident_ids: Iterable[str]) -> bool:
        """Whether one of these is, or was merged with, an incident that is still to be told of."""
        told = set().union(*(_way(self.incidents, incident.incident_id) for incident, _ in self.told))
        return any(not told.isdisjoint(_way(self.incidents, incident_id)) for incident_id in incident_ids)


class ThreatDesk:
    """Writes threats. Reads and writes within the caller's transaction; never commits by itself."""

    def __init__(
        self, incident_desk: IncidentDesk, clock: Clock, imminent_senders: Callable[[], Collection[str]]
    ) -> None:
        """imminent_senders: whom the policy in force trusts with an imminent threat (P14)."""
        self._incidents = incident_desk
        self._clock = clock
        self._imminent_senders = imminent_senders

    async def apply_threats(
        self, tx: Transaction, arrivals: Sequence[Arrival[ThreatEvent]]
    ) -> list[RejectedError | None]:
        """Applies messages in their order, while no other transaction does, with few statements for many of them.

        System messages and drafts tell nothing. Returns for each the InvalidInputError or ConflictError that says why
        it can never apply, or None. Raises TransientError to be called again, in a transaction of its own.
        """
        await threats.wait_for_turn(tx)
        events = [arrival.event for arrival in arrivals]
        book = await ThreatBook.open(tx, [(event.identifier, frozenset(event.references)) for event in events])
        work = _Work(book, await self._incidents.lock(tx, _may_touch(book, events)))
        outcomes: list[RejectedError | None] = []
        for arrival in arrivals:
            try:
                await self._apply(tx, work, arrival)
            except RejectedError as refusal:
                outcomes.append(refusal)
            else:
                outcomes.append(None)
        await self._tell(tx, work)
        return outcomes

    async def _apply(self, tx: Transaction, work: _Work, arrival: Arrival[ThreatEvent]) -> None:
        """Raises RejectedError before it has changed anything."""
        event, book = arrival.event, work.book
        if event.status in NOT_FOR_PEOPLE:
            return
        now = await present_for(tx, self._clock, event.sent)
        before = book.get(event.identifier)
        known = None if before is None else before.record
        threat.check(event, known, now)
        if known is not None and not threat.is_newer(event, known):
            return
        if work.told and work.hangs_together(_may_touch(book, (event,))):
            await self._tell(tx, work)  # each message is told with what is in force after it
        incident_ids = _incidents_of(book, event)
        record = threat.to_record(event, known, incident_ids[0], self._imminent_senders(), now)
        book.put(ThreadMessage(record, frozenset(event.references), frozenset(incident_ids)))
        touched = set(incident_ids)
        left = () if before is None else before.references
        for message in book.settle((event.identifier, *left), now):
            touched |= message.incident_ids
        if before is not None:
            touched |= before.incident_ids  # those that it no longer names are rid of it
        self._open_missing(work, event, incident_ids, now)
        touched |= await self._merge_own_incidents(tx, work, event, incident_ids, now)
        touched |= await self._follow_with_own_incidents(tx, work, touched, now)
        for incident in work.incidents.get_all(sorted(touched)):
            if arrival.traceparent is not None:
                work.incidents.put(incident.incident_id, replace(incident, traceparent=arrival.traceparent))
            work.told.append((incident, arrival))

    def _open_missing(self, work: _Work, event: ThreatEvent, incident_ids: Collection[str], now: datetime) -> None:
        """Opens the incidents that dispatch has not reported yet. A cancel opens nothing."""
        if event.message_type is MessageType.CANCEL:
            return
        for incident_id in incident_ids:
            if work.incidents.get(incident_id) is None:
                kind = THREAT_TYPE if threat.is_own_incident_id(incident_id) else UNKNOWN_TYPE
                opened = placeholder(incident_id, kind, exercise=event.exercise, at=event.sent, now=now)
                work.incidents.put(incident_id, opened)

    async def _merge_own_incidents(
        self, tx: Transaction, work: _Work, event: ThreatEvent, incident_ids: Collection[str], now: datetime
    ) -> set[str]:
        """An incident that this thread had opened by itself goes on as the one that a later message belongs to.

        A cancel does not say that two threads are about the same: it merges only into what it names itself.
        """
        belongs_to = event.incident_ids if event.message_type is MessageType.CANCEL else incident_ids
        later = [name for message in work.book.that_speak_of(event.identifier) for name in sorted(message.incident_ids)]
        stored = work.incidents.get_all((*belongs_to, *later))
        named = next((each.incident_id for each in stored if not threat.is_own_incident_id(each.incident_id)), None)
        if named is None:
            return set()
        merged: set[str] = set()
        for own in sorted(map(threat.own_incident_id, work.book.connected((event.identifier,)))):
            incident = work.incidents.get(own)
            if incident is None or not is_placeholder(incident) or incident.merged_into is not None:
                continue
            if own not in _way(work.incidents, named):  # else they are one already
                await self._change(tx, work, with_status(incident, Status.MERGED, now, merged_into=named))
                merged.add(own)
        return merged

    async def _follow_with_own_incidents(
        self, tx: Transaction, work: _Work, touched: Collection[str], now: datetime
    ) -> set[str]:
        """An incident that exists only for its threats, also on what it took in, ends with the last and reopens."""
        changed: set[str] = set()
        ways = {name for incident_id in touched for name in _way(work.incidents, incident_id)}
        for incident in work.incidents.get_all(sorted(filter(threat.is_own_incident_id, ways))):
            if is_placeholder(incident) and incident.merged_into is None:
                goes_on = await self._is_threatened(tx, work.book, incident.incident_id)
                status = Status.OPEN if goes_on else Status.CANCELLED
                if incident.status != status:
                    await self._change(tx, work, with_status(incident, status, now))
                    changed.add(incident.incident_id)
        return changed

    async def _is_threatened(self, tx: Transaction, book: ThreatBook, incident_id: str) -> bool:
        """Whether any message is active on the incident: one that is in the book, or one that is not."""
        if any(message.record.state == ThreatState.ACTIVE for message in book.of_incident(incident_id)):
            return True
        await book.save(tx)
        return bool(await threats.of_incident(tx, incident_id))

    async def _change(self, tx: Transaction, work: _Work, incident: IncidentRecord) -> None:
        """Changes what other things hang on, which look at the threats in the database."""
        await work.book.save(tx)
        try:
            await self._incidents.change(tx, work.incidents, incident)
        except RejectedError as refusal:  # the message is in the book already, and to blame is another transaction
            raise TransientError(f"incidents were merged by another transaction: {refusal}") from refusal

    async def _tell(self, tx: Transaction, work: _Work) -> None:
        """Stores everything so far and tells the floor of it."""
        await work.book.save(tx)
        await self._incidents.save(tx, work.incidents)
        await self._incidents.announce(tx, FLOOR_THREAT, work.told)
        work.told.clear()


def _incidents_of(book: ThreatBook, event: ThreatEvent) -> Sequence[str]:
    """The incidents that the message names, else those of the messages that it speaks about, else its own."""
    if event.incident_ids:
        return event.incident_ids
    inherited: set[str] = set().union(*(message.incident_ids for message in book.get_all(event.references)))
    first = event.references[0] if event.references else event.identifier
    return sorted(inherited) or [threat.own_incident_id(first)]


def _may_touch(book: ThreatBook, events: Iterable[ThreatEvent]) -> set[str]:
    """Every incident that the messages may change, or tell of: those of all messages that they are connected with."""
    events = list(events)
    names = book.connected(name for event in events for name in (event.identifier, *event.references))
    touched = {incident_id for event in events for incident_id in event.incident_ids}
    touched.update(map(threat.own_incident_id, names))
    return touched.union(*(message.incident_ids for message in book.get_all(names)))


def _way(incidents: IncidentChanges, incident_id: str) -> set[str]:
    """The incident and those that it became part of."""

    def merged_into(name: str) -> str | None:
        incident = incidents.get(name)
        return None if incident is None else incident.merged_into

    return way(incident_id, merged_into)
