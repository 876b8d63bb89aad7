"""An address that is served cannot be held by those who only connect: their number and their patience have limits."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from rtcc_bridge.web.listener import listen
from tests.integration.pipeline import until

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Slow:
    """An application whose one page takes until `ends`."""

    def __init__(self) -> None:
        self.begun = 0
        self.ends = asyncio.Event()
        self.ends.set()

    async def page(self, _request: web.Request) -> web.Response:
        self.begun += 1
        await self.ends.wait()
        return web.Response(text="the page")


Connect: TypeAlias = "Callable[[], Awaitable[Client]]"


@asynccontextmanager
async def served(slow: Slow, *, connections: int = 100, idle_seconds: float = 60.0) -> AsyncIterator[Connect]:
    """Yields what connects to it."""
    app = web.Application()
    app.router.add_get("/", slow.page)
    listener = await listen(
        app, "127.0.0.1", 0, connections=connections, idle_seconds=idle_seconds, shutdown_seconds=5.0
    )
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection(*listener.addresses[0])))
        return clients[-1]

    try:
        async with asyncio.timeout(30):
            yield connect
    finally:
        slow.ends.set()
        for client in clients:
            await client.close()
        await listener.stop()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self) -> bytes:
        """The answer's first line; empty when the connection was closed."""
        with suppress(ConnectionError):
            self.writer.write(HEAD)
            await self.writer.drain()
            line = await self.reader.readline()
            while line and await self.reader.readline() != b"\r\n":
                continue
            return line and line + await self.reader.readexactly(len("the page"))
        return b""

    async def is_closed(self) -> bool:
        with suppress(ConnectionError):
            return await self.reader.read(1) == b""
        return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


async def test_who_only_connects_keeps_nobody_out() -> None:
    async with served(Slow(), connections=3) as connect:
        silent = [await connect() for _ in range(3)]
        assert b"200" in await silent[2].ask()
        for _ in range(2):
            assert b"200" in await (await connect()).ask()
        assert await silent[0].is_closed()
        assert await silent[1].is_closed()
        assert b"200" in await silent[2].ask(), "the oldest make room first"


async def test_while_all_are_being_answered_a_further_one_is_closed() -> None:
    slow = Slow()
    slow.ends.clear()
    with capture_logs() as said:
        async with served(slow, connections=2) as connect:
            clients = [await connect() for _ in range(2)]
            asking = [asyncio.create_task(client.ask()) for client in clients]
            await until(lambda: slow.begun == 2)
            for _ in range(3):
                assert await (await connect()).is_closed()
            slow.ends.set()
            assert all(b"200" in answer for answer in await asyncio.gather(*asking))
            assert b"200" in await (await connect()).ask()
    assert [line["event"] for line in said if line["log_level"] == "warning"] == [
        "no further connection is taken: all are busy"
    ]


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HEAD[:-2]], ids=["nothing", "part of a line", "part of a head"])
async def test_a_connection_that_asks_for_nothing_is_closed(sent: bytes) -> None:
    async with served(Slow(), idle_seconds=0.2) as connect:
        client = await connect()
        client.writer.write(sent)
        assert await client.is_closed()


async def test_a_connection_that_asks_for_nothing_more_is_closed() -> None:
    async with served(Slow(), idle_seconds=0.2) as connect:
        client = await connect()
        assert b"200" in await client.ask()
        assert await client.is_closed()


async def test_an_answer_may_take_longer() -> None:
    slow = Slow()
    slow.ends.clear()
    async with served(slow, idle_seconds=0.1) as connect:
        client, other = await connect(), await connect()
        asking = asyncio.create_task(client.ask())
        await until(lambda: slow.begun == 1)
        assert await other.is_closed(), "the time is over"
        slow.ends.set()
        assert b"200" in await asking


async def test_an_address_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address"):
            await listen(web.Application(), *taken.getsockname(), connections=1, idle_seconds=1.0, shutdown_seconds=1.0)
