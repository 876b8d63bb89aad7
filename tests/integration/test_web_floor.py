"""The floor's state over HTTP: what the board shows when another process does the work, or should."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from rtcc_bridge.app.heartbeat import Heartbeat
from rtcc_bridge.app.roles import Role
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import processes
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import processes as table
from rtcc_bridge.web import floor, health
from rtcc_bridge.web.health import ReadinessBoard
from tests.doubles import ManualClock
from tests.integration.pipeline import until
from tests.outages import Outages
from tests.website import Website, running_site


@pytest.fixture(autouse=True)
def _ask_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "KEPT_SECONDS", 0)
    monkeypatch.setattr(floor, "KEPT_SECONDS", 0)


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    """A process with the role web and nothing else, whose clock stands still far from the database's."""
    async with running_site(database, clock, metrics, tmp_path, roles=[Role.WEB]) as running:
        yield running


async def floor_of(site: Website) -> dict[str, Any]:
    return await site.get("/floor")


async def meanings(site: Website) -> list[str]:
    return [problem["meaning"] for problem in (await floor_of(site))["problems"]]


async def is_ready(site: Website) -> bool:
    return bool((await floor_of(site))["ready"])


async def readyz(site: Website) -> int:
    async with site.client.get("/readyz") as answer:
        return answer.status


def elsewhere(database: Database, *roles: Role, **reasons: str) -> Heartbeat:
    """Another process with these roles, for which these dependencies are not ready."""

    def probe(reason: str) -> Any:
        async def ask() -> str | None:
            return reason

        return ask

    board = ReadinessBoard(Metrics(), {name: probe(why) for name, why in reasons.items()})
    return Heartbeat(database, roles, board, SystemClock())


async def test_a_web_process_alone_says_what_nobody_does_and_stays_ready_itself(site: Website) -> None:
    found = await floor_of(site)
    assert not found["ready"]
    assert {problem["name"] for problem in found["problems"]} == {"consumer", "matcher", "relay"}
    assert "Nobody reads incidents and alerts now: no consumer process reports." in await meanings(site)
    assert await readyz(site) == 200
    async with site.client.get("/") as answer:
        assert answer.status == 200


async def test_with_every_role_at_work_elsewhere_there_is_nothing_to_say(site: Website, database: Database) -> None:
    await elsewhere(database, Role.CONSUMER).beat()
    await elsewhere(database, Role.MATCHER, Role.RELAY).beat()
    await until(lambda: is_ready(site))
    shown = await floor_of(site)
    assert sorted(role for one in shown["processes"] if one["alive"] for role in one["roles"]) == sorted(Role)


async def test_what_a_process_elsewhere_misses_is_said_on_the_board(site: Website, database: Database) -> None:
    await elsewhere(database, Role.MATCHER, Role.RELAY).beat()
    await elsewhere(database, Role.CONSUMER, consumer="connection refused").beat()
    (problem,) = (await floor_of(site))["problems"]
    assert (problem["name"], problem["reason"]) == ("consumer", "connection refused")
    assert "the message broker does not answer" in problem["meaning"]
    assert await readyz(site) == 200


async def test_a_process_that_fell_silent_is_said_with_the_time(site: Website, database: Database) -> None:
    await elsewhere(database, Role.CONSUMER).beat()
    await elsewhere(database, Role.MATCHER, Role.RELAY).beat()
    await until(lambda: is_ready(site))
    async with database.write() as tx:
        consumer = next(one for one in await processes.every(tx) if one.roles == ("consumer",))
        last_seen = consumer.seen_at - timedelta(seconds=12)
        await tx.execute(update(table).where(table.c.process_id == consumer.process_id).values(seen_at=last_seen))
    expected = f"no consumer process has reported since {last_seen:%H:%M:%S} UTC."
    assert await meanings(site) == [f"Nobody reads incidents and alerts now: {expected}"]


async def test_a_database_that_is_away_is_said_in_an_answer(site: Website, outages: Outages) -> None:
    async with outages.away("processes"):
        assert await meanings(site) == ["The database does not answer. Nothing new is shown until it does."]


async def test_a_database_that_takes_no_writes_is_what_is_said_and_not_that_nobody_reports(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path, outages: Outages
) -> None:
    async with running_site(database, clock, metrics, tmp_path) as whole:
        await until(lambda: is_ready(whole))
        async with outages.read_only():

            async def said() -> bool:
                return await meanings(whole) == ["The database does not answer. Nothing new is shown until it does."]

            await until(said)
        await until(lambda: is_ready(whole))


async def test_one_process_with_all_roles_says_by_the_same_way_what_it_misses(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    async def away() -> str | None:
        return "connection refused"

    async with running_site(database, clock, metrics, tmp_path) as whole:
        await until(lambda: is_ready(whole))
        whole.readiness["consumer"] = away

        async def said() -> bool:
            return [one["name"] for one in (await floor_of(whole))["problems"]] == ["consumer"]

        await until(said)
        assert await readyz(whole) == 503
        del whole.readiness["consumer"]
        await until(lambda: is_ready(whole))
