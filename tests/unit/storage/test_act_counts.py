"""Counts of acts by day are what a count of every entry gives, however many of them were counted before."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rtcc_bridge.audit.entries import REFUSED, record_of
from rtcc_bridge.reports.act_counter import ActCounter
from rtcc_bridge.reports.tally import SEARCHED
from rtcc_bridge.storage import act_counts, audit_entries, audit_tree
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Database

MIDNIGHT = datetime(2026, 11, 26, tzinfo=UTC)
DAYS = [(MIDNIGHT - timedelta(days=ago)).date() for ago in range(3)]
NEARLY_A_DAY = timedelta(days=1) - timedelta(microseconds=1)
KINDS: Sequence[dict[str, Any]] = (
    {"details": {"purpose": "violent_offense", "search": {"gallery": "city"}}},
    {"details": {"purpose": "violent_offense", "search": {"gallery": "training"}}},
    {"action": SEARCHED[1], "details": {"purpose": "imminent_threat"}},
    {"details": {}},
    {"action": "probe.attach", "details": {"purpose": "violent_offense"}},
    {"action": "probe.attach", "outcome": REFUSED, "details": {"rule": "P02", "purpose": "violent_offense"}},
    {"action": "lead.release", "outcome": REFUSED, "details": {"rule": "P11"}},
    {"outcome": REFUSED, "details": {"search": {"gallery": "city"}}},
)
Told = Counter[tuple[date, bool, str | None, str | None, str | None]]


def some_entries(count: int) -> list[AuditEntryRecord]:
    """Of all kinds, in the first and the last moments of four days and between them; of one of these nobody asks."""
    chance = random.Random(5)
    moments = (timedelta(), timedelta(hours=13, minutes=5), NEARLY_A_DAY)
    entries = []
    for number in range(count):
        entry = {"entryId": f"e-{number}", "actor": "a", "action": SEARCHED[0], "subject": "s", "outcome": "recorded"}
        at = MIDNIGHT - timedelta(days=chance.randrange(4)) + chance.choice(moments)
        entries.append(record_of(entry | chance.choice(KINDS), at))
    return entries


def counted_here(entries: Sequence[AuditEntryRecord]) -> Told:
    """One by one."""
    found: Told = Counter()
    for one in entries:
        details, is_refused = one.entry["details"], one.outcome == REFUSED
        if one.at.date() not in DAYS or not (is_refused or one.action in SEARCHED):
            continue
        if is_refused:
            found[one.at.date(), True, details.get("rule"), None, None] += 1
        else:
            gallery = details.get("search", {}).get("gallery")
            found[one.at.date(), False, None, details.get("purpose"), gallery] += 1
    return found


async def told(database: Database) -> Told:
    found: Told = Counter()
    async with database.snapshot() as tx:
        for day, acts in (await act_counts.of_days(tx, SEARCHED, DAYS, refused=REFUSED)).items():
            for one in acts:
                found[day, one.is_refused, one.rule, one.purpose, one.gallery] += one.count
    return found


async def add(database: Database, entries: Sequence[AuditEntryRecord]) -> None:
    async with database.write() as tx:
        for one in entries:
            await audit_entries.add(tx, one)


async def place(database: Database, most: int = 1000) -> None:
    """As the sequencer does."""
    async with database.write() as tx:
        await audit_tree.place(tx, await audit_tree.waiting(tx, most), await audit_tree.size(tx))


async def test_what_is_told_is_what_the_entries_say_however_far_they_are_counted(database: Database) -> None:
    entries = some_entries(60)
    await add(database, entries[:50])
    assert await told(database) == counted_here(entries[:50]), "none has its place"
    await place(database, 40)
    assert await told(database) == counted_here(entries[:50]), "none is counted"
    for expected in (15, 15, 10, 0):
        async with database.write() as tx:
            assert await act_counts.count_on(tx, SEARCHED, refused=REFUSED, limit=15) == expected
        assert await told(database) == counted_here(entries[:50])
    await add(database, entries[50:])  # of days that are counted already
    assert await told(database) == counted_here(entries)
    await place(database)
    assert await told(database) == counted_here(entries)
    await ActCounter(database).count_all()
    assert await told(database) == counted_here(entries)
    async with database.read() as tx:
        assert not await act_counts.is_behind(tx, 0)


async def test_several_that_count_at_once_count_nothing_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtcc_bridge.reports.act_counter._AT_ONCE", 7)
    entries = some_entries(40)
    await add(database, entries)
    await place(database)
    await asyncio.gather(*(ActCounter(database).count_all() for _ in range(4)))
    assert await told(database) == counted_here(entries)
    async with database.read() as tx:
        assert not await act_counts.is_behind(tx, 0)
        counts = (await act_counts.of_days(tx, SEARCHED, DAYS, refused=REFUSED)).values()
    combinations = [(one.rule, one.purpose, one.gallery) for acts in counts for one in acts]
    assert len(combinations) == len(counted_here(entries)), "all of it is in the kept counts"
