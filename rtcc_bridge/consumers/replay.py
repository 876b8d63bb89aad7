"""Lists dead letters and puts them back on the topic that they came from: what the command line offers.

A replayed record carries its original key, value and headers, on its original partition, and two headers more:
`replay-of` (the letter's own partition and offset) and `replayed-at`. A replay of something old does no harm: an
incident's or a threat's newest state wins by the sender's time, and an event that had its effect has none again.
"""

from collections import deque
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Final

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.reading import read_to_end
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.consumers.dead_letters import DeadLetter, read_letter
from rtcc_bridge.errors import ConflictError, NotFoundError
from rtcc_bridge.settings import KafkaSettings

_REPLAY_HEADERS: Final = ("replay-of", "replayed-at")


@dataclass(frozen=True, slots=True, order=True)
class LetterPlace:
    """Where a letter lies on the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


async def list_dead_letters(
    kafka: KafkaSettings, *, limit: int = 100, source_topic: str | None = None
) -> list[DeadLetter]:
    """The newest letters of each partition, at most `limit` in all, in the order of their places.

    Reads the whole topic and keeps only those. Raises UnavailableError when the broker does not answer.
    """
    newest: deque[DeadLetter] = deque(maxlen=limit)
    async for letter in _letters(kafka):
        if source_topic is None or letter.source_topic == source_topic:
            newest.append(letter)
    return sorted(newest, key=lambda letter: (letter.partition, letter.offset))


async def replay(kafka: KafkaSettings, places: Collection[LetterPlace], clock: Clock) -> list[DeadLetter]:
    """Puts the records of these letters back on their topics, in the order of the letters; returns the letters.

    Everything is checked before anything is sent. Raises NotFoundError for a place without a letter, ConflictError for
    a letter that cannot be replayed, UnavailableError when the broker does not answer.
    """
    wanted = set(places)
    letters = [letter async for letter in _letters(kafka) if LetterPlace(letter.partition, letter.offset) in wanted]
    found = {LetterPlace(letter.partition, letter.offset) for letter in letters}
    if missing := sorted(wanted - found):
        raise NotFoundError(f"there is no dead letter at {', '.join(map(str, missing))}")
    for letter in letters:
        _check(letter, kafka)
    async with EventProducer(kafka) as producer:
        for letter in letters:
            kept = [header for header in letter.original_headers if header[0] not in _REPLAY_HEADERS]
            note = [
                ("replay-of", f"{kafka.topics.dead_letters}:{letter.partition}:{letter.offset}".encode()),
                ("replayed-at", rfc3339(clock.now()).encode()),
            ]
            await producer.send(
                letter.source_topic,
                key=letter.key,
                value=letter.value,
                headers=[*kept, *note],
                partition=letter.source_partition,
            )
    return letters


def _check(letter: DeadLetter, kafka: KafkaSettings) -> None:
    place = LetterPlace(letter.partition, letter.offset)
    topics = kafka.topics
    if letter.source_topic not in {topics.incidents, topics.threats, topics.probes_imminent, topics.probes_routine}:
        raise ConflictError(f"the letter at {place} names no topic that this program consumes")
    if not letter.is_whole:
        raise ConflictError(f"the letter at {place} was kept without its value, which is too large for the topic")


async def _letters(kafka: KafkaSettings) -> AsyncIterator[DeadLetter]:
    """Every letter that is on the topic now."""
    async for record in read_to_end(kafka, kafka.topics.dead_letters):
        yield read_letter(record.partition, record.offset, record.key, record.value, record.headers)
