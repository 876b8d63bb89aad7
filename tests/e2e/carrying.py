"""Carries TCP connections on to another address, byte for byte, and late if that is wanted."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_PIECE_BYTES = 65_536


@dataclass
class Delay:
    """By how much what is carried is late, each way. It may be changed meanwhile."""

    seconds: float = 0.0


@asynccontextmanager
async def carried(
    listening: socket.socket, connect: Callable[[], Awaitable[Ends]], delay: Delay | None = None
) -> AsyncIterator[None]:
    """Each connection that comes in is carried on by one that is made for it; at the end all of them are closed."""
    carrying: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_carry((reader, writer), connect, delay or Delay()))
        carrying.add(task)
        task.add_done_callback(carrying.discard)

    server = await asyncio.start_server(accepted, sock=listening)
    try:
        yield
    finally:
        server.close()
        for task in list(carrying):
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


async def _carry(near: Ends, connect: Callable[[], Awaitable[Ends]], delay: Delay) -> None:
    ends = [near]
    try:
        ends.append(await connect())
        await asyncio.gather(_pump(ends[0][0], ends[1][1], delay), _pump(ends[1][0], ends[0][1], delay))
    except OSError:
        return  # one side ended it, which the other side learns below
    finally:
        for _, writer in ends:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: Delay) -> None:
    """Delays what comes without thinning it out: pieces under way overlap."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while (due := await under_way.get())[1]:
            await asyncio.sleep(max(0.0, due[0] - loop.time()))
            writer.write(due[1])
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    delivering = asyncio.create_task(deliver())
    try:
        while piece := await reader.read(_PIECE_BYTES):
            under_way.put_nowait((loop.time() + delay.seconds, piece))
        under_way.put_nowait((loop.time() + delay.seconds, b""))
        await delivering
    finally:
        delivering.cancel()
