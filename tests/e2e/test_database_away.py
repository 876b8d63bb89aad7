"""The daemon and a PostgreSQL of its own, which is away or frozen when it starts and when it shall stop."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from rtcc_bridge.commands.console import EXIT_UNAVAILABLE
from tests.e2e.calls import ClientOf, is_ready, on_floor, publish, readiness, until
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon, start
from tests.e2e.test_stopping import ends
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(180)]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as own:
        yield own


@pytest.fixture
def database_url(server: PostgresServer) -> str:
    """The place's database is one that the test may freeze and stop."""
    return server.url()


async def test_a_daemon_that_starts_first_waits_for_its_database(
    enrolled_place: Place, server: PostgresServer, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    place = enrolled_place
    await asyncio.to_thread(server.stop)
    process = await start(["serve", "--config", str(place.settings_file)], place.log)
    try:
        await until(lambda: place.log.exists() and "opening the database" in place.log.read_text())
        await asyncio.to_thread(server.start)
        await until(lambda: is_ready(http, place))
        await on_floor(client_of(place), await publish(place, threat=False))
    finally:
        assert await ends(process) == 0


async def test_it_does_not_wait_for_ever_and_says_why(enrolled_place: Place, server: PostgresServer) -> None:
    enrolled_place.changes["database"] = {"start_patience_seconds": 2}
    await asyncio.to_thread(server.stop)
    code, output = await enrolled_place.command("serve")
    assert code == EXIT_UNAVAILABLE
    assert output.count("opening the database") == 1
    assert "error: the database cannot be reached" in output


async def test_a_command_does_not_wait_and_does_not_say_that_it_tries_again(
    enrolled_place: Place, server: PostgresServer
) -> None:
    await asyncio.to_thread(server.stop)
    code, output = await enrolled_place.command("keys", "status")
    assert code == EXIT_UNAVAILABLE
    assert "error: the database cannot be reached" in output
    assert "tried again" not in output


async def test_a_frozen_database_holds_up_no_stop(
    enrolled_place: Place, server: PostgresServer, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    """Something is in work and waits for it then; it is found again."""
    place = enrolled_place
    place.changes["database"] = {"statement_timeout_seconds": 60}
    async with running_daemon(place.settings_file, place.address, place.log) as process:
        await on_floor(client_of(place), await publish(place, threat=False))
        server.pause()
        try:
            await publish(place, threat=False)

            async def waits_for_the_database() -> bool:
                return (await readiness(http, place))[0] == 503

            await until(waits_for_the_database)
            assert await ends(process) == 0
        finally:
            server.resume()
