"""The object store when it is full, read-only, unreachable or slow; and what a large object costs in memory."""

import asyncio
import os
import re
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from obstore.store import from_url

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage import store_opening
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from tests.doubles import ManualClock
from tests.small_disks import fill, remount_read_only
from tests.vault_kit import master_keys, open_vault, stored_files

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_MORE_THAN_ONE_PART = 12_000_000


async def _stream(pieces: int) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield os.urandom(65_536)


async def test_a_full_disk_is_unavailable_and_leaves_no_half_object(small_disk: Path, clock: ManualClock) -> None:
    async with open_vault(small_disk, clock) as vault:
        kept = await vault.seal("picture", b"x" * 500_000)
        await vault.ping()
        for pieces in (16, 160):
            with pytest.raises(UnavailableError, match="No space left"):
                await vault.seal("picture", _stream(pieces))
        assert [path.name for path in stored_files(small_disk / "picture")] == [kept.object_key.split("/")[1]]
        filling = fill(small_disk)
        with pytest.raises(UnavailableError, match="No space left"):
            await vault.ping()
        filling.unlink()
        await vault.ping()
        await vault.seal("picture", b"x" * 100_000)


async def test_a_read_only_disk_is_unavailable(small_disk: Path, clock: ManualClock) -> None:
    async with open_vault(small_disk, clock) as vault:
        kept = await vault.seal("picture", b"x")
        remount_read_only(small_disk)
        with pytest.raises(UnavailableError, match="Read-only"):
            await vault.seal("picture", b"y")
        with pytest.raises(UnavailableError, match="Read-only"):
            await vault.ping()
        with pytest.raises(UnavailableError):
            await vault.delete(kept.object_key)
        await vault.discard(kept)


@pytest.fixture
def s3_settings(monkeypatch: pytest.MonkeyPatch) -> ObjectSettings:
    for name, value in {
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
        "REGION": "us-east-1",
        "ALLOW_HTTP": "1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return ObjectSettings(url="s3://bucket/prefix", timeout_seconds=1.5)


@pytest.fixture(params=["with a limit of its own", "without"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's client. Its limit is for whole requests and hides the vault's own, so it is taken away as well."""

    def without_limit(url: str, **_options: object) -> "ObjectStore":
        return from_url(url, client_options={"timeout": timedelta(hours=1), "allow_http": True})

    if request.param == "without":
        monkeypatch.setattr(store_opening, "from_url", without_limit)


class Store:
    """A server in the store's place."""

    def __init__(self, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._answer = answer
        self._connections: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    @property
    def was_asked(self) -> bool:
        return bool(self._connections)

    async def open(self) -> str:
        """Returns its address."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """From now on nobody is there. May be called again, for connections that came as it closed."""
        assert self._server is not None
        self._server.close()
        while self._connections:
            writer = self._connections.pop()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(writer)
        with suppress(ConnectionError):
            await self._answer(reader, writer)


@asynccontextmanager
async def _vault_at(
    store: Store, settings: ObjectSettings, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> AsyncIterator[ObjectVault]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", await store.open())
    try:
        async with ObjectVault(settings, master_keys(), clock) as vault, asyncio.timeout(60):
            yield vault
    finally:
        await store.close()


@pytest.mark.usefixtures("client")
async def test_a_store_that_hangs_or_is_not_there_is_unavailable_within_its_time(
    s3_settings: ObjectSettings, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    """A server that accepts and never answers, then the same port closed."""

    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pass

    store = Store(silent)
    async with _vault_at(store, s3_settings, monkeypatch, clock) as vault:
        for content in (b"x", bytes(_MORE_THAN_ONE_PART)):
            with pytest.raises(UnavailableError):
                await vault.seal("picture", content)
        assert store.was_asked
        for call in (
            vault.ping(),
            vault.delete("picture/x"),
            vault.size_of_sealed("picture/x"),
            vault.unseal("picture/x", await _sealed_before()),
            _read(vault),
        ):
            with pytest.raises(UnavailableError):
                await call
        await store.close()
        with pytest.raises(UnavailableError):
            await vault.seal("picture", b"x")


async def _sealed_before() -> SealedObject:
    wrapped = await master_keys().wrap(bytes(32))
    return SealedObject("picture/x", wrapped.wrapped, wrapped.master_key_id, 1, "")


async def _read(vault: ObjectVault) -> int:
    return sum([len(piece) async for piece in vault.read_sealed("picture/x")])


@pytest.mark.usefixtures("client")
async def test_a_store_that_falls_silent_within_an_object_is_not_waited_for(
    s3_settings: ObjectSettings, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\nLast-Modified: Wed, 25 Nov 2026 12:00:00 GMT\r\nETag: x"
        writer.write(head.encode() + b"\r\n\r\n" + bytes(3_000_000))
        await writer.drain()

    async with _vault_at(Store(stalls), s3_settings, monkeypatch, clock) as vault:
        with pytest.raises(UnavailableError, match="picture/x cannot be read"):
            await _read(vault)


async def test_when_a_store_refuses_one_of_several_objects_the_others_are_deleted_once_they_are_there(
    s3_settings: ObjectSettings, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    methods: list[str] = []

    async def refuses_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = re.search(r"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                is_first = not methods
                methods.append(head.split()[0])
                status = "403 Forbidden" if is_first else "200 OK"
                writer.write(f"HTTP/1.1 {status}\r\nETag: x\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()

    async with _vault_at(Store(refuses_the_first), s3_settings, monkeypatch, clock) as vault:
        with pytest.raises(UnavailableError, match="and 2 more cannot be written"):
            await vault.seal_together("picture", [b"ann", b"bob", b"cat"])
    assert methods[:3] == ["put"] * 3
    assert methods[3:]
    assert "put" not in methods[3:]


_SEAL_MUCH = """
import asyncio, resource, sys
from pathlib import Path
from tests.doubles import ManualClock
from tests.vault_kit import open_vault

async def stream(pieces):
    for _ in range(pieces):
        yield bytes(1 << 20)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    async with open_vault(Path(sys.argv[1]), ManualClock()) as vault:
        await vault.seal("picture", stream(20))
        before = peak()
        sealed = await vault.seal("picture", stream(150))
        print(sealed.size_bytes, peak() - before)

asyncio.run(main())
"""


def _python(script: str, folder: Path, **options: object) -> str:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        check=True,
        capture_output=True,
        timeout=120,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        **options,  # type: ignore[call-overload]
    )
    return str(done.stdout.decode())


def test_a_large_stream_is_sealed_with_flat_memory(tmp_path: Path) -> None:
    size, growth_mebibytes = map(int, _python(_SEAL_MUCH, tmp_path / "objects").split())
    assert size == 150 << 20
    assert growth_mebibytes < 30


_SEAL_TOO_MUCH = """
import asyncio, os, signal, sys
from pathlib import Path
from rtcc_bridge.errors import UnavailableError
from tests.doubles import ManualClock
from tests.vault_kit import open_vault, stored_files

async def main():
    folder = Path(sys.argv[1])
    async with open_vault(folder, ManualClock()) as vault:
        try:
            await vault.seal("picture", bytes(20 << 20))
        except UnavailableError as error:
            print(error, stored_files(folder))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""


def test_a_write_that_the_system_refuses_leaves_no_half_object(tmp_path: Path) -> None:
    """Without a mount: files may have at most 8 MiB."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))

    printed = _python(_SEAL_TOO_MUCH, tmp_path / "objects", preexec_fn=limit)
    assert "File too large" in printed
    assert printed.rstrip().endswith("[]")
