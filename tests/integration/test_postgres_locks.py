"""What one process does at a time on PostgreSQL, and what happens when that one dies, hangs or loses its connection."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from asyncpg.transaction import Transaction
from pydantic import SecretStr
from sqlalchemy import text

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.consumers.forgetting import EventForgetter
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.numbering import Numbering
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.publishing.relay import Relay
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import SoleRight, Work, sole_right
from tests.databases import TestServer
from tests.integration.pipeline import until
from tests.integration.relays import SETTINGS, an_event, put, rows

pytestmark = pytest.mark.postgresql

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import asyncio, sys
from pydantic import SecretStr
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import Work, sole_right

async def main():
    async with sole_right(Database(DatabaseSettings(url=SecretStr(sys.argv[1]))), Work.RELAY) as right:
        print("held" if right else "refused", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def second(database_url: str) -> AsyncIterator[Database]:
    """Another process's connections, under a name by which they can be ended."""
    opened = Database(DatabaseSettings(url=SecretStr(database_url), application_name="second"))
    yield opened
    await opened.close()


async def is_free(database: Database, work: Work = Work.RELAY) -> bool:
    async with sole_right(database, work) as right:
        return right is not None


async def test_one_has_the_right_and_the_next_gets_it_afterwards(database: Database, second: Database) -> None:
    async with sole_right(database, Work.RELAY) as right:
        assert right is not None
        await right.confirm()
        assert not await is_free(second)
        assert await is_free(second, Work.RECONCILER), "each kind of work has its own"
    assert await is_free(second)


async def test_the_right_goes_with_the_connection(
    database: Database, second: Database, database_url: str, database_server: TestServer
) -> None:
    async with sole_right(second, Work.RELAY) as right:
        assert right is not None
        await database_server.end_sessions(database_url, application="second")
        assert await is_free(database)
        with pytest.raises(UnavailableError, match="lock"):
            await right.confirm()


async def test_a_connection_that_dies_before_it_is_asked_for_the_right_is_an_outage(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which words the driver finds for that depends on the instant; these are its own."""

    async def die(_self: Transaction) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    await database.ping()  # so that there is a connection in the pool
    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "rollback", die)
        with pytest.raises(UnavailableError, match="lost"):
            await is_free(database)
    assert await is_free(database)


async def test_the_right_goes_with_the_process(database: Database, database_url: str) -> None:
    command = [sys.executable, "-c", HOLDER, database_url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ})
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    assert not await is_free(database)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: is_free(database))


async def test_who_does_not_confirm_in_time_loses_the_right(database: Database, second: Database) -> None:
    async with sole_right(second, Work.RELAY, confirmed_within_seconds=0.2) as right:
        assert right is not None
        await until(lambda: is_free(database))
        with pytest.raises(UnavailableError):
            await right.confirm()


async def test_a_timer_works_in_one_process_only(
    database: Database, second: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetters = [EventForgetter(one, SystemClock(), 1) for one in (database, second)]
    at_work, go_on, worked = asyncio.Event(), asyncio.Event(), []

    async def forget(forgetter: EventForgetter, _right: SoleRight) -> int:
        worked.append(forgetter)
        at_work.set()
        await go_on.wait()
        return 0

    monkeypatch.setattr(EventForgetter, "forget", forget)
    monkeypatch.setattr("rtcc_bridge.consumers.forgetting._EVERY_SECONDS", 0.01)
    async with AsyncExitStack() as stack:
        tasks = [asyncio.create_task(forgetter.run()) for forgetter in forgetters]
        for task in tasks:
            stack.callback(task.cancel)
        await at_work.wait()
        assert not await is_free(database, Work.EVENT_FORGETTER)
        assert len(worked) == 1
        go_on.set()
        await until(lambda: len(set(worked)) == 2)
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_forgetter_that_hangs_is_followed_by_another_and_stops_when_it_wakes_up(
    database: Database, second: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtcc_bridge.storage.locks.LONGEST_STEP_SECONDS", 0.2)
    frozen, other = (EventForgetter(one, SystemClock(), 1) for one in (second, database))
    forget, outcomes = EventForgetter.forget, asyncio.Queue[EventForgetter | UnavailableError]()
    wake_up = asyncio.Event()

    async def hangs(forgetter: EventForgetter, right: SoleRight) -> int:
        if forgetter is frozen:
            await wake_up.wait()
        try:
            await forget(forgetter, right)
        except UnavailableError as error:
            await outcomes.put(error)
            raise
        await outcomes.put(forgetter)
        return 0

    monkeypatch.setattr(EventForgetter, "forget", hangs)
    monkeypatch.setattr("rtcc_bridge.consumers.forgetting._EVERY_SECONDS", 0.01)
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        stack.callback(tasks.create_task(frozen.run()).cancel)
        await until(lambda: _is_taken(database, Work.EVENT_FORGETTER))
        stack.callback(tasks.create_task(other.run()).cancel)
        assert await outcomes.get() is other
        wake_up.set()
        await until(lambda: _has_failed(outcomes))


async def _is_taken(database: Database, work: Work) -> bool:
    return not await is_free(database, work)


async def _has_failed(outcomes: "asyncio.Queue[EventForgetter | UnavailableError]") -> bool:
    return isinstance(await outcomes.get(), UnavailableError)


async def test_of_two_relays_one_is_active_and_the_other_takes_over(
    database: Database, second: Database, producer: EventProducer, database_url: str, database_server: TestServer
) -> None:
    relays = [Relay(one, producer, SETTINGS, Metrics(), SystemClock()) for one in (second, database)]
    first = asyncio.create_task(relays[0].run())
    await put(database, an_event(None))
    await until(lambda: _has_numbered(database, 1))
    other = asyncio.create_task(relays[1].run())
    await put(database, an_event(None))
    await until(lambda: _has_numbered(database, 2))
    assert [relay._is_active for relay in relays] == [True, False]
    await database_server.let_in(database_url, allowed=False)
    await database_server.let_in(database_url, allowed=True)
    await put(database, *(an_event(None) for _ in range(20)))
    await until(lambda: _has_numbered(database, 22))
    await until(lambda: sum(relay._is_active for relay in relays) == 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await put(database, an_event(None))
    await until(lambda: _has_numbered(database, 23))
    relays[1].stop()
    await other
    assert [row.feed_position for row in await rows(database)] == list(range(1, 24))


async def test_a_row_that_commits_late_is_numbered_later(database: Database) -> None:
    numbering = Numbering(database, Metrics(), SystemClock(), 10, lambda: None)
    async with database.write() as slow:
        late = await Outbox(SystemClock()).put(slow, an_event(None))
        early = (await put(database, an_event(None)))[0]
        assert await numbering.number_all() == 1
    assert await numbering.number_all() == 1
    found = await rows(database)
    assert [(row.event_id, row.feed_position) for row in found] == [(early, 1), (late, 2)]
    assert found[0].id > found[1].id, "the late one was inserted first"


async def test_a_second_numbering_never_moves_what_has_its_place(database: Database, second: Database) -> None:
    """A relay that was stopped after it had read what waits, and wakes up when another has numbered that."""
    await put(database, an_event(None), an_event(None))
    async with second.read() as tx:
        stale = [record.id for record in await outbox.unnumbered(tx, 10)]
    await Numbering(database, Metrics(), SystemClock(), 10, lambda: None).number_all()
    with pytest.raises(UnavailableError):
        await _number(second, stale)
    assert [row.feed_position for row in await rows(database)] == [1, 2]


async def test_of_two_that_number_at_once_one_commits(database: Database, second: Database) -> None:
    await put(database, *(an_event(None) for _ in range(50)))
    async with database.read() as tx:
        ids = [record.id for record in await outbox.unnumbered(tx, 100)]
    outcomes = await asyncio.gather(*(_number(one, ids) for one in (database, second)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "UnavailableError"]
    assert [row.feed_position for row in await rows(database)] == list(range(1, 51))


async def _number(database: Database, ids: list[int]) -> None:
    async with database.write() as tx:
        await outbox.number(tx, ids, SystemClock().now())


async def _has_numbered(database: Database, count: int) -> bool:
    async with database.read() as tx:
        return bool((await tx.execute(text("SELECT count(feed_position) FROM outbox"))).scalar_one() == count)
