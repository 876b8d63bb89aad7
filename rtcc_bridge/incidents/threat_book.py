"""The threads of a batch of messages in memory, so that many are settled with few statements."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.incidents.changes import Changes
from rtcc_bridge.incidents.threat import thread_states
from rtcc_bridge.storage import threats
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.threats import LARGEST_THREAD, ThreadMessage

Coming: TypeAlias = tuple[str, frozenset[str]]
"""A message that comes: its identifier, and the earlier messages that it speaks about."""


class ThreatBook:
    """Messages with their threads: what is stored, and what a batch makes of it.

    Open one after `storage.threats.wait_for_turn`, so that nobody else changes them, and save it before anything reads
    threats from the database.
    """

    def __init__(self, stored: Iterable[ThreadMessage], too_large: Collection[Coming] = ()) -> None:
        """too_large: messages to come that would join far more messages than a thread may have, which were not read."""
        self._messages = Changes({message.record.identifier: message for message in stored})
        self._too_large = frozenset(too_large)
        self._speaks_of: dict[str, frozenset[str]] = {}
        self._spoken_of_by: defaultdict[str, set[str]] = defaultdict(set)
        for message in self._messages:
            self._link(message.record.identifier, message.references)

    @classmethod
    async def open(cls, tx: Transaction, coming: Sequence[Coming]) -> "ThreatBook":
        """The threads of messages that are about to come, also those that an older version of one belongs to."""
        starts = [{identifier, *references} for identifier, references in coming]
        # A newer version may leave one whole thread for another, so what it may join comes to twice the limit at most.
        threads = await threats.names_of_threads(tx, starts, most=2 * LARGEST_THREAD)
        too_large = [each for each, names in zip(coming, threads, strict=True) if names is None]
        names = {name for thread in threads for name in thread or ()}
        return cls(await threats.get_all(tx, names.union(identifier for identifier, _ in coming)), too_large)

    def get(self, identifier: str) -> ThreadMessage | None:
        return self._messages.get(identifier)

    def get_all(self, identifiers: Iterable[str]) -> list[ThreadMessage]:
        """Those of these messages that are known."""
        return self._messages.get_all(identifiers)

    def of_incident(self, incident_id: str) -> list[ThreadMessage]:
        """Those of the known messages that belong to the incident."""
        return [message for message in self._messages if incident_id in message.incident_ids]

    def that_speak_of(self, identifier: str) -> list[ThreadMessage]:
        """The known messages that reference this one, the earliest first."""
        speakers = self._messages.get_all(self._spoken_of_by.get(identifier, ()))
        return sorted(speakers, key=lambda message: (message.record.sent_at, message.record.identifier))

    def connected(self, identifiers: Iterable[str]) -> set[str]:
        """The messages that are connected with these by speaking about each other, and all they speak about."""
        names: set[str] = set()
        pending = list(identifiers)
        while pending:
            name = pending.pop()
            if name not in names:
                names.add(name)
                pending.extend(self._speaks_of.get(name, ()))
                pending.extend(self._spoken_of_by.get(name, ()))
        return names

    def put(self, message: ThreadMessage) -> None:
        """Adds the message, or this version of it in place of an older one.

        Raises InvalidInputError (`thread_too_large`) and changes nothing when its thread would have more than
        `LARGEST_THREAD` messages, also counting those that are only spoken about.
        """
        identifier = message.record.identifier
        before = self._speaks_of.get(identifier, frozenset())
        self._link(identifier, message.references)
        too_large = (identifier, message.references) in self._too_large
        if too_large or len(self.connected((identifier,))) > LARGEST_THREAD:
            self._link(identifier, before)
            raise InvalidInputError(f"the thread has more than {LARGEST_THREAD} messages", "thread_too_large")
        self._messages.put(identifier, message)

    def settle(self, identifiers: Iterable[str], now: datetime) -> list[ThreadMessage]:
        """Gives each message that is connected with these the state that it has by now; returns those that had not."""
        connected = self._messages.get_all(self.connected(identifiers))
        states = thread_states(connected)
        changed = [message for message in connected if message.record.state != states[message.record.identifier]]
        for message in changed:
            name = message.record.identifier
            record = replace(message.record, state=states[name].value, updated_at=now)
            self._messages.put(name, replace(message, record=record))
        return changed

    async def save(self, tx: Transaction) -> None:
        """Stores what changed. Raises TransientError when another transaction created one of the messages meanwhile."""
        await threats.change_all(tx, self._messages.of_stored)
        await threats.add_all(tx, self._messages.of_new)
        self._messages.saved()

    def _link(self, identifier: str, references: frozenset[str]) -> None:
        for name in self._speaks_of.get(identifier, ()):
            self._spoken_of_by[name].discard(identifier)
        self._speaks_of[identifier] = references
        for name in references:
            self._spoken_of_by[name].add(identifier)
