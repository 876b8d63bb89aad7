"""Rotation: everything ends up under the new master key, while others read, seal and destroy."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.errors import ConfigurationError, NotFoundError, UnavailableError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage import audit_entries
from rtcc_bridge.storage import key_rotation as rotation_module
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.key_rotation import KeyRotation
from rtcc_bridge.storage.master_key import load_master_keys
from rtcc_bridge.storage.master_keys import LocalMasterKeys, MasterKeys
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from rtcc_bridge.upkeep.master_key import MasterKeyRotation
from tests.doubles import ManualClock
from tests.vault_kit import master_keys, open_vault


@pytest.fixture
def settings(tmp_path: Path) -> ObjectSettings:
    return ObjectSettings(master_key_file=tmp_path / "master.key")


def keys_of(settings: ObjectSettings) -> LocalMasterKeys:
    """As a process of its own reads them."""
    return LocalMasterKeys.load(settings, may_create=True)


@pytest.fixture
async def daemon(tmp_path: Path, settings: ObjectSettings, clock: ManualClock) -> AsyncIterator[ObjectVault]:
    async with open_vault(tmp_path / "objects", clock, keys_of(settings)) as vault:
        yield vault


def rotation_of(settings: ObjectSettings, database: Database, clock: ManualClock) -> MasterKeyRotation:
    return rotation_with(keys_of(settings), database, clock)


def rotation_with(keys: MasterKeys, database: Database, clock: ManualClock) -> MasterKeyRotation:
    return MasterKeyRotation(database, keys, KeyRotation(database, keys), AuditLog(clock), "administrator")


async def stored(vault: ObjectVault, database: Database, content: bytes) -> SealedObject:
    sealed = await vault.seal("picture", content)
    async with database.write() as tx:
        await vault.record(tx, sealed)
    return sealed


async def read(vault: ObjectVault, database: Database, sealed: SealedObject) -> bytes:
    async with database.read() as tx:
        key = await vault.key_of(tx, sealed.object_key)
    return await vault.unseal(sealed.object_key, key)


async def test_afterwards_the_old_master_key_is_not_needed_any_more(
    daemon: ObjectVault, database: Database, settings: ObjectSettings, clock: ManualClock, tmp_path: Path
) -> None:
    objects = [await stored(daemon, database, b"picture %d" % number) for number in range(5)]
    rotation = rotation_of(settings, database, clock)
    before = await rotation.counts()
    report = await rotation.rotate(lambda _done, _all: None)
    assert (report.rewrapped, report.failed, report.counts.left) == (5, 0, 0)
    assert report.counts.current != before.current
    file = settings.master_key_file
    assert file is not None
    file.write_text(file.read_text().split()[0])  # the operator removes the old key
    file.chmod(0o600)
    assert [key.key_id for key in load_master_keys(settings, may_create=False)] == [report.counts.current]
    async with open_vault(tmp_path / "objects", clock, keys_of(settings)) as fresh:
        for number, sealed in enumerate(objects):
            assert await read(fresh, database, sealed) == b"picture %d" % number


async def test_a_running_process_reads_and_seals_during_a_rotation(
    daemon: ObjectVault, database: Database, settings: ObjectSettings, clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(rotation_module, "_AT_ONCE", 2)
    objects = [await stored(daemon, database, b"before") for _ in range(9)]
    destroyed = objects.pop()
    seen: list[tuple[int, int]] = []
    turn = asyncio.Event()

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        turn.set()

    rotating = asyncio.create_task(rotation_of(settings, database, clock).rotate(progress))
    sealed_meanwhile = []
    while not rotating.done():
        await asyncio.wait((rotating, asyncio.ensure_future(turn.wait())), return_when=asyncio.FIRST_COMPLETED)
        turn.clear()
        sealed_meanwhile.append(await stored(daemon, database, b"meanwhile"))
        for sealed in objects:
            assert await read(daemon, database, sealed) == b"before"
        async with database.write() as tx:
            await daemon.destroy(tx, destroyed.object_key)
    await rotating
    assert seen[-1][0] >= 8
    assert {await read(daemon, database, sealed) for sealed in sealed_meanwhile} == {b"meanwhile"}
    with pytest.raises(NotFoundError):
        await read(daemon, database, destroyed)
    counts = await rotation_of(settings, database, clock).counts()
    assert counts.left == 0


async def test_an_interrupted_rotation_is_finished_and_makes_no_further_key(
    daemon: ObjectVault, database: Database, settings: ObjectSettings, clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(rotation_module, "_AT_ONCE", 2)
    for _ in range(6):
        await stored(daemon, database, b"picture")

    def dies(done: int, _all: int) -> None:
        if done >= 2:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await rotation_of(settings, database, clock).rotate(dies)
    halfway = await rotation_of(settings, database, clock).counts()
    assert halfway.left == 4
    report = await rotation_of(settings, database, clock).rotate(lambda _done, _all: None)
    assert (report.rewrapped, report.counts.left, report.counts.current) == (4, 0, halfway.current)
    assert len(load_master_keys(settings, may_create=False)) == 2
    async with database.read() as tx:
        entries = await audit_entries.by_subject(tx, f"master-key/{halfway.current}")
    assert [entry.outcome for entry in entries].count("begun") == 2
    assert [entry.outcome for entry in entries].count("finished") == 1


@pytest.mark.parametrize("at_once", [1, 200])
async def test_keys_whose_master_key_is_missing_are_told_and_stop_no_others(
    at_once: int, database: Database, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, and all in one batch."""
    monkeypatch.setattr(rotation_module, "_AT_ONCE", at_once)
    folder = tmp_path / "objects"
    kept: list[SealedObject] = []
    lost: list[SealedObject] = []
    for number in range(4):
        for key, objects in ((b"a", kept), (b"x", lost)):
            async with open_vault(folder, clock, master_keys(key)) as vault:
                objects.append(await stored(vault, database, b"picture %d" % number))
    report = await rotation_with(master_keys(b"b", b"a"), database, clock).rotate(
        lambda _done, _all: None, new_key=False
    )
    assert (report.rewrapped, report.failed, report.counts.left) == (4, 4, 4)
    async with open_vault(folder, clock, master_keys(b"b")) as vault:
        for number, sealed in enumerate(kept):
            assert await read(vault, database, sealed) == b"picture %d" % number
        for sealed in lost:
            with pytest.raises(UnavailableError):
                await read(vault, database, sealed)
    report = await rotation_with(master_keys(b"b", b"x"), database, clock).rotate(lambda _done, _all: None)
    assert (report.rewrapped, report.failed, report.counts.left) == (4, 0, 0)


async def test_keys_of_the_environment_are_wrapped_anew_when_the_operator_has_put_a_new_one_first(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    async with open_vault(tmp_path / "objects", clock, master_keys(b"a")) as vault:
        sealed = await stored(vault, database, b"picture")
    with pytest.raises(ConfigurationError, match="keys rotate --no-new-key"):
        await rotation_with(master_keys(b"a"), database, clock).rotate(lambda _done, _all: None)
    both = master_keys(b"b", b"a")
    for rewrapped in (1, 0):
        report = await rotation_with(both, database, clock).rotate(lambda _done, _all: None, new_key=False)
        assert (report.rewrapped, report.failed, report.counts.left) == (rewrapped, 0, 0)
        assert report.counts.current == await both.current_id()
    async with open_vault(tmp_path / "objects", clock, master_keys(b"b")) as vault:
        assert await read(vault, database, sealed) == b"picture"
    async with database.read() as tx:
        entries = await audit_entries.by_subject(tx, f"master-key/{report.counts.current}")
    assert [entry.outcome for entry in entries] == ["begun", "finished"] * 2
