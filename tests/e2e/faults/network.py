"""A network namespace of a process's own, with links into the world that can be cut, slowed and made lossy.

The namespace has a loopback device and nothing else. Each address that the process may reach is listened on inside, and
carried outside byte for byte, so the addresses that a broker advertises stay true. A link that is cut carries nothing,
in both directions and without a word; a connection that survives goes on when it is mended.
"""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.e2e.faults.nursery import enter_namespace

_LOOPBACK: Final = "127.0.0.1"
_PIECE_BYTES: Final = 65_536
_RETRANSMISSION_SECONDS: Final = 0.4
"""About what a lost segment costs a connection with a round trip of 400 ms: it is sent again, and all behind waits."""

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass
class Link:
    """What happens to the bytes of one pair, e.g. consumer and database.

    silence_seconds: after so long a cut the other end gives up on connections, as a server's keepalive does (the
    kernel, which does that in a real cut, cannot see this one).
    """

    name: str
    silence_seconds: float | None = None
    delay_seconds: float = 0.0
    loss: float = 0.0
    _whole: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _far_ends: set[asyncio.StreamWriter] = field(default_factory=set, repr=False)
    _giving_up: asyncio.TimerHandle | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._whole.set()

    def cut(self) -> None:
        self._whole.clear()
        if self.silence_seconds is not None:
            self._giving_up = asyncio.get_running_loop().call_later(self.silence_seconds, self._give_up)

    def mend(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._whole.set()

    async def carry(self, near: tuple[asyncio.StreamReader, asyncio.StreamWriter], connect: Connect) -> None:
        """Carries one connection until both sides have ended it. The far side is reached when the link is whole."""
        far_writer = None
        try:
            await self._whole.wait()
            far_reader, far_writer = await connect()
            self._far_ends.add(far_writer)
            await asyncio.gather(self._pump(near[0], far_writer), self._pump(far_reader, near[1]))
        except OSError:
            return  # one side ended it, which the other side learns below
        finally:
            if far_writer is not None:
                self._far_ends.discard(far_writer)
                far_writer.close()
            await self._whole.wait()  # what the other end did is not heard through a cut
            near[1].close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Delays what comes without thinning it out: pieces under way overlap."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while (due := await under_way.get())[1]:
                await asyncio.sleep(max(0.0, due[0] - loop.time()))
                if self.loss and random.random() < self.loss:
                    await asyncio.sleep(_RETRANSMISSION_SECONDS)
                await self._whole.wait()
                writer.write(due[1])
                await writer.drain()
            await self._whole.wait()
            if writer.can_write_eof():
                writer.write_eof()

        delivering = asyncio.create_task(deliver())
        try:
            while piece := await reader.read(_PIECE_BYTES):
                under_way.put_nowait((loop.time() + self.delay_seconds, piece))
            under_way.put_nowait((loop.time() + self.delay_seconds, b""))
            await delivering
        finally:
            delivering.cancel()

    def _give_up(self) -> None:
        for writer in self._far_ends:
            writer.transport.abort()


class Namespace:
    """An async context manager: makes the namespace and removes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._servers: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Namespace":
        await asyncio.to_thread(_ip, "netns", "add", self.name)
        await asyncio.to_thread(_ip, "-n", self.name, "link", "set", "lo", "up")
        return self

    async def __aexit__(self, *_ended: object) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        await asyncio.to_thread(_ip, "netns", "del", self.name)

    async def reach_out(self, link: Link, ports: Sequence[int]) -> None:
        """What the process connects to on these loopback ports is the world's loopback port of the same number."""
        for port in ports:
            listening = _inside(self.name, partial(_listening, port))
            await self._serve(listening, link, partial(asyncio.open_connection, _LOOPBACK, port))

    async def let_in(self, link: Link, port: int) -> None:
        """What the world connects to on this loopback port is the process's port of the same number."""

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            inside = _inside(self.name, _unconnected)
            await asyncio.get_running_loop().sock_connect(inside, (_LOOPBACK, port))
            return await asyncio.open_connection(sock=inside)

        await self._serve(_listening(port), link, connect)

    async def _serve(self, listening: socket.socket, link: Link, connect: Connect) -> None:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(link.carry((reader, writer), connect))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

        self._servers.append(await asyncio.start_server(accepted, sock=listening))


def why_no_namespaces() -> str | None:
    """Why no network namespace can be made here; None when one can."""
    if shutil.which("ip") is None:
        return "there is no `ip` (Debian: iproute2)"
    if os.geteuid() != 0:
        return "network namespaces take root"
    name = f"rtcc-trial-{os.getpid()}"
    try:
        _ip("netns", "add", name)
    except RuntimeError as error:
        return str(error)
    _ip("netns", "del", name)
    return None


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _inside(name: str, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket belongs to the namespace of the thread that made it, and works in every thread."""
    made: list[socket.socket] = []

    def in_thread() -> None:
        enter_namespace(name)
        made.append(make())

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    if not made:
        raise RuntimeError(f"no socket could be made in the namespace {name}")
    return made[0]


def _listening(port: int) -> socket.socket:
    made = _unconnected()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with suppress(OSError):
        made.bind((_LOOPBACK, port))
        return made
    made.close()
    raise RuntimeError(f"port {port} cannot be listened on")


def _unconnected() -> socket.socket:
    made = socket.socket()
    made.setblocking(False)  # noqa: FBT003 - the library's signature
    return made
