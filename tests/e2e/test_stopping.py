"""A daemon that is asked to stop ends within its limit, whatever it waits for."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.brokers import OwnBroker
from tests.e2e.calls import URGENT, ClientOf, choose_on_threat, on_floor, publish, readiness, until
from tests.e2e.conftest import Place
from tests.e2e.program import Program, running_daemon, start

pytestmark = pytest.mark.timeout(180)

PROMISED_SECONDS = 20.0


@pytest.fixture
def broker(own_broker: OwnBroker) -> str:
    """The daemon's broker is one that the test may freeze."""
    return own_broker.address


async def ends(process: Program) -> int:
    """The exit code. Raises TimeoutError when the process outlives what was promised."""
    process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), PROMISED_SECONDS)


async def test_a_frozen_broker_holds_up_no_stop(
    enrolled_place: Place, own_broker: OwnBroker, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    """However long each part would wait for it; something is in work and something waits to be published."""
    place = enrolled_place
    place.changes["kafka"] = {"request_timeout_seconds": 60}
    place.changes["relay"] = {"publish_timeout_seconds": 60}
    async with running_daemon(place.settings_file, place.address, place.log) as process:
        incident = await publish(place, threat=True)
        await on_floor(client_of(place), incident)
        own_broker.freeze()
        try:
            await choose_on_threat(client_of(place), incident)

            async def waits_for_the_broker() -> bool:
                return (await readiness(http, place))[0] == 503

            await until(waits_for_the_broker)
            assert await ends(process) == 0
        finally:
            own_broker.thaw()


async def test_a_start_that_waits_for_the_broker_hears_that_it_shall_stop(place: Place, own_broker: OwnBroker) -> None:
    place.changes["kafka"] = {"request_timeout_seconds": 60}
    own_broker.freeze()
    try:
        process = await start(["serve", "--config", str(place.settings_file)], place.log)
        await until(lambda: _hears_sigterm(process))
        assert await ends(process) == 0
    finally:
        own_broker.thaw()
    assert "stopped" in place.log.read_text()
    assert "the shutdown hangs" not in place.log.read_text()


def _hears_sigterm(process: Program) -> bool:
    """Whether it has taken over the signal (proc(5): SigCgt); until then it would just be ended by it."""
    status = Path(f"/proc/{process.process_id}/status").read_text(encoding="utf-8")
    caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.once
async def test_an_upload_that_hangs_holds_up_no_stop(enrolled_place: Place, client_of: ClientOf) -> None:
    place = enrolled_place
    place.changes["web"] = {"shutdown_seconds": 60}
    async with running_daemon(place.settings_file, place.address, place.log) as process:
        incident = await publish(place, threat=True)
        await on_floor(client_of(place), incident)
        taken, never = asyncio.Event(), asyncio.Event()

        async def half_a_picture() -> AsyncIterator[bytes]:
            yield b"\xff\xd8\xff\xe0" + bytes(200_000)
            taken.set()
            await never.wait()

        uploading = asyncio.create_task(upload(place, incident, half_a_picture()))
        await taken.wait()
        assert await ends(process) == 0
        uploading.cancel()
        with suppress(aiohttp.ClientError, asyncio.CancelledError):
            await uploading


async def upload(place: Place, incident: str, picture: AsyncIterator[bytes]) -> int:
    form = aiohttp.FormData(URGENT.fields())
    form.add_field("image", picture, filename="still.jpg", content_type="image/jpeg")
    address = f"{place.address}/api/v1/incidents/{incident}/probes"
    async with (
        aiohttp.ClientSession() as http,
        http.post(address, data=form, headers={"X-Demo-Account": "analyst"}) as answer,
    ):
        return answer.status


HANGING_PROCESS = """
import threading
from rtcc_bridge.app.exit_limit import ExitLimit
limit = ExitLimit(0.2)
limit.start()
limit.start()
threading.Thread(target=threading.Event().wait).start()  # the interpreter waits for it for ever
"""


async def test_a_thread_that_hangs_is_cut_off_with_the_process() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGING_PROCESS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 1
    assert b"the shutdown hangs" in output
