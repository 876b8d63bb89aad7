"""Objects without a key: removed when they are old, and only from the store of this database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.errors import ConflictError, UnavailableError
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.tables import audit_entries
from rtcc_bridge.upkeep.sweep import OrphanSweep
from tests.doubles import ManualClock
from tests.vault_kit import open_vault, stored_files


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))  # files have the real time


@pytest.fixture
async def vault(tmp_path: Path, clock: ManualClock) -> AsyncIterator[ObjectVault]:
    async with open_vault(tmp_path / "objects", clock) as opened:
        yield opened


async def keep(vault: ObjectVault, database: Database) -> str:
    sealed = await vault.seal("picture", b"kept")
    async with database.write() as tx:
        await vault.record(tx, sealed)
    return sealed.object_key


async def test_old_objects_without_a_key_go_and_nothing_else(
    vault: ObjectVault, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    kept, removed = await keep(vault, database), await keep(vault, database)
    async with database.write() as tx:
        await vault.destroy(tx, removed)
    await vault.seal("crop", b"left behind")
    await vault.ping()
    sweep = OrphanSweep(database, vault, AuditLog(clock), clock, "administrator")
    young = await sweep.run(24, remove=True)
    assert (young.stored, young.orphans, young.young, young.removed) == (3, 2, 2, 0)
    clock.advance(25 * 3600)
    counted = await sweep.run(24, remove=False)
    assert (counted.orphans, counted.young, counted.removed) == (2, 0, 0)
    assert (await sweep.run(24, remove=True)).removed == 2
    async with database.read() as tx:
        [row] = (await tx.execute(audit_entries.select())).all()
    assert (row.actor, row.action, row.entry["details"]["orphans"]) == ("administrator", "objects.sweep", 2)
    folder = tmp_path / "objects"
    assert [path.relative_to(folder).as_posix() for path in stored_files(folder)] == [kept, "ping"]
    assert len(await vault.ledger.names()) == 1


async def test_the_store_of_another_database_is_not_emptied(
    vault: ObjectVault, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    await vault.seal("crop", b"somebody else's")
    clock.advance(25 * 3600)
    with pytest.raises(ConflictError, match="another"):
        await OrphanSweep(database, vault, AuditLog(clock), clock, "administrator").run(24, remove=True)
    assert len(stored_files(tmp_path / "objects")) == 1


async def test_what_cannot_be_entered_is_not_removed(
    vault: ObjectVault, database: Database, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(vault, database)
    await vault.seal("crop", b"left behind")
    clock.advance(25 * 3600)
    audit = AuditLog(clock)

    async def full(*_: object, **__: object) -> str:
        raise UnavailableError("the log is full")

    monkeypatch.setattr(audit, "append", full)
    with pytest.raises(UnavailableError):
        await OrphanSweep(database, vault, audit, clock, "administrator").run(24, remove=True)
    assert len(stored_files(tmp_path / "objects")) == 2


async def test_young_objects_cannot_be_asked_for(vault: ObjectVault, database: Database, clock: ManualClock) -> None:
    with pytest.raises(ConflictError, match="younger than 1 h"):
        await OrphanSweep(database, vault, AuditLog(clock), clock, "administrator").run(0.5, remove=True)
