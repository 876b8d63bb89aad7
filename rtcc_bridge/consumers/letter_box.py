"""Reads the topic of dead letters: which there are, which were replayed, and how many of what kind.

That a letter was replayed is told by a mark on the same topic: a record without a value and with two headers,
`dlq-replayed` (the letter's place) and `dlq-replayed-at`. So it goes with the letters when their retention ends.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from rtcc_bridge.broker.reading import read_to_end
from rtcc_bridge.consumers.dead_letters import PREFIX, DeadLetter, natural_number, read_letter
from rtcc_bridge.settings import KafkaSettings

MARK: Final = f"{PREFIX}replayed"
MARKED_AT: Final = f"{PREFIX}replayed-at"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class LetterPlace:
    """Where a letter lies on the dead-letter topic."""

    partition: int
    offset: int

    @classmethod
    def of(cls, letter: DeadLetter) -> "LetterPlace":
        return cls(letter.partition, letter.offset)

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant; what is None does not matter. since and until: when the record last failed."""

    source_topic: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    replayed: bool | None = None
    places: frozenset[LetterPlace] | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is meant."""
        at = failed_at(letter)
        return (
            self.source_topic in {None, letter.source_topic}
            and self.reason in {None, letter.provenance.get("reason")}
            and (self.places is None or LetterPlace.of(letter) in self.places)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and self.replayed in {None, letter.replayed_at is not None}
        )


EVERY: Final = LetterFilter()


@dataclass(frozen=True, slots=True)
class LetterCount:
    """Letters from one topic for one reason. oldest, newest: when a record of them last failed (RFC 3339)."""

    source_topic: str
    reason: str
    letters: int
    replayed: int
    oldest: str
    newest: str


def failed_at(letter: DeadLetter) -> datetime:
    """When the record last failed; long ago where the letter does not say so, since anybody may have written it."""
    try:
        moment = datetime.fromisoformat(letter.provenance.get("last-failure", ""))
    except ValueError:
        return _LONG_AGO
    return moment if moment.tzinfo is not None else _LONG_AGO


async def list_dead_letters(
    kafka: KafkaSettings, matching: LetterFilter = EVERY, *, limit: int = 100, with_values: bool = True
) -> list[DeadLetter]:
    """The newest letters that are meant, at most `limit`, the newest last.

    Reads the whole topic and keeps only those; without their values, which may be large, where nobody needs them.
    Raises UnavailableError when the broker does not answer.
    """
    marks: dict[LetterPlace, str] = {}
    newest: list[DeadLetter] = []
    unmarked = replace(matching, replayed=None)
    async for letter in read_letters(kafka, marks):
        if unmarked.takes(letter):
            newest.append(letter if with_values else replace(letter, value=None))
            if len(newest) > 2 * limit and matching.replayed is None:
                newest = _in_order(newest)[-limit:]
    found = [replace(letter, replayed_at=marks.get(LetterPlace.of(letter))) for letter in _in_order(newest)]
    return [letter for letter in found if matching.takes(letter)][-limit:]


async def count_dead_letters(kafka: KafkaSettings, matching: LetterFilter = EVERY) -> list[LetterCount]:
    """How many letters there are, by source topic and reason. Raises UnavailableError."""
    marks: dict[LetterPlace, str] = {}
    found: dict[tuple[str, str], list[tuple[LetterPlace, str]]] = {}
    async for letter in read_letters(kafka, marks):
        if replace(matching, replayed=None).takes(letter):
            kind = (letter.source_topic, letter.provenance.get("reason", ""))
            place = (LetterPlace.of(letter), letter.provenance.get("last-failure", ""))
            found.setdefault(kind, []).append(place)
    return [_count(kind, places, marks) for kind, places in sorted(found.items())]


def _count(
    kind: tuple[str, str], places: list[tuple[LetterPlace, str]], marks: Mapping[LetterPlace, str]
) -> LetterCount:
    moments = sorted(moment for _, moment in places)
    replayed = Counter(place in marks for place, _ in places)[True]
    return LetterCount(*kind, len(places), replayed, moments[0], moments[-1])


def _in_order(letters: list[DeadLetter]) -> list[DeadLetter]:
    return sorted(letters, key=lambda letter: (failed_at(letter), letter.partition, letter.offset))


async def read_letters(kafka: KafkaSettings, marks: dict[LetterPlace, str]) -> AsyncIterator[DeadLetter]:
    """Every letter that is on the topic now; the marks are put into `marks` as they come. Raises UnavailableError."""
    async for record in read_to_end(kafka, kafka.topics.dead_letters):
        letter = read_letter(record.partition, record.offset, record.key, record.value, record.headers)
        place = letter.provenance.get("replayed")
        if place is None:
            yield letter
        elif (marked := _place(place)) is not None:
            marks[marked] = letter.provenance.get("replayed-at", "")


def _place(text: str) -> LetterPlace | None:
    first, _, second = text.partition(":")
    partition, offset = natural_number(first), natural_number(second)
    return None if partition is None or offset is None else LetterPlace(partition, offset)
