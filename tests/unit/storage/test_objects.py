"""The vault: objects appear whole or not at all, and are readable while their key is there."""

import asyncio
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.errors import ConfigurationError, IntegrityError, NotFoundError, UnavailableError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import SMALL_BYTES, ObjectVault, SealedObject
from rtcc_bridge.storage.store_marker import MARKER
from tests.doubles import ManualClock
from tests.vault_kit import master_keys, open_vault, stored_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
async def vault(folder: Path, clock: ManualClock) -> AsyncIterator[ObjectVault]:
    async with open_vault(folder, clock) as opened:
        yield opened


async def recorded(vault: ObjectVault, database: Database, content: bytes, kind: str = "picture") -> SealedObject:
    sealed = await vault.seal(kind, content)
    async with database.write() as tx:
        await vault.record(tx, sealed)
    return sealed


async def read(vault: ObjectVault, database: Database, object_key: str) -> bytes:
    async with database.read() as tx:
        wrapped = await vault.key_of(tx, object_key)
    return await vault.unseal(object_key, wrapped)


async def streamed(*pieces: bytes, failure: BaseException | None = None) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if failure is not None:
        raise failure


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000, 11_000_000])
async def test_an_object_comes_back_from_bytes_and_from_a_stream(
    vault: ObjectVault, database: Database, size: int
) -> None:
    content = os.urandom(size)
    whole = await recorded(vault, database, content)
    pieces = [content[start : start + 700_001] for start in range(0, size, 700_001)]
    stream = await vault.seal("picture", streamed(*pieces))
    assert (whole.size_bytes, whole.sha256) == (stream.size_bytes, stream.sha256)
    assert whole.object_key != stream.object_key
    async with database.write() as tx:
        await vault.record(tx, stream)
    for sealed in (whole, stream):
        assert await read(vault, database, sealed.object_key) == content


async def test_small_objects_are_sealed_together_each_under_a_key_of_its_own(
    vault: ObjectVault, database: Database
) -> None:
    contents = [b"", b"ann", b"bob", b"ann", os.urandom(SMALL_BYTES)]
    together = await vault.seal_together("picture", contents)
    assert [one.sha256 for one in together] == [hashlib.sha256(content).hexdigest() for content in contents]
    assert len({one.wrapped_key for one in together}) == len({one.object_key for one in together}) == len(contents)
    async with database.write() as tx:
        await vault.record(tx, *together)
    assert [await read(vault, database, one.object_key) for one in together] == contents
    assert await vault.seal_together("picture", []) == []


async def test_of_objects_that_are_sealed_together_all_are_left_or_none(
    vault: ObjectVault, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie in their places already when the disk fails."""

    def failing_disk(*paths: Path) -> None:
        assert [path.exists() for path in paths] == [True, True]
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr("rtcc_bridge.storage.objects.sync_to_disk", failing_disk)
    with pytest.raises(UnavailableError, match=r"and 1 more cannot be written: .*the disk is broken"):
        await vault.seal_together("picture", [b"ann", b"bob"])
    assert not stored_files(folder)


async def test_nothing_plain_is_on_the_disk_and_only_the_owner_may_look(
    vault: ObjectVault, database: Database, folder: Path, tmp_path: Path
) -> None:
    await recorded(vault, database, b"a very plain sentence " * 10_000)
    assert all(b"very plain" not in file.read_bytes() for file in stored_files(tmp_path))
    assert stored_files(folder)
    assert os.stat(folder).st_mode & 0o777 == 0o700  # noqa: PTH116


async def test_a_stream_that_fails_leaves_nothing_and_its_error_passes_through(
    vault: ObjectVault, folder: Path
) -> None:
    with pytest.raises(ConnectionResetError, match="gone"):
        await vault.seal("picture", streamed(b"x" * 12_000_000, failure=ConnectionResetError("gone")))
    assert stored_files(folder) == []


async def test_a_cancelled_seal_leaves_nothing(vault: ObjectVault, folder: Path) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 12_000_000
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(vault.seal("picture", endless()))
    await waiting.wait()
    assert stored_files(folder)  # staged under another name
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored_files(folder) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_destroyed_key_is_the_end_of_the_object(vault: ObjectVault, database: Database, folder: Path) -> None:
    sealed = await recorded(vault, database, b"face")
    kept = await recorded(vault, database, b"other")
    async with database.write() as tx:
        assert await vault.destroy(tx, sealed.object_key, "picture/never-there") == 1
    assert stored_files(folder)
    with pytest.raises(NotFoundError, match="destroyed"):
        await read(vault, database, sealed.object_key)
    await vault.delete(sealed.object_key, "picture/never-there")
    assert [path.name for path in stored_files(folder)] == [kept.object_key.split("/")[1]]
    assert await read(vault, database, kept.object_key) == b"other"


async def test_a_rolled_back_destruction_did_not_happen(vault: ObjectVault, database: Database) -> None:
    sealed = await recorded(vault, database, b"face")

    async def destroy_and_fail() -> None:
        async with database.write() as tx:
            await vault.destroy(tx, sealed.object_key)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await destroy_and_fail()
    assert await read(vault, database, sealed.object_key) == b"face"


async def test_an_object_of_a_failed_transaction_is_unreadable_and_can_be_discarded(
    vault: ObjectVault, database: Database, folder: Path
) -> None:
    sealed = await vault.seal("picture", b"face")
    with pytest.raises(NotFoundError):
        await read(vault, database, sealed.object_key)
    await vault.discard(sealed, sealed)
    assert stored_files(folder) == []


async def test_altered_truncated_and_swapped_objects_are_refused(
    vault: ObjectVault, database: Database, folder: Path
) -> None:
    first, second = [await recorded(vault, database, content) for content in (b"one" * 50_000, b"two" * 50_000)]
    file, other = folder / first.object_key, folder / second.object_key
    intact = file.read_bytes()
    for bad in (intact[:-1], intact + b"\0", bytes([intact[0] ^ 1]) + intact[1:], other.read_bytes(), b""):
        file.write_bytes(bad)
        with pytest.raises(IntegrityError):
            await read(vault, database, first.object_key)
    file.write_bytes(intact)
    assert await read(vault, database, first.object_key) == b"one" * 50_000


async def test_a_row_that_was_swapped_in_the_database_opens_nothing(vault: ObjectVault, database: Database) -> None:
    first, second = [await recorded(vault, database, content) for content in (b"one", b"two")]
    async with database.read() as tx:
        wrong = await vault.key_of(tx, second.object_key)
    with pytest.raises(IntegrityError):
        await vault.unseal(first.object_key, wrong)


async def test_another_master_key_is_named_and_opens_nothing(
    vault: ObjectVault, database: Database, folder: Path, clock: ManualClock
) -> None:
    sealed = await recorded(vault, database, b"face")
    async with open_vault(folder, clock, master_keys(b"z")) as other:
        with pytest.raises(UnavailableError, match=sealed.master_key_id):
            await read(other, database, sealed.object_key)


async def test_bytes_that_are_gone_are_not_found(vault: ObjectVault, database: Database, folder: Path) -> None:
    sealed = await recorded(vault, database, b"face")
    (folder / sealed.object_key).unlink()
    with pytest.raises(NotFoundError, match="not in the object store"):
        await read(vault, database, sealed.object_key)


def folder_with(folder: Path, *names: str) -> None:
    for name in ("", *names):
        (folder / name).mkdir()


def unmount(folder: Path, left: str) -> Path:
    """Takes the store away; says where it is now."""
    unmounted = folder.rename(folder.with_name("unmounted"))
    if left != "nothing":
        folder_with(folder, *(["elsewhere"] if left == "another folder" else []))
    return unmounted


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "another folder"])
async def test_a_store_that_vanished_is_unavailable_until_it_is_back_and_gets_nothing_written(
    vault: ObjectVault, database: Database, folder: Path, left: str
) -> None:
    sealed = await recorded(vault, database, b"face")
    await vault.ping()
    unmounted = unmount(folder, left)
    files = stored_files(folder)
    for use in (
        vault.ping(),
        vault.seal("picture", b"another"),
        read(vault, database, sealed.object_key),
        vault.delete(sealed.object_key),
    ):
        with pytest.raises(UnavailableError, match="is it mounted"):
            await use
    assert stored_files(folder) == files
    shutil.rmtree(folder, ignore_errors=True)
    unmounted.rename(folder)
    await vault.ping()
    assert await read(vault, database, sealed.object_key) == b"face"


@pytest.mark.parametrize("there", [(), ("lost+found",)])
async def test_a_folder_with_nothing_in_it_becomes_a_store_and_stays_one(
    folder: Path, clock: ManualClock, there: tuple[str, ...]
) -> None:
    folder_with(folder, *there)
    for _ in range(2):
        async with open_vault(folder, clock) as vault:
            await vault.ping()
            await vault.seal("picture", b"face")


async def test_a_folder_of_something_else_is_not_made_a_store(folder: Path, clock: ManualClock) -> None:
    folder_with(folder, "letters")
    async with open_vault(folder, clock) as vault:
        with pytest.raises(UnavailableError, match=MARKER):
            await vault.ping()
    assert stored_files(folder) == []


@pytest.mark.parametrize("kind", ["", "Picture", "../etc", "a/b", "a b", "-a", "a" * 65])
async def test_a_kind_cannot_lead_out_of_the_store(vault: ObjectVault, kind: str) -> None:
    with pytest.raises(ValueError, match="not a kind"):
        await vault.seal(kind, b"")


async def test_a_folder_that_cannot_be_made_is_told_with_its_setting(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"objects\.url: the folder .* cannot be used .* may write to"):
        async with open_vault(tmp_path / "file" / "objects", clock):
            pass


@pytest.mark.parametrize("setting", ["url", "ledger_url"])
async def test_an_address_of_no_store_is_a_mistake_in_the_settings(
    setting: str, folder: Path, clock: ManualClock
) -> None:
    settings = ObjectSettings(**{"url": folder.as_uri(), setting: "s3://"})
    with pytest.raises(ConfigurationError, match=rf"objects\.{setting}"):
        async with ObjectVault(settings, master_keys(), clock):
            pass


async def test_outside_its_context_a_vault_does_nothing(folder: Path, clock: ManualClock) -> None:
    async with open_vault(folder, clock) as vault:
        await vault.ping()
    with pytest.raises(RuntimeError, match="context"):
        await vault.seal("picture", b"")


async def test_a_seal_that_is_cancelled_at_its_very_end_leaves_nothing(
    vault: ObjectVault, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object lies in its place already and is being brought to the disk."""
    at_the_end, go_on = threading.Event(), threading.Event()

    def slow_disk(*_paths: Path) -> None:
        at_the_end.set()
        go_on.wait(10)

    monkeypatch.setattr("rtcc_bridge.storage.objects.sync_to_disk", slow_disk)
    task = asyncio.create_task(vault.seal("picture", b"content"))
    await asyncio.to_thread(at_the_end.wait, 10)
    assert stored_files(folder)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not stored_files(folder)
