"""Puts dead letters back on the topic that they came from: what the command line offers.

A replayed record carries its original key, value and headers, and with them its CloudEvents id, on its original
partition, and these headers more:

| header | content |
|---|---|
| `replay-origin` | topic, partition and offset of the record as it first came; a second replay keeps them |
| `replay-timestamp` | its time then (RFC 3339), since the broker may stamp records with its own |
| `replay-of`, `replayed-at` | the letter, and when it was put back |

A replay of something old does no harm: an incident's or a threat's newest state wins by the sender's time, a search
request names a probe whose present state decides, and an event that had its effect has none again.
"""

from datetime import datetime
from typing import Final

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.consumers.dead_letters import DeadLetter
from rtcc_bridge.consumers.letter_box import (
    MARK,
    MARKED_AT,
    LetterFilter,
    LetterPlace,
    list_dead_letters,
    read_letters,
)
from rtcc_bridge.errors import ConflictError, NotFoundError
from rtcc_bridge.settings import KafkaSettings

_ORIGIN: Final = "replay-origin"
_ORIGINAL_TIME: Final = "replay-timestamp"
_REPLAY_HEADERS: Final = ("replay-of", "replayed-at")
_MOST_AT_ONCE: Final = 1_000_000
"""Letters that one replay puts back: the newest, should there be more."""


async def find_letters(kafka: KafkaSettings, matching: LetterFilter, *, again: bool = False) -> list[DeadLetter]:
    """The letters that a replay of these would put back, the newest last; nothing is sent.

    again: also those that were replayed before. Raises NotFoundError for a place without a letter, ConflictError for a
    letter that cannot be put back, or that was named by its place and was replayed before; UnavailableError.
    """
    found = await list_dead_letters(kafka, matching, limit=_MOST_AT_ONCE, with_values=False)
    if matching.places is None:
        found = [letter for letter in found if again or letter.replayed_at is None]
    elif missing := sorted(matching.places - {LetterPlace.of(letter) for letter in found}):
        raise NotFoundError(f"there is no dead letter at {', '.join(map(str, missing))}")
    for letter in found:
        _check(letter, kafka, again=again)
    return found


async def replay(
    kafka: KafkaSettings, matching: LetterFilter, clock: Clock, *, again: bool = False
) -> list[DeadLetter]:
    """Puts the records of these letters back on their topics and marks the letters; returns them, without values.

    Everything is checked before anything is sent, as `find_letters` does it. A letter is marked after its record is
    acknowledged: a stop in between puts it back once more, which does no harm. Raises UnavailableError.
    """
    letters = await find_letters(kafka, matching, again=again)
    wanted = {LetterPlace.of(letter) for letter in letters}
    if wanted:
        async with EventProducer(kafka) as producer:
            async for letter in read_letters(kafka, {}):
                if LetterPlace.of(letter) in wanted:
                    await _put_back(producer, kafka, letter, clock)
    return letters


async def _put_back(producer: EventProducer, kafka: KafkaSettings, letter: DeadLetter, clock: Clock) -> None:
    told, place, now = letter.provenance, LetterPlace.of(letter), rfc3339(clock.now())
    kept = [header for header in letter.original_headers if header[0] not in _REPLAY_HEADERS]
    if _ORIGIN not in {name for name, _ in kept}:
        origin = f"{letter.source_topic}:{told.get('partition', '')}:{told.get('offset', '')}"
        kept += [(_ORIGIN, origin.encode()), (_ORIGINAL_TIME, told.get("timestamp", "").encode())]
    await producer.send(
        letter.source_topic,
        key=letter.key,
        value=letter.value,
        headers=[*kept, ("replay-of", f"{kafka.topics.dead_letters}:{place}".encode()), ("replayed-at", now.encode())],
        partition=letter.source_partition,
        timestamp_ms=_milliseconds(told.get("timestamp", "")),
    )
    mark = [(MARK, str(place).encode()), (MARKED_AT, now.encode())]
    await producer.send(kafka.topics.dead_letters, key=b"replayed", value=None, headers=mark)


def _milliseconds(moment: str) -> int | None:
    """The broker's or the producer's time of the record; None where the letter does not tell it."""
    try:
        return int(datetime.fromisoformat(moment).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _check(letter: DeadLetter, kafka: KafkaSettings, *, again: bool) -> None:
    place, topics = LetterPlace.of(letter), kafka.topics
    if letter.source_topic not in {topics.incidents, topics.threats, topics.probes_imminent, topics.probes_routine}:
        raise ConflictError(f"the letter at {place} names no topic that this program consumes")
    if not letter.is_whole:
        raise ConflictError(f"the letter at {place} was kept without its value, which is too large for the topic")
    if letter.replayed_at is not None and not again:
        raise ConflictError(f"the letter at {place} was replayed at {letter.replayed_at}: --again replays it once more")
