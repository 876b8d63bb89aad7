"""What the processes report is kept by the database's clock, one row for each."""

import asyncio
from datetime import timedelta

from sqlalchemy import select, update

from rtcc_bridge.storage import processes
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.processes import ProcessRecord
from rtcc_bridge.storage.tables import processes as table


async def report(database: Database, process_id: str, broker: str | None = None) -> None:
    async with database.write() as tx:
        await processes.report(tx, process_id, ("consumer", "relay"), {"broker": broker, "objects": None})


async def every(database: Database) -> list[ProcessRecord]:
    async with database.read() as tx:
        return await processes.every(tx)


async def grow_old(database: Database, process_id: str, seconds: float) -> None:
    """As if the process had started and been seen so much earlier."""
    async with database.write() as tx:
        at = (await tx.execute(select(table.c.seen_at).where(table.c.process_id == process_id))).scalar_one()
        earlier = at - timedelta(seconds=seconds)
        await tx.execute(
            update(table).where(table.c.process_id == process_id).values(started_at=earlier, seen_at=earlier)
        )


async def test_a_report_is_read_as_it_was_written(database: Database) -> None:
    await report(database, "one", broker="it does not answer")
    (found,) = await every(database)
    assert (found.process_id, found.roles) == ("one", ("consumer", "relay"))
    assert found.dependencies == {"broker": "it does not answer", "objects": None}
    assert found.started_at == found.seen_at


async def test_the_next_report_moves_only_what_changes(database: Database) -> None:
    await report(database, "one", broker="it does not answer")
    await grow_old(database, "one", 60)
    (before,) = await every(database)
    assert before.unseen_seconds >= 60
    await report(database, "one")
    (after,) = await every(database)
    assert after.dependencies == {"broker": None, "objects": None}
    assert after.started_at == before.started_at
    assert after.seen_at >= before.seen_at + timedelta(seconds=60)
    assert after.unseen_seconds <= before.unseen_seconds - 59


async def test_a_process_that_ends_leaves_the_others(database: Database) -> None:
    await asyncio.gather(*(report(database, name) for name in ("one", "two", "three")))
    async with database.write() as tx:
        await processes.forget(tx, "two")
    assert {record.process_id for record in await every(database)} == {"one", "three"}


async def test_only_those_unseen_for_long_are_forgotten(database: Database) -> None:
    await report(database, "dead")
    await report(database, "silent")
    await grow_old(database, "dead", 3700)
    await grow_old(database, "silent", 3500)
    async with database.write() as tx:
        await processes.forget_unseen(tx, timedelta(hours=1))
    assert [record.process_id for record in await every(database)] == ["silent"]
