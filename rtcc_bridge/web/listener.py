"""Serves an application at an address: at most so many connections at once, none of them idle for long.

Whoever reaches the port could otherwise hold all of the process's file descriptors, which it needs for broker and
database.
"""

import asyncio
from collections import Counter
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

_log: Final = structlog.get_logger(__name__)


class Listener:
    """Made by `listen`. addresses: host and port of each socket."""

    def __init__(self, runner: web.AppRunner, server: asyncio.Server) -> None:
        self._runner = runner
        self._server = server
        self.addresses: tuple[tuple[str, int], ...] = tuple(one.getsockname()[:2] for one in server.sockets)

    async def stop(self) -> None:
        """Takes no more connections, and lets open requests finish within the time that `listen` was given."""
        self._server.close()
        await self._runner.cleanup()


async def listen(
    app: web.Application, host: str, port: int, *, connections: int, idle_seconds: float, shutdown_seconds: float
) -> Listener:
    """Serves from now on. Raises OSError when the address cannot be bound.

    connections: when there are as many, the oldest that asks for nothing makes room for a further one; when all of them
    are being answered, the further one is closed. So who only connects does not keep probes and people out.
    idle_seconds: so long a connection may take to send the head of its first or its next request.
    """
    busy = _Busy()
    app.middlewares.insert(0, busy.note)
    runner = web.AppRunner(app, shutdown_timeout=shutdown_seconds, access_log=None, keepalive_timeout=idle_seconds)
    await runner.setup()
    assert runner.server is not None
    try:
        server = await asyncio.get_running_loop().create_server(_Bounded(runner.server, busy, connections), host, port)
    except OSError:
        await runner.cleanup()
        raise
    return Listener(runner, server)


class _Busy:
    """The connections on which a request is being answered."""

    def __init__(self) -> None:
        self._answering: Counter[asyncio.BaseProtocol] = Counter()

    def __contains__(self, connection: asyncio.BaseProtocol) -> bool:
        return connection in self._answering

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        self._answering[connection] += 1
        try:
            return await handler(request)
        finally:
            self._answering[connection] -= 1
            if not self._answering[connection]:
                del self._answering[connection]


class _Bounded:
    """Makes the protocol of each new connection."""

    def __init__(self, server: web.Server, busy: _Busy, limit: int) -> None:
        self._server = server
        self._busy = busy
        self._limit = limit
        self._is_full = False

    def __call__(self) -> asyncio.BaseProtocol:
        has_room = self._has_room()
        if not has_room and not self._is_full:
            _log.warning("no further connection is taken: all are busy", connections=self._limit)
        self._is_full = not has_room
        return self._server() if has_room else _Closing()

    def _has_room(self) -> bool:
        there = [one for one in self._server.connections if one.transport and not one.transport.is_closing()]
        if len(there) < self._limit:
            return True
        idle = next((one for one in there if one not in self._busy), None)
        if idle is None:
            return False
        idle.force_close()
        return True


class _Closing(asyncio.BaseProtocol):
    """Of a connection that there is no room for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
