"""What the handlers of the two input topics share: batches of events, each with its effect once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.consumers.cloud_events import parse, sha256_of
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import InvalidInputError, RejectedError
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import input_events
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.input_events import Identity, InputEvent
from rtcc_bridge.telemetry.tracing import Facts, RecordSpans

EventT = TypeVar("EventT")


@dataclass(frozen=True, slots=True)
class _Item(Generic[EventT]):
    """A record that could be read: its place in the batch, the note of its event, and the event."""

    place: int
    note: InputEvent
    arrival: Arrival[EventT]


class InputHandler(ABC, Generic[EventT]):
    """One batch: one transaction with the notes of its events, what they change and what goes to the floor.

    But where an event bears the identity of an earlier one of its batch and says something else, another transaction
    begins with it: whether it counts hangs on what became of the earlier one, and one transaction locks incidents once,
    since two that lock them in several steps may wait for each other.
    """

    most_at_once = 10_000
    """As `kafka.window` at most: a batch of incidents costs a few statements, however many they are."""
    span_name: str
    """Of the span that each event has."""

    def __init__(self, database: Database, clock: Clock, kafka: KafkaSettings) -> None:
        self._database = database
        self._clock = clock
        self._kafka = kafka

    async def handle_batch(self, records: Sequence[ConsumedRecord]) -> list[RejectedError | None]:
        """As `BatchHandler` says. Raises TransientError when the batch has to be handled again.

        What cannot be read is refused before the transaction begins, so a flood of it holds no lock.
        """
        outcomes: list[RejectedError | None] = [None] * len(records)
        items: list[_Item[EventT]] = []
        with RecordSpans(self.span_name) as spans:
            for place, record in enumerate(records):
                try:
                    items.append(self._read(place, record, spans))
                except RejectedError as refusal:
                    outcomes[place] = refusal
            while items:
                together = _without_contradiction(items)
                async with self._database.write() as tx:
                    await self._handle(tx, together, outcomes)
                items = items[len(together) :]
            for place, outcome in enumerate(outcomes):
                if outcome is not None:
                    spans.refused(place, outcome)
        return outcomes

    @abstractmethod
    def _translate(self, event: CloudEvent) -> EventT:
        """The checked event. Raises InvalidInputError."""

    @abstractmethod
    def _incident_of(self, event: EventT) -> str | None:
        """The incident that it tells of, for its span; None when it names none."""

    @abstractmethod
    async def _apply(self, tx: Transaction, arrivals: Sequence[Arrival[EventT]]) -> Sequence[RejectedError | None]:
        """Applies events in their order; for each, why it can never apply, or None."""

    def _read(self, place: int, record: ConsumedRecord, spans: RecordSpans) -> _Item[EventT]:
        event = parse(record, max_bytes=self._kafka.max_record_bytes)
        note = InputEvent(event.source, event.id, record.topic, sha256_of(event), self._clock.now())
        translated = self._translate(event)
        facts: Facts = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        if (incident_id := self._incident_of(translated)) is not None:
            facts["incident_id"] = incident_id
        traceparent = spans.begin(place, event.traceparent, facts)
        return _Item(place, note, Arrival(translated, record.topic, record.timestamp, traceparent))

    async def _handle(
        self, tx: Transaction, items: Sequence[_Item[EventT]], outcomes: list[RejectedError | None]
    ) -> None:
        """Applies the events that had no effect yet; a repetition gets the answer of the first.

        One that is refused is not noted: it may be sent again.
        """
        first: dict[Identity, _Item[EventT]] = {}
        for item in items:
            first.setdefault(item.note.identity, item)
        noted = await input_events.noted(tx, list(first))
        fresh = {identity: item for identity, item in first.items() if identity not in noted}
        refused: dict[Identity, RejectedError] = {}
        if fresh:
            answers = await self._apply(tx, [item.arrival for item in fresh.values()])
            refused = {identity: answer for identity, answer in zip(fresh, answers, strict=True) if answer is not None}
            await input_events.note(tx, [item.note for identity, item in fresh.items() if identity not in refused])
        for item in items:
            identity = item.note.identity
            if identity in refused:
                outcomes[item.place] = refused[identity]
            elif noted.get(identity) not in {None, item.note.value_sha256}:
                message = "an earlier event of this source and id said something else: give each event its own id"
                outcomes[item.place] = InvalidInputError(message, "identity_reused")


def _without_contradiction(items: Sequence[_Item[EventT]]) -> Sequence[_Item[EventT]]:
    """The items up to the first that says something else than an earlier one of the same identity."""
    said: dict[Identity, str] = {}
    for place, item in enumerate(items):
        if said.setdefault(item.note.identity, item.note.value_sha256) != item.note.value_sha256:
            return items[:place]
    return items
