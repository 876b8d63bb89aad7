"""The daemon while what it depends on is away: it stays up, tells the truth, loses nothing and comes back by itself."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from rtcc_bridge.demo.client import CallError
from rtcc_bridge.demo.pictures import portrait, rephotograph
from tests.brokers import OwnBroker, make_topics
from tests.e2e.calls import URGENT, ClientOf, choose_on_threat, is_ready, leads_of, on_floor, publish, readiness, until
from tests.e2e.carrying import Delay, carried
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon, start

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def broker(own_broker: OwnBroker) -> str:
    """The places of this file are on a broker that their test may stop."""
    return own_broker.address


async def test_the_board_is_up_without_a_broker_and_says_so(
    enrolled_place: Place, own_broker: OwnBroker, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    place = enrolled_place
    await own_broker.stop()
    place.changes["kafka"] = {"request_timeout_seconds": 3, "session_timeout_seconds": 3}
    process = await start(["serve", "--config", str(place.settings_file)], place.log)
    try:

        async def up() -> bool:
            try:
                async with http.get(f"{place.address}/") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(up)
        status, text = await readiness(http, place)
        assert status == 503
        assert "broker" in text
        async with http.get(f"{place.address}/healthz") as answer:
            assert answer.status == 200
        await own_broker.start()
        await make_topics(place.settings.kafka)

        async def ready() -> bool:
            return (await readiness(http, place))[0] == 200

        await until(ready)
        await on_floor(client_of(place), await publish(place, threat=False))
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_frozen_broker_delays_the_lead_and_loses_nothing(
    enrolled_place: Place, own_broker: OwnBroker, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    place = enrolled_place
    place.changes["kafka"] = {"request_timeout_seconds": 3, "session_timeout_seconds": 3}
    client = client_of(place)
    async with running_daemon(place.settings_file, place.address, place.log):
        incident = await publish(place, threat=True)
        await on_floor(client, incident)
        own_broker.freeze()
        try:

            async def says_so() -> bool:
                status, text = await readiness(http, place)
                return status == 503 and "the broker does not answer" in text

            await until(says_so)
            probe_id = await choose_on_threat(client, incident)
            async with http.get(f"{place.address}/") as answer:
                assert answer.status == 200
        finally:
            own_broker.thaw()

        async def has_lead() -> bool:
            return len(await leads_of(http, place, probe_id)) == 1

        await until(has_lead)

        async def ready() -> bool:
            return (await readiness(http, place))[0] == 200

        await until(ready)
        await on_floor(client, await publish(place, threat=False))


async def test_a_broker_that_restarts_is_used_again_even_when_it_forgot_all(
    enrolled_place: Place, own_broker: OwnBroker, client_of: ClientOf
) -> None:
    place = enrolled_place
    place.changes["kafka"] = {"request_timeout_seconds": 3, "session_timeout_seconds": 3}
    client = client_of(place)
    async with running_daemon(place.settings_file, place.address, place.log):
        await on_floor(client, await publish(place, threat=False))
        await own_broker.stop()
        await own_broker.start()
        await make_topics(place.settings.kafka)
        await on_floor(client, await publish(place, threat=False))


async def test_a_killed_daemon_gives_the_lead_after_its_restart_once(
    enrolled_place: Place, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    place = enrolled_place
    client = client_of(place)
    process = await start(["serve", "--config", str(place.settings_file)], place.log)

    await until(lambda: is_ready(http, place))
    incident = await publish(place, threat=True)
    await on_floor(client, incident)
    probe_id = await choose_on_threat(client, incident)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    async with running_daemon(place.settings_file, place.address, place.log):

        async def has_lead() -> bool:
            return len(await leads_of(http, place, probe_id)) > 0

        await until(has_lead)
        (lead,) = await leads_of(http, place, probe_id)
        assert lead["data"]["sequence"] == 1


@pytest.fixture
def small_store(place: Place) -> Iterator[Path]:
    """An object store of 1 MB, on a file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    place.objects.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place.objects)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place.objects
    subprocess.run(["umount", "--lazy", str(place.objects)], check=True)


async def test_a_full_object_store_refuses_the_upload_and_keeps_nothing(
    small_store: Path, enrolled_place: Place, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    place = enrolled_place
    client = client_of(place)
    async with running_daemon(place.settings_file, place.address, place.log):
        incident = await publish(place, threat=True)
        await on_floor(client, incident)
        filler = small_store / "filler"
        filler.write_bytes(b"\0" * (shutil.disk_usage(small_store).free - 4096))
        with pytest.raises(CallError, match=r": 503 "):
            await client.attach(incident, URGENT, rephotograph(portrait()), "still.jpg")
        async with http.get(f"{place.address}/") as answer:
            assert answer.status == 200
        filler.unlink()
        probe_id = await choose_on_threat(client, incident)

        async def has_lead() -> bool:
            return len(await leads_of(http, place, probe_id)) == 1

        await until(has_lead)


@asynccontextmanager
async def late_database(place: Place) -> AsyncIterator[Delay]:
    """The place's PostgreSQL by another address, which the daemon is told to use; its answers can be late."""
    url = place.database_url
    address = url.rpartition("@")[2].partition("/")[0]
    host, _, port = address.partition(":")
    listening = socket.create_server(("127.0.0.1", 0))
    place.changes["database"] = {"url": url.replace(address, f"127.0.0.1:{listening.getsockname()[1]}")}
    delay = Delay()
    async with carried(listening, partial(asyncio.open_connection, host, int(port)), delay):
        yield delay


@pytest.mark.postgresql
async def test_a_database_that_answers_after_five_seconds_is_told_and_loses_nothing(
    enrolled_place: Place, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    place, client = enrolled_place, client_of(enrolled_place)
    async with late_database(place) as delay, running_daemon(place.settings_file, place.address, place.log):
        await on_floor(client, await publish(place, threat=False))
        delay.seconds = 2.5  # there, and back
        late = await publish(place, threat=False)

        async def is_told() -> bool:
            status, text = await readiness(http, place)
            return status == 503 and "no answer within 2 s" in text

        await until(is_told)
        async with http.get(f"{place.address}/healthz") as answer:
            assert answer.status == 200
        async with http.get(f"{place.address}/api/v1/floor") as answer:
            assert "database" in [problem["name"] for problem in (await answer.json())["problems"]]
        delay.seconds = 0.0
        await on_floor(client, late)

        async def is_ready() -> bool:
            return (await readiness(http, place))[0] == 200

        await until(is_ready)
    connection = await asyncpg.connect(place.database_url.replace("+asyncpg", ""))
    told = await connection.fetchval(
        "SELECT count(*) FROM outbox WHERE event_type = 'floor.incident' AND event::text LIKE $1", f"%{late}%"
    )
    await connection.close()
    assert told == 1
