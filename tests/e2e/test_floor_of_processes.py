"""The board of a process that only serves it, while the process that does the work comes, goes and is killed."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.e2e.conftest import Place
from tests.e2e.program import Program, start
from tests.ports import free_port

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(180)]

WAIT_SECONDS = 60.0
STOP_SECONDS = 30.0
WORK = "consumer,matcher,relay"


@pytest.fixture
async def board(enrolled_place: Place, http: aiohttp.ClientSession) -> AsyncIterator[Place]:
    """A process with the role web alone."""
    async with process(enrolled_place, enrolled_place.settings_file, "web"):
        await until(lambda: is_ready(http, enrolled_place))
        yield enrolled_place


@pytest.fixture
def work_settings(enrolled_place: Place) -> Path:
    """For a process beside it: the same with a port of its own."""
    settings = yaml.safe_load(enrolled_place.settings_file.read_text())
    settings["web"]["port"] = free_port()
    file = enrolled_place.folder / "work.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


@asynccontextmanager
async def process(place: Place, settings_file: Path, roles: str) -> AsyncIterator[Program]:
    """Runs `serve` with these roles, and asks it to end."""
    log = place.folder / f"{secrets.token_hex(4)}.log"
    started = await start(["serve", "--roles", roles, "--config", str(settings_file)], log)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(started.wait)
        stack.callback(started.kill)
        yield started
        if started.returncode is None:
            started.terminate()
            assert await asyncio.wait_for(started.wait(), STOP_SECONDS) == 0


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - other processes change what is waited for
            await asyncio.sleep(0.1)


async def is_ready(http: aiohttp.ClientSession, place: Place) -> bool:
    try:
        async with http.get(f"{place.address}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def says(http: aiohttp.ClientSession, place: Place, words: str) -> bool:
    """Whether the floor is told this. Without words: whether there is nothing to tell."""
    async with http.get(f"{place.address}/api/v1/floor") as answer:
        assert answer.status == 200
        told = " ".join(problem["meaning"] for problem in (await answer.json())["problems"])
    return words in told if words else not told


async def test_the_board_says_that_the_work_is_not_done_until_it_is(
    board: Place, work_settings: Path, http: aiohttp.ClientSession
) -> None:
    told = partial(says, http, board)
    await until(lambda: told("Nobody reads incidents and alerts now: no consumer process reports."))
    async with process(board, work_settings, WORK):
        await until(lambda: told(""))
    await until(lambda: told("no consumer process reports."))
    async with process(board, work_settings, WORK) as killed:
        await until(lambda: told(""))
        killed.kill()
        await until(lambda: told("Nobody reads incidents and alerts now: no consumer process has reported since"))
        assert await told("Nobody searches now")
        assert await is_ready(http, board), "a balancer would take the board away from the floor"
    async with process(board, work_settings, WORK):
        await until(lambda: told(""))
