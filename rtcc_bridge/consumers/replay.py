"""Puts dead letters back on the topic that they came from: what the command line offers.

A replayed record carries its original key, value and headers, and with them its CloudEvents id, on its original
partition, and these headers more:

| header | content |
|---|---|
| `replay-origin` | topic, partition and offset of the record as it first came; a second replay keeps them |
| `replay-timestamp` | its time then (RFC 3339), since the broker may stamp records with its own |
| `replay-of`, `replayed-at` | the letter, and when it was put back |

Anybody who may write dead letters, as each consumer and matcher may, could write one that never was a record, and have
an operator send it on with more rights than their own. So a letter is held against the record at the place that it
tells, and is put back when it is that record.

A replay of something old does no harm: an incident's or a threat's newest state wins by the sender's time, a search
request names a probe whose present state decides, nobody who was removed from a gallery comes back, and an event that
had its effect has none again.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from aiokafka.errors import KafkaError

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.diagnosis import outage_in_words
from rtcc_bridge.broker.groups import consumed_topics
from rtcc_bridge.broker.partitions import partitions_of
from rtcc_bridge.broker.record_reader import RecordReader
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.consumers.dead_letters import PREFIX, DeadLetter, natural_number
from rtcc_bridge.consumers.letter_box import (
    MARK,
    MARKED_AT,
    LetterFilter,
    LetterPlace,
    list_dead_letters,
    read_letters,
)
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from rtcc_bridge.settings import KafkaSettings

_ORIGIN: Final = "replay-origin"
_ORIGINAL_TIME: Final = "replay-timestamp"
_REPLAY_HEADERS: Final = ("replay-of", "replayed-at")
_MOST_AT_ONCE: Final = 1_000_000
"""Letters that one replay puts back: the newest, should there be more."""


Note: TypeAlias = Callable[[Sequence[DeadLetter]], Awaitable[None]]
"""Enters in the audit log that these letters, which come without values, are put back."""


@dataclass(frozen=True, slots=True)
class Replay:
    """letters: what is put back, the newest last, without values. left: what cannot be put back, and why."""

    letters: tuple[DeadLetter, ...]
    left: tuple[tuple[DeadLetter, str], ...]


async def find_letters(kafka: KafkaSettings, matching: LetterFilter, *, again: bool = False) -> Replay:
    """The letters that a replay of these would put back, the newest last; nothing is sent.

    again: also those that were replayed before. Anybody may have written a letter, so one that cannot be put back holds
    up no others: it is left. Of letters that are named by their places all have to be there and fit to be put back:
    raises NotFoundError or ConflictError where one is not, also when it was replayed before; UnavailableError.
    """
    found = await list_dead_letters(kafka, matching, limit=_MOST_AT_ONCE, with_values=False)
    if matching.places is None:
        found = [letter for letter in found if again or letter.replayed_at is None]
    elif missing := sorted(matching.places - {LetterPlace.of(letter) for letter in found}):
        raise NotFoundError(f"there is no dead letter at {', '.join(map(str, missing))}")
    partitions = await _partitions(kafka, found)
    problems = [(letter, _problem(letter, partitions, again=again)) for letter in found]
    left = tuple((letter, why) for letter, why in problems if why is not None)
    if left and matching.places is not None:
        raise ConflictError("; ".join(why for _, why in left))
    return Replay(tuple(letter for letter, why in problems if why is None), left)


async def replay(
    kafka: KafkaSettings,
    matching: LetterFilter,
    clock: Clock,
    note: Note,
    *,
    again: bool = False,
    unverified: bool = False,
) -> Replay:
    """Puts the records of these letters back on their topics and marks the letters; says which.

    Everything is checked before anything is sent, as `find_letters` does it, and noted: what `note` raises leaves
    everything as it is (P23). A letter that is not the record at its place is left as well, and so is one whose record
    is no longer there unless it is taken unverified, and a record that its topic refuses as too large. A letter is
    marked after its record is acknowledged: a stop in between puts it back once more, which does no harm. Raises what
    `find_letters` raises.
    """
    found = await find_letters(kafka, matching, again=again)
    wanted = {LetterPlace.of(letter) for letter in found.letters}
    refused: dict[LetterPlace, str] = {}
    if wanted:
        await note(found.letters)
        async with EventProducer(kafka) as producer, RecordReader(kafka) as records:
            async for letter in read_letters(kafka, {}):
                if (place := LetterPlace.of(letter)) in wanted:
                    if (why := await _doubt(letter, records, unverified=unverified)) is not None:
                        refused[place] = f"the letter at {place} {why}"
                        continue
                    try:
                        await _put_back(producer, kafka, letter, clock)
                    except InvalidInputError as error:
                        refused[place] = f"the letter at {place} cannot be put back: {error}"
    places = [(letter, LetterPlace.of(letter)) for letter in found.letters]
    return Replay(
        tuple(letter for letter, place in places if place not in refused),
        (*found.left, *((letter, refused[place]) for letter, place in places if place in refused)),
    )


async def _partitions(kafka: KafkaSettings, letters: Iterable[DeadLetter]) -> Mapping[str, int]:
    """How many partitions the letters' topics have, of those that this program consumes. Raises UnavailableError."""
    consumed = {topic for read in consumed_topics(kafka).values() for topic in read}
    named = sorted({letter.source_topic for letter in letters}.intersection(consumed))
    try:
        return Counter(tp.topic for tp in await partitions_of(kafka, named)) if named else {}
    except (KafkaError, TimeoutError) as error:
        raise UnavailableError(outage_in_words(kafka, "the broker did not answer", error)) from error


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
        timestamp_ms=_milliseconds(told.get("timestamp", ""), clock.now()),
    )
    mark = [(MARK, str(place).encode()), (MARKED_AT, now.encode())]
    await producer.send(kafka.topics.dead_letters, key=b"replayed", value=None, headers=mark)


async def _doubt(letter: DeadLetter, records: RecordReader, *, unverified: bool) -> str | None:
    """Why it may not be the record that it says it is; None where it is that one. Raises UnavailableError."""
    topic, partition = letter.source_topic, letter.source_partition
    offset = natural_number(letter.provenance.get("offset", ""))
    record = None if partition is None or offset is None else await records.at(topic, partition, offset)
    if record is None:
        if unverified:
            return None
        return f"cannot be compared: its record is not on {topic} any more (--unverified takes the letter's word)"
    headers = tuple((name, content) for name, content in record.headers if not name.startswith(PREFIX))
    if (record.key, record.value, headers) == (letter.key, letter.value, letter.original_headers):
        return None
    return f"is not what lies on {topic} at {partition}:{offset}: somebody has written it"


def _milliseconds(text: str, now: datetime) -> int | None:
    """The broker's or the producer's time of the record; None where the letter tells none that a broker takes."""
    try:
        milliseconds = int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return milliseconds if 0 <= milliseconds <= now.timestamp() * 1000 else None


def _problem(letter: DeadLetter, partitions: Mapping[str, int], *, again: bool) -> str | None:
    """Why the letter cannot be put back. partitions: of the topics that this program consumes."""
    place, topic = LetterPlace.of(letter), letter.source_topic
    if topic not in partitions:
        return f"the letter at {place} names no topic that this program consumes"
    if letter.source_partition is not None and letter.source_partition >= partitions[topic]:
        return f"the letter at {place} names a partition that {topic} does not have"
    if not letter.is_whole:
        return f"the letter at {place} was kept without its value, which is too large for the topic"
    if letter.replayed_at is not None and not again:
        return f"the letter at {place} was replayed at {letter.replayed_at}: --again replays it once more"
    return None
