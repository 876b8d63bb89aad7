"""A process reports that it lives and what it misses, and takes that back when it ends."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from rtcc_bridge.app.heartbeat import Heartbeat
from rtcc_bridge.app.roles import Role
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import processes, restorations
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.processes import ProcessRecord
from rtcc_bridge.storage.tables import processes as table
from rtcc_bridge.web import health
from rtcc_bridge.web.health import ReadinessBoard, ReadinessProbe
from tests.doubles import ManualClock
from tests.outages import Outages

WAIT_SECONDS = 20.0


@pytest.fixture(autouse=True)
def _ask_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "KEPT_SECONDS", 0)


def heartbeat_of(database: Database, probes: dict[str, ReadinessProbe], *roles: Role) -> Heartbeat:
    return Heartbeat(database, roles, ReadinessBoard(Metrics(), probes), SystemClock(), beat_seconds=0.02)


@asynccontextmanager
async def beating(heartbeat: Heartbeat) -> AsyncIterator[None]:
    """Runs it, and stops it in good order."""
    task = asyncio.create_task(heartbeat.run())
    try:
        yield
    finally:
        heartbeat.stop()
        await task


async def every(database: Database) -> list[ProcessRecord]:
    async with database.read() as tx:
        return await processes.every(tx)


async def until(database: Database, holds: Callable[[list[ProcessRecord]], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds(await every(database)):  # noqa: ASYNC110 - the database tells nobody when it changes
            await asyncio.sleep(0.01)


async def test_a_process_reports_its_roles_and_what_it_misses_as_that_changes(database: Database) -> None:
    reason: str | None = "connection refused"

    async def broker() -> str | None:
        return reason

    async with beating(heartbeat_of(database, {"broker": broker}, Role.CONSUMER, Role.RELAY)):
        await until(database, lambda rows: [row.dependencies for row in rows] == [{"broker": "connection refused"}])
        assert [row.roles for row in await every(database)] == [("consumer", "relay")]
        reason = None
        await until(database, lambda rows: [row.dependencies for row in rows] == [{"broker": None}])


async def test_it_goes_on_reporting(database: Database) -> None:
    async with beating(heartbeat_of(database, {}, Role.WEB)):
        await until(database, lambda rows: len(rows) == 1)
        async with database.write() as tx:  # as if it had been silent for a while
            early = (await tx.execute(select(table.c.seen_at))).scalar_one().replace(year=2000)
            await tx.execute(update(table).values(seen_at=early))
        await until(database, lambda rows: [row.unseen_seconds < 60 for row in rows] == [True])


async def test_a_clean_stop_takes_the_report_back_and_leaves_those_of_others(database: Database) -> None:
    async with beating(heartbeat_of(database, {}, Role.WEB)):
        await until(database, lambda rows: len(rows) == 1)
        async with beating(heartbeat_of(database, {}, Role.CONSUMER)):
            await until(database, lambda rows: len(rows) == 2)
        assert [row.roles for row in await every(database)] == [("web",)]
    assert await every(database) == []


async def test_a_process_that_is_killed_stays_until_it_was_unseen_for_long(database: Database) -> None:
    killed = asyncio.create_task(heartbeat_of(database, {}, Role.CONSUMER).run())
    await until(database, lambda rows: len(rows) == 1)
    killed.cancel()
    await asyncio.wait([killed])
    async with beating(heartbeat_of(database, {}, Role.WEB)):
        await until(database, lambda rows: len(rows) == 2)
        async with database.write() as tx:
            early = (await tx.execute(select(table.c.seen_at).limit(1))).scalar_one().replace(year=2000)
            await tx.execute(update(table).where(table.c.process_id == await _id_of(database)).values(seen_at=early))
        await until(database, lambda rows: [row.roles for row in rows] == [("web",)])


async def test_it_outlives_an_outage_of_the_database(database: Database, outages: Outages) -> None:
    heartbeat = heartbeat_of(database, {}, Role.CONSUMER)
    task = asyncio.create_task(heartbeat.run())
    await until(database, lambda rows: len(rows) == 1)
    async with outages.away("processes"):
        await asyncio.wait([task], timeout=0.1)
        assert not task.done()
    async with database.write() as tx:
        for record in await processes.every(tx):
            await processes.forget(tx, record.process_id)
    await until(database, lambda rows: len(rows) == 1)
    heartbeat.stop()
    await task


async def test_it_ends_the_process_when_its_database_is_being_restored(database: Database) -> None:
    heartbeat = heartbeat_of(database, {}, Role.MATCHER)
    task = asyncio.create_task(heartbeat.run())
    await until(database, lambda rows: len(rows) == 1)
    async with database.write() as tx:
        await restorations.begin(tx, "a-restoration", "a-backup", datetime.now(UTC))
    with pytest.raises(ConfigurationError, match="was not finished"):
        async with asyncio.timeout(WAIT_SECONDS):
            await task
    assert await every(database) == []


async def _id_of(database: Database) -> str:
    return next(row.process_id for row in await every(database) if row.roles == ("consumer",))


@pytest.mark.postgresql
async def test_the_clock_is_compared_with_the_database(database: Database) -> None:
    board = ReadinessBoard(Metrics(), {})
    ahead = ManualClock(datetime.now(UTC) + timedelta(minutes=10))
    await Heartbeat(database, (), board, ahead).beat()
    offset = board.metrics.registry.get_sample_value("rtcc_bridge_clock_offset_seconds")
    assert offset == pytest.approx(600, abs=30)


@pytest.mark.sqlite
async def test_a_database_without_a_clock_of_its_own_tells_no_offset(database: Database) -> None:
    board = ReadinessBoard(Metrics(), {})
    await Heartbeat(database, (), board, ManualClock()).beat()
    assert math.isnan(board.metrics.registry.get_sample_value("rtcc_bridge_clock_offset_seconds") or 0)
