"""The network that faults are done to: hosts reach each other, a cut is silent, and a far host is late and loses."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.faults.site import Site
from tests.e2e.faults.tunnel import tunnel
from tests.e2e.faults.wire import why_no_wire
from tests.hosts import LOOPBACK, Host, ip, why_no_hosts

_PORT = 7000
_LONG_ENOUGH_SECONDS = 0.5
"""Within a bridge an answer takes far less than a millisecond."""


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    if (why := why_no_hosts()) is not None:
        pytest.skip(why)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


@asynccontextmanager
async def echoing(host: Host, address: str) -> AsyncIterator[None]:
    """Whoever sends something to that address gets it back."""
    loop = asyncio.get_running_loop()
    with host.entered():
        listening = socket.create_server((address, _PORT))
    listening.setblocking(False)  # noqa: FBT003 - the library's signature

    async def echo(connection: socket.socket) -> None:
        with connection:
            while piece := await loop.sock_recv(connection, 65_536):
                await loop.sock_sendall(connection, piece)

    async def accept() -> None:
        async with asyncio.TaskGroup() as answering:
            while True:
                answering.create_task(echo((await loop.sock_accept(listening))[0]))

    with listening:
        accepting = asyncio.create_task(accept())
        yield
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)


@asynccontextmanager
async def connected(host: Host, address: str) -> AsyncIterator[socket.socket]:
    with host.entered():
        connecting = socket.socket()
    connecting.setblocking(False)  # noqa: FBT003 - the library's signature
    with connecting:
        await asyncio.get_running_loop().sock_connect(connecting, (address, _PORT))
        yield connecting


async def say(connection: socket.socket, what: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, what)


async def hear(connection: socket.socket, count: int) -> bytes:
    """The next so many bytes. Raises TimeoutError when they do not come."""
    heard = b""
    async with asyncio.timeout(60):
        while len(heard) < count:
            heard += await asyncio.get_running_loop().sock_recv(connection, count - len(heard))
    return heard


async def answers(connection: socket.socket) -> bool:
    await say(connection, b"there?")
    return await hear(connection, 6) == b"there?"


async def nothing_comes(waiting: Awaitable[object]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, _LONG_ENOUGH_SECONDS)


async def test_a_cut_is_silent_and_of_one_pair_and_what_was_under_way_arrives_when_it_is_mended(site: Site) -> None:
    one, other, third = (site.add_host(name) for name in ("one", "other", "third"))
    async with (
        echoing(one, one.address),
        connected(other, one.address) as from_other,
        connected(third, one.address) as from_third,
        connected(Host(), one.address) as from_people,
    ):
        assert [await answers(each) for each in (from_other, from_third, from_people)] == [True, True, True]
        with site.cut(one, [other]):
            await say(from_other, b"hello?")
            await nothing_comes(hear(from_other, 1))
            await nothing_comes(connected(other, one.address).__aenter__())
            assert [await answers(each) for each in (from_third, from_people)] == [True, True]
        assert await hear(from_other, 6) == b"hello?"


async def test_people_can_be_cut_off(site: Site) -> None:
    one, other = site.add_host("one"), site.add_host("other")
    async with (
        echoing(one, one.address),
        connected(Host(), one.address) as from_people,
        connected(other, one.address) as from_other,
    ):
        with site.cut(one, [site.people]):
            await say(from_people, b"hello?")
            await nothing_comes(hear(from_people, 1))
            assert await answers(from_other)
        assert await hear(from_people, 6) == b"hello?"


async def test_what_a_far_host_says_is_late_and_lost_in_part_and_still_all_of_it_arrives(site: Site) -> None:
    if (why := why_no_wire()) is not None:
        pytest.skip(why)
    far, near = site.add_host("far"), site.add_host("near")
    loop = asyncio.get_running_loop()
    async with echoing(near, near.address), connected(far, near.address) as connection:
        with site.far_away([far], 0.2, 0.05):
            began = loop.time()
            assert await answers(connection)
            assert loop.time() - began >= 2 * 0.2, "there and back"
            said = bytes(range(256)) * 800
            await say(connection, said)
            assert await hear(connection, len(said)) == said
        with site.far_away([far], 0.0, 1.0):
            await say(connection, b"hello?")
            await nothing_comes(hear(connection, 1))
        assert await hear(connection, 6) == b"hello?"


async def test_a_tunnel_ends_on_the_loopback_of_its_host(site: Site) -> None:
    host = site.add_host("one")
    async with echoing(host, LOOPBACK), tunnel(host, _PORT), connected(Host(), LOOPBACK) as connection:
        assert await answers(connection)


def test_the_network_goes_with_the_run() -> None:
    """Neither the namespaces nor the thread's place in one of them stay."""
    before = list(socket.if_nameindex())
    with Site() as site:
        host = site.add_host("one")
        assert [name for _, name in socket.if_nameindex()] != [name for _, name in before]
        with host.entered():
            assert {name for _, name in socket.if_nameindex()} == {"lo", "eth0"}
    assert socket.if_nameindex() == before
    with pytest.raises(FileNotFoundError), host.entered():
        pass


def test_what_a_killed_run_left_is_removed() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = f"rtcc-{dead.pid}-database"
    ip("netns", "add", left)
    with Site():
        assert not Path("/run/netns", left).exists()
