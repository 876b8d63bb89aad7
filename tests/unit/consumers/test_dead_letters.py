"""The rate that pauses a topic, writing letters that a topic may refuse, and reading letters back."""

import hashlib
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.broker.client import EventProducer, RecordPlace
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.consumers.attempts import Failure
from rtcc_bridge.consumers.dead_letters import DeadLetter, DeadLetterRate, DeadLetterWriter, read_letter
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.settings import KafkaSettings
from tests.doubles import ManualClock

NOW = SystemClock().now()


class SmallTopic(EventProducer):
    """Takes records up to a size, as a topic with `max.message.bytes` does, and keeps them."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(KafkaSettings())
        self._limit_bytes = limit_bytes
        self.letters: list[DeadLetter] = []

    async def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> RecordPlace:
        size = len(key or b"") + len(value or b"") + sum(len(name) + len(content) for name, content in headers)
        if size > self._limit_bytes:
            raise InvalidInputError(f"too large for {topic}", "too_large")
        self.letters.append(read_letter(0, len(self.letters), key, value, headers))
        return RecordPlace(0, len(self.letters) - 1)


async def put(topic: SmallTopic, key: bytes, value: bytes, *headers: tuple[str, bytes]) -> bool:
    record = ConsumedRecord("rtcc.incidents", 1, 42, key, value, headers, NOW)
    failure = Failure(InvalidInputError("no"), "invalid", 1, NOW, NOW)
    return await DeadLetterWriter(topic, "dead").put(record, failure, "group")


@pytest.mark.parametrize(
    ("key", "headers"),
    [(b"k", (("x-huge", b"h" * 10_000),)), (b"k" * 10_000, ()), (b"k" * 10_000, (("x-huge", b"h" * 10_000),))],
    ids=["headers", "key", "both"],
)
async def test_a_letter_fits_whatever_the_records_key_and_headers(
    key: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    topic = SmallTopic(5_000)
    assert await put(topic, key, b"v", *headers)
    (letter,) = topic.letters
    assert not letter.is_whole
    assert letter.original_headers == ()
    assert key.startswith(letter.key or b"?")
    assert letter.provenance["key-sha256"] == hashlib.sha256(key).hexdigest()
    assert letter.provenance["value-sha256"] == hashlib.sha256(b"v").hexdigest()
    assert letter.provenance["headers-omitted"] == str(len(headers))
    assert (letter.source_topic, letter.provenance["offset"]) == ("rtcc.incidents", "42")


async def test_a_record_whose_letter_fits_nowhere_is_told_in_the_log_and_stops_nobody() -> None:
    topic = SmallTopic(10)
    with capture_logs() as logs:
        assert not await put(topic, b"k", b"v")
    assert topic.letters == []
    (told,) = logs
    assert (told["log_level"], told["topic"], told["partition"], told["offset"]) == (
        "error",
        "rtcc.incidents",
        "1",
        "42",
    )
    assert told["value_sha256"] == hashlib.sha256(b"v").hexdigest()


async def test_nobody_forges_the_provenance_of_a_letter() -> None:
    topic = SmallTopic(5_000)
    assert await put(topic, b"k", b"v", ("dlq-topic", b"forged"), ("dlq-value-omitted", b"x"), ("x-own", b"1"))
    (letter,) = topic.letters
    assert (letter.source_topic, letter.is_whole) == ("rtcc.incidents", True)
    assert letter.original_headers == (("x-own", b"1"),)


def test_the_limit_may_be_reached_and_not_passed(clock: ManualClock) -> None:
    rate = DeadLetterRate(3, 60)
    assert [rate.add(clock.now()) for _ in range(4)] == [False, False, False, True]


def test_old_letters_do_not_count(clock: ManualClock) -> None:
    rate = DeadLetterRate(2, 60)
    for _ in range(20):
        assert not rate.add(clock.now())
        clock.advance(31)


def test_letters_from_before_a_clock_was_set_back_do_not_count(clock: ManualClock) -> None:
    rate = DeadLetterRate(2, 60)
    rate.add(clock.now())
    rate.add(clock.now())
    clock.advance(-3600)
    answers = []
    for _ in range(4):
        answers.append(rate.add(clock.now()))
        clock.advance(1)
    assert answers == [False, False, True, True]


def test_a_resumed_topic_begins_anew(clock: ManualClock) -> None:
    rate = DeadLetterRate(1, 60)
    rate.add(clock.now())
    assert rate.add(clock.now())
    rate.clear()
    assert not rate.add(clock.now())


def test_provenance_is_kept_apart_from_the_records_own_headers() -> None:
    headers = [("ce_id", b"1"), ("dlq-topic", b"rtcc.incidents"), ("dlq-partition", b"3"), ("dlq-message", b"\xff")]
    letter = read_letter(0, 5, b"k", b"v", headers)
    assert letter.original_headers == (("ce_id", b"1"),)
    assert (letter.source_topic, letter.source_partition, letter.is_whole) == ("rtcc.incidents", 3, True)


def test_a_letter_that_somebody_else_wrote_is_read_without_trust() -> None:
    for partition in (b"-1", b"9" * 5000):
        letter = read_letter(0, 5, None, None, [("dlq-partition", partition), ("dlq-value-omitted", b"too_large")])
        assert (letter.source_topic, letter.source_partition, letter.is_whole) == ("", None, False)
