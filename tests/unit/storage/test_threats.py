"""Threads of threats and long lists of incidents, within limits."""

from typing import Any

import pytest
from sqlalchemy import event

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.incidents.incident import Status, placeholder, with_status
from rtcc_bridge.incidents.threat import to_record
from rtcc_bridge.storage import incidents, threats
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.slices import VALUES_AT_ONCE, slices
from rtcc_bridge.storage.threats import LARGEST_THREAD
from tests.unit.incidents.cases import NOON, threat_event


async def store_chain(database: Database, length: int) -> None:
    """Updates of which each continues the one before."""
    async with database.write() as tx:
        for number in range(length):
            message = threat_event(str(number), "update", references=[str(number - 1)] if number else [])
            await threats.upsert(tx, None, to_record(message, None, "I-1", (), NOON), ["I-1"], message.references)


async def test_a_thread_is_read_up_to_its_limit_and_refused_beyond(database: Database) -> None:
    await store_chain(database, LARGEST_THREAD)
    async with database.read() as tx:
        assert len(await threats.thread(tx, "250")) == LARGEST_THREAD
    async with database.write() as tx:
        message = threat_event("one-more", "update", references=["7"])
        await threats.upsert(tx, None, to_record(message, None, "I-1", (), NOON), ["I-1"], message.references)
        with pytest.raises(InvalidInputError) as raised:
            await threats.thread(tx, "one-more")
    assert raised.value.reason == "thread_too_large"


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
            await threats.upsert(tx, None, to_record(message, None, incident_id, (), NOON), [incident_id], ())
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
