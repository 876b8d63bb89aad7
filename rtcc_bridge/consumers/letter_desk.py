"""What an operator does with dead letters: each act is an entry of the audit log before it is done (P22, P23)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.consumers.dead_letters import DeadLetter
from rtcc_bridge.consumers.letter_box import LetterFilter, LetterPlace, list_dead_letters
from rtcc_bridge.consumers.replay import Replay, replay
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage.engine import Database

_PLACES_TOLD: Final = 100
"""In one entry, which an auditor reads as one line."""


class LetterDesk:
    """Puts letters back on their topics, and opens single ones."""

    def __init__(self, kafka: KafkaSettings, database: Database, audit: AuditLog, clock: Clock, actor: str) -> None:
        self._kafka = kafka
        self._database = database
        self._audit = audit
        self._clock = clock
        self._actor = actor

    async def replay(self, matching: LetterFilter, *, again: bool = False, unverified: bool = False) -> Replay:
        """As `consumers.replay.replay`. Where there is nothing to put back nothing is entered."""

        async def note(letters: Sequence[DeadLetter]) -> None:
            topics = Counter(letter.source_topic for letter in letters)
            places = [str(LetterPlace.of(letter)) for letter in letters[:_PLACES_TOLD]]
            details: dict[str, Any] = {"letters": len(letters), "topics": dict(topics), "places": places}
            details |= {"again": again, "unverified": unverified}
            await self._enter(action="letter.replay", details=details)

        return await replay(self._kafka, matching, self._clock, note, again=again, unverified=unverified)

    async def inspect(self, place: LetterPlace, *, with_value: bool) -> DeadLetter:
        """One letter with its key and headers, which may hold personal data as its value may: a look is entered.

        with_value: whether the value is looked at too. Raises NotFoundError, UnavailableError.
        """
        found = await list_dead_letters(self._kafka, LetterFilter(places=frozenset([place])), limit=1)
        if not found:
            raise NotFoundError(f"there is no dead letter at {place}")
        await self._enter(action="letter.inspect", details={"place": str(place), "value": with_value})
        return found[0]

    async def _enter(self, *, action: str, details: Mapping[str, Any]) -> None:
        async with self._database.write() as tx:
            await self._audit.append(
                tx,
                actor=self._actor,
                action=action,
                subject=f"topic/{self._kafka.topics.dead_letters}",
                outcome="begun",
                authority={},
                details=details,
            )
