"""How people reach a web process on another host: it serves its own machine only, so they take a tunnel (`ssh -L`)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from tests.e2e.carrying import Ends, carried
from tests.hosts import LOOPBACK, Host


@asynccontextmanager
async def tunnel(host: Host, port: int) -> AsyncIterator[None]:
    """Whoever connects to this loopback port here gets to the host's loopback port of the same number."""
    async with (
        carried(_listening(host, host.address, port), partial(_connected, host, LOOPBACK, port)),
        carried(_listening(Host(), LOOPBACK, port), partial(_connected, Host(), host.address, port)),
    ):
        yield


def _listening(host: Host, address: str, port: int) -> socket.socket:
    with host.entered():
        return socket.create_server((address, port))


async def _connected(host: Host, address: str, port: int) -> Ends:
    with host.entered():
        connecting = socket.socket()
    connecting.setblocking(False)  # noqa: FBT003 - the library's signature
    try:
        await asyncio.get_running_loop().sock_connect(connecting, (address, port))
    except BaseException:
        connecting.close()
        raise
    return await asyncio.open_connection(sock=connecting)
