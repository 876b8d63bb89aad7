"""What is told of stills is what the entries of the log say, however much of it is kept apart already."""

import asyncio
import random
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import insert, select

from rtcc_bridge.audit.entries import REFUSED, record_of
from rtcc_bridge.policy.policy_parts import MisuseRule
from rtcc_bridge.reports.act_counter import ActCounter
from rtcc_bridge.reports.misuse import read_history
from rtcc_bridge.storage import audit_entries, audit_tree, still_acts, tables
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.still_acts import (
    ACTIONS,
    APPROVE,
    ATTACH,
    CHOOSE,
    EDIT,
    LAPSE,
    SEARCH,
    ActPieces,
    Window,
)

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
WINDOW = Window(NOON - timedelta(days=3), NOON)
OFTEN = 4
DRILL = "drill"


class Told(NamedTuple):
    """All that is asked."""

    copies: set[tuple[str, str]]
    searched_often: set[str]
    tried_often: set[str]
    of_stills: list[Any]
    unopened: list[Any]
    lapses: list[Any]
    analysts: dict[str, str]


def some_entries(
    count: int, stills: int = 12, actions: Sequence[str] = (*ACTIONS, "probe.view")
) -> list[AuditEntryRecord]:
    """A second apart, before the window, in it and behind it; of stills, actions, faces and incidents by chance."""
    chance = random.Random(7)
    apart = timedelta(days=5) / count
    entries = []
    for number in range(count):
        still = f"still-{chance.randrange(stills)}"
        details: dict[str, Any] = {"originalSha256": still, "edits": [{"rotate": chance.randrange(3)}]}
        action = chance.choice(actions)
        if action == CHOOSE:
            details["cropSha256"] = f"face-{chance.randrange(30)}"
        if action == APPROVE:
            details["opened"] = chance.random() < 0.5
        entry = {
            "entryId": f"e-{number}",
            "actor": f"account-{chance.randrange(3)}",
            "action": action,
            "subject": f"probe-{number}",
            "outcome": REFUSED if chance.random() < 0.2 else "recorded",
            "authority": {"incidentId": chance.choice(("incident-1", DRILL))},
            "details": details,
        }
        entries.append(record_of(entry, NOON - timedelta(days=4) + apart * number))
    return entries


def faces_of_several(seen: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of (still, face) those whose face another still has too. That of one still alone makes no copy."""
    return {(still, face) for still, face in seen if len({one for one, its in seen if its == face}) > 1}


def expected(entries: Sequence[AuditEntryRecord]) -> Told:
    """One by one, in Python."""
    mine = [one for one in entries if one.action in ACTIONS and one.outcome != REFUSED]
    mine = [one for one in mine if WINDOW.since <= one.at < WINDOW.before]
    actual = [one for one in mine if one.entry["authority"]["incidentId"] != DRILL]

    def still(one: AuditEntryRecord) -> str:
        return str(one.entry["details"]["originalSha256"])

    faces = {(still(one), one.entry["details"]["cropSha256"]) for one in actual if one.action == CHOOSE}

    def often(*actions: str) -> set[str]:
        done = [still(one) for one in mine if one.action in actions]
        return {one for one in done if done.count(one) >= OFTEN}

    def told(*actions: str) -> list[Any]:
        return [(one.at, one.actor, one.action, one.subject, still(one)) for one in actual if one.action in actions]

    approvals = [one for one in actual if one.action == APPROVE and not one.entry["details"]["opened"]]
    return Told(
        copies=faces_of_several(faces),
        searched_often=often(SEARCH),
        tried_often=often(ATTACH, EDIT),
        of_stills=sorted(one for one in told(SEARCH, ATTACH, EDIT) if one[-1] in {"still-1", "still-2"}),
        unopened=[(one.at, one.actor, one.action, one.subject, still(one)) for one in approvals],
        lapses=told(LAPSE),
        analysts={one.subject: one.actor for one in mine if one.action == ATTACH},
    )


async def whole(pieces: ActPieces) -> list[Any]:
    return [one[:5] async for some in pieces for one in some]


async def found(database: Database) -> Told:
    async with database.snapshot() as tx:
        acts = await still_acts.reading(tx, refused=REFUSED)
        probes = [f"probe-{number}" for number in range(400)]
        return Told(
            copies=faces_of_several(set(await acts.copies(WINDOW))),
            searched_often=set(await acts.stills((SEARCH,), WINDOW, at_least=OFTEN)),
            tried_often=set(await acts.stills((ATTACH, EDIT), WINDOW, at_least=OFTEN)),
            of_stills=sorted(await whole(acts.of_stills({"still-1", "still-2"}, (SEARCH, ATTACH, EDIT), WINDOW))),
            unopened=await whole(acts.unopened(WINDOW)),
            lapses=await whole(acts.lapses(WINDOW)),
            analysts=dict(await acts.analysts(probes, WINDOW)),
        )


async def add(database: Database, entries: Sequence[AuditEntryRecord]) -> None:
    async with database.write() as tx:
        for one in entries:
            await audit_entries.add(tx, one)


async def place(database: Database, most: int = 1000) -> None:
    """As the sequencer does."""
    async with database.write() as tx:
        await audit_tree.place(tx, await audit_tree.waiting(tx, most), await audit_tree.size(tx))


async def keep(database: Database, limit: int) -> None:
    async with database.write() as tx:
        await still_acts.keep_on(tx, refused=REFUSED, limit=limit)


async def kept(database: Database) -> int:
    async with database.read() as tx:
        return len((await tx.execute(select(tables.still_acts.c.position))).all())


@pytest.fixture
async def with_drill(database: Database) -> Database:
    """One whose incident of that name is an exercise."""
    row = {
        "incident_id": DRILL,
        "incident_type": "SHOOT",
        "status": "open",
        "exercise": True,
        "data": {},
        "versions": {},
    }
    times = dict.fromkeys(("last_update_at", "created_at", "updated_at"), NOON)
    async with database.write() as tx:
        await tx.execute(insert(tables.incidents).values(row | times))
    return database


async def test_what_is_told_is_what_the_entries_say_however_much_is_kept(with_drill: Database) -> None:
    database = with_drill
    entries = some_entries(400)
    wanted = expected(entries[:300])
    assert all(wanted), "each question has an answer"
    await add(database, entries[:300])
    assert await found(database) == wanted, "none has its place"
    await place(database, 250)
    assert await found(database) == wanted, "none is kept"
    for limit in (100, 100, 100):
        await keep(database, limit)
        assert await found(database) == wanted
    assert 0 < await kept(database) < 250
    await add(database, entries[300:])
    assert await found(database) == expected(entries)
    await place(database)
    await ActCounter(database).count_all()
    assert await found(database) == expected(entries)
    assert await kept(database) == sum(one.action in ACTIONS and one.outcome != REFUSED for one in entries)


async def test_several_that_keep_at_once_keep_nothing_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtcc_bridge.reports.act_counter._AT_ONCE", 7)
    entries = some_entries(40)
    await add(database, entries)
    await place(database)
    await asyncio.gather(*(ActCounter(database).count_all() for _ in range(4)))
    assert await kept(database) == sum(one.action in ACTIONS and one.outcome != REFUSED for one in entries)
    async with database.read() as tx:
        assert not await still_acts.is_behind(tx, 0)


async def test_of_many_acts_with_one_still_only_a_few_are_in_memory_at_once(with_drill: Database) -> None:
    """Whether they are kept apart already or not."""
    database = with_drill
    entries = some_entries(8_000, stills=1, actions=(SEARCH,))
    searches = [one for one in entries if one.outcome != REFUSED and WINDOW.since <= one.at < WINDOW.before]
    searches = [one for one in searches if one.entry["authority"]["incidentId"] != DRILL]
    await add(database, entries)
    await place(database, len(entries))
    for _ in range(2):
        async with database.snapshot() as tx:
            await read_history(tx, WINDOW.since, WINDOW.before, MisuseRule(), None)  # what is kept of a first time
            tracemalloc.start()
            history = await read_history(tx, WINDOW.since, WINDOW.before, MisuseRule(), None)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert history.of_still["still-0"].count == len(searches)
        assert peak < 1_000_000, "bytes; a list of the acts takes twice as many"
        await ActCounter(database).count_all()
