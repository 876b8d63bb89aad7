"""Threads of threats and long lists of incidents, within limits."""

from typing import Any

import pytest
from sqlalchemy import event

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.incidents.incident import Status, placeholder, with_status
from rtcc_bridge.incidents.threat import ThreatEvent, to_record
from rtcc_bridge.incidents.threat_book import ThreatBook
from rtcc_bridge.storage import incidents, threats
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.slices import VALUES_AT_ONCE, slices
from rtcc_bridge.storage.threats import LARGEST_THREAD, ThreadMessage
from tests.unit.incidents.cases import NOON, threat_event


def message_of(event: ThreatEvent, incident_id: str = "I-1") -> ThreadMessage:
    record = to_record(event, None, incident_id, (), NOON)
    return ThreadMessage(record, frozenset(event.references), frozenset({incident_id}))


def chain(length: int) -> list[ThreadMessage]:
    """Updates of which each continues the one before."""
    return [
        message_of(threat_event(str(number), "update", references=[str(number - 1)] if number else []))
        for number in range(length)
    ]


async def test_threads_are_read_up_to_their_limit(database: Database) -> None:
    other = message_of(threat_event("other"), "I-2")
    async with database.write() as tx:
        await threats.add_all(tx, [*chain(LARGEST_THREAD), other])
    async with database.read() as tx:
        threads = await threats.names_of_threads(tx, [["250"], ["other"], ["7", "one-more"], ["never heard of"]])
        stored = await threats.messages(tx, ["other", "499", "never heard of"])
    assert threads == [{str(number) for number in range(LARGEST_THREAD)}, {"other"}, None, {"never heard of"}]
    assert sorted(stored, key=lambda message: message.record.identifier) == [chain(LARGEST_THREAD)[-1], other]


async def test_a_thread_that_would_pass_its_limit_is_refused_and_stays_as_it_was(database: Database) -> None:
    async with database.write() as tx:
        await threats.add_all(tx, chain(LARGEST_THREAD - 1))
        book = await ThreatBook.open(tx, [("last", ["7"]), ("one-more", ["8"]), ("two", ["9", "never heard of"])])
        book.put(message_of(threat_event("last", "update", references=["7"])))
        for name, references in (("one-more", ["8"]), ("two", ["9", "never heard of"])):
            with pytest.raises(InvalidInputError) as raised:
                book.put(message_of(threat_event(name, "update", references=references)))
            assert raised.value.reason == "thread_too_large"
        assert len(book.names_of_thread("last")) == LARGEST_THREAD
        assert book.names_of_thread("never heard of") == {"never heard of"}
        book.put(message_of(threat_event("last", "update")))  # its newer version speaks about nothing
        book.put(message_of(threat_event("one-more", "update", references=["8"])))
        await book.save(tx)
    async with database.read() as tx:
        threads = await threats.names_of_threads(tx, [["last"], ["one-more"], ["two"]])
    assert [len(names or ()) for names in threads] == [1, LARGEST_THREAD, 1]


async def test_more_incidents_than_a_statement_takes(database: Database) -> None:
    names = [f"I-{number}" for number in range(3 * VALUES_AT_ONCE)]
    target = placeholder("I-2999", "UNKNOWN", exercise=False, at=NOON, now=NOON)
    merged = with_status(
        placeholder("old", "UNKNOWN", exercise=False, at=NOON, now=NOON), Status.MERGED, NOON, merged_into="I-2999"
    )
    messages = [threat_event("a", minutes=-1), threat_event("b"), threat_event("c", minutes=-2)]
    async with database.write() as tx:
        for incident in (target, merged):
            await incidents.upsert(tx, None, incident)
        for message, incident_id in zip(messages, ("old", "I-2999", "I-2999"), strict=True):
            await threats.add_all(tx, [message_of(message, incident_id)])
    bound: list[int] = []

    def note(_connection: Any, _cursor: Any, _statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        bound.append(len(parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    async with database.read() as tx:
        assert await incidents.merged_into(tx, names) == {"old": "I-2999"}
        found = await threats.of_incidents(tx, names)
    assert [threat.identifier for threat in found["I-2999"]] == ["b", "a", "c"]
    assert len(found) == len(names)
    assert max(bound) <= VALUES_AT_ONCE + 1


def test_slices() -> None:
    assert [len(piece) for piece in slices(range(2 * VALUES_AT_ONCE + 1))] == [VALUES_AT_ONCE, VALUES_AT_ONCE, 1]
    assert list(slices([])) == []
