"""Threads of threats and long lists of incidents, within limits."""

from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import event

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.incidents.incident import Status, placeholder, with_status
from rtcc_bridge.incidents.threat import ThreatEvent, to_record
from rtcc_bridge.incidents.threat_book import ThreatBook
from rtcc_bridge.storage import incidents, threats
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.slices import VALUES_AT_ONCE, padded, slices
from rtcc_bridge.storage.threats import LARGEST_THREAD, ThreadMessage
from tests.unit.incidents.cases import NOON, threat_event


def message_of(event: ThreatEvent, incident_id: str = "I-1") -> ThreadMessage:
    record = to_record(event, None, incident_id, (), NOON)
    return ThreadMessage(record, frozenset(event.references), frozenset({incident_id}))


def update(identifier: str, references: Iterable[str]) -> ThreadMessage:
    return message_of(threat_event(identifier, "update", references=sorted(references)))


def chain(length: int, prefix: str = "") -> list[ThreadMessage]:
    """Updates of which each continues the one before."""
    return [update(f"{prefix}{number}", [f"{prefix}{number - 1}"] if number else []) for number in range(length)]


async def test_threads_are_read_up_to_a_limit(database: Database) -> None:
    other = message_of(threat_event("other"), "I-2")
    async with database.write() as tx:
        await threats.add_all(tx, [*chain(20), other])
    async with database.read() as tx:
        threads = await threats.names_of_threads(tx, [["7"], ["other"], ["7", "one-more"], ["never heard of"]], most=20)
        stored = await threats.get_all(tx, ["other", "19", "never heard of"])
    assert threads == [{str(number) for number in range(20)}, {"other"}, None, {"never heard of"}]
    assert sorted(stored, key=lambda message: message.record.identifier) == [chain(20)[-1], other]


async def test_a_thread_that_would_pass_its_limit_is_refused_and_stays_as_it_was(database: Database) -> None:
    last, more, two = ("last", frozenset({"7"})), ("more", frozenset({"8"})), ("two", frozenset({"9", "unheard of"}))
    async with database.write() as tx:
        await threats.add_all(tx, chain(LARGEST_THREAD - 1))
        book = await ThreatBook.open(tx, [last, more, two])
        book.put(update(*last))
        for identifier, references in (more, two):
            with pytest.raises(InvalidInputError) as raised:
                book.put(update(identifier, references))
            assert raised.value.reason == "thread_too_large"
        assert len(book.connected(["last"])) == LARGEST_THREAD
        assert book.connected(["unheard of"]) == {"unheard of"}
        book.put(update("last", ()))  # its newer version speaks about nothing
        book.put(update(*more))
        await book.save(tx)
    async with database.read() as tx:
        threads = await threats.names_of_threads(tx, [["last"], ["more"], ["two"]], most=LARGEST_THREAD)
    assert [len(names or ()) for names in threads] == [1, LARGEST_THREAD, 1]


async def test_a_message_may_leave_a_large_thread_for_another(database: Database) -> None:
    """Both together are beyond the limit; the message is in one at a time."""
    async with database.write() as tx:
        await threats.add_all(tx, [*chain(400), *chain(200, "b"), update("last", ["7"])])
        book = await ThreatBook.open(tx, [("last", frozenset({"b7"}))])
        book.put(update("last", ["b7"]))
        assert len(book.connected(["last"])) == 201
        assert len(book.connected(["7"])) == 400


async def test_a_version_whose_threads_are_not_even_read_is_refused_and_another_is_not(database: Database) -> None:
    everything = ("last", frozenset({"7", "b7", "c7"}))
    async with database.write() as tx:
        await threats.add_all(tx, [*chain(400), *chain(400, "b"), *chain(400, "c"), update("last", ["7"])])
        book = await ThreatBook.open(tx, [everything, ("last", frozenset())])
        assert book.get("last") == update("last", ["7"]), "an older version still is known to be one"
        with pytest.raises(InvalidInputError):
            book.put(update(*everything))
        book.put(update("last", ()))
        assert book.connected(["last"]) == {"last"}


async def test_the_threats_of_incidents_that_are_merged_into_each_other(database: Database) -> None:
    """Each has its own and those of all that became part of it, also where the one that it became part of is asked."""
    async with database.write() as tx:
        for name, into in (("A", "B"), ("B", None), ("C", "A")):
            incident = placeholder(name, "UNKNOWN", exercise=False, at=NOON, now=NOON)
            if into is not None:
                incident = with_status(incident, Status.MERGED, NOON, merged_into=into)
            await incidents.upsert(tx, None, incident)
            await threats.add_all(tx, [message_of(threat_event(f"T-{name}"), name)])
    async with database.read() as tx:
        found = await threats.of_incidents(tx, ["A", "B", "C"])
    names = {incident: {each.identifier for each in those} for incident, those in found.items()}
    assert names == {"A": {"T-A", "T-C"}, "B": {"T-A", "T-B", "T-C"}, "C": {"T-C"}}


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
    assert list(slices([3, 1, 2])) == [[3, 1, 2, 2]]
    assert {len(padded(range(count))) for count in range(20)} == {0, 1, 2, 4, 8, 16, 32}
