"""The audit log is attacked: in its export, in its database, with another key, and by turning it back (P22)."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from rtcc_bridge.audit import export_files
from rtcc_bridge.audit.note import SignedCheckpoint, VerifierKey
from rtcc_bridge.audit.verify import SpoiledLogError, verify_export
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.audit_kit import OTHER_SEED, AuditKit, lines_of, notes_of, rehash, resign, write_lines
from tests.doubles import ManualClock

FIRST, SECOND, THIRD = 12, 30, 41
"""The sizes of the three checkpoints: what was done, and the entry that names the key."""


@dataclass
class Exported:
    """An export, the key that the auditor was given, and a checkpoint that the auditor kept."""

    folder: Path
    key: VerifierKey
    kept: SignedCheckpoint

    def verify(self, *, with_kept: bool = True) -> int:
        return verify_export(self.folder, self.key, [self.kept] if with_kept else []).size


@pytest.fixture
async def kit(database: Database, clock: ManualClock, metrics: Metrics) -> AuditKit:
    """A log with three checkpoints."""
    built = AuditKit(database, clock, metrics)
    for size in (FIRST, SECOND, THIRD):
        await built.act(size - built.acts - 1)
        clock.advance(1)
        await built.sign()
    return built


@pytest.fixture
async def exported(kit: AuditKit, tmp_path: Path) -> Exported:
    folder = await kit.export(tmp_path / "export")
    return Exported(folder, await kit.key(), notes_of(folder)[1])


async def test_a_good_export_is_proved(exported: Exported) -> None:
    found = verify_export(exported.folder, exported.key, [exported.kept])
    assert (found.size, found.checkpoints, found.outside) == (THIRD, 3, (SECOND,))
    assert len(lines_of(exported.folder, export_files.ENTRIES)) == THIRD


def _edit(lines: list[str]) -> list[str]:
    entry = json.loads(lines[17])
    entry["actor"] = "somebody-else"
    return [*lines[:17], json.dumps(entry, separators=(",", ":"), sort_keys=True), *lines[18:]]


SPOILED: dict[str, tuple[Callable[[list[str]], list[str]], int, str]] = {
    "edited": (_edit, 17, "was changed"),
    "deleted": (lambda lines: lines[:17] + lines[18:], 17, "is missing"),
    "inserted": (lambda lines: [*lines[:17], '{"actor":"nobody"}', *lines[17:]], 17, "was not written by the log"),
    "reordered": (lambda lines: [*lines[:17], lines[18], lines[17], *lines[19:]], 17, "is out of its place"),
    "truncated": (lambda lines: lines[:35], 35, "is missing: the entries end"),
    "added to": (lambda lines: [*lines, '{"actor":"nobody"}'], THIRD, "were signed"),
}


@pytest.mark.parametrize("how", SPOILED)
async def test_the_first_bad_entry_is_named(exported: Exported, how: str) -> None:
    spoil, position, words = SPOILED[how]
    write_lines(exported.folder, export_files.ENTRIES, spoil(lines_of(exported.folder, export_files.ENTRIES)))
    with pytest.raises(SpoiledLogError, match=words) as caught:
        exported.verify(with_kept=False)
    assert caught.value.position == position


@pytest.mark.parametrize("how", SPOILED)
async def test_hashes_that_were_made_to_fit_do_not_help(exported: Exported, how: str) -> None:
    """Then nothing in the export tells which of them it was, and it is said between which checkpoints."""
    spoil, position, _ = SPOILED[how]
    write_lines(exported.folder, export_files.ENTRIES, spoil(lines_of(exported.folder, export_files.ENTRIES)))
    rehash(exported.folder)
    with pytest.raises(SpoiledLogError) as caught:
        exported.verify(with_kept=False)
    assert caught.value.position == {17: FIRST, 35: 35, THIRD: THIRD}[position]


async def test_hashes_alone_that_were_altered_are_found(exported: Exported) -> None:
    leaves = lines_of(exported.folder, export_files.LEAVES)
    write_lines(exported.folder, export_files.LEAVES, [*leaves[:20], leaves[21], leaves[20], *leaves[22:]])
    with pytest.raises(SpoiledLogError) as caught:
        exported.verify()
    assert caught.value.position == 20


def _cut_back(folder: Path, size: int) -> None:
    """A good export of an earlier day."""
    write_lines(folder, export_files.CHECKPOINTS, lines_of(folder, export_files.CHECKPOINTS)[:1])
    for name in (export_files.LEAVES, export_files.ENTRIES):
        write_lines(folder, name, lines_of(folder, name)[:size])


async def test_a_log_cut_off_at_a_checkpoint_is_found_against_one_that_was_kept(exported: Exported) -> None:
    _cut_back(exported.folder, FIRST)
    assert exported.verify(with_kept=False) == FIRST, "by itself it is a good log: that is why one is kept"
    with pytest.raises(SpoiledLogError, match="rolled back or cut off"):
        exported.verify()


async def test_a_log_signed_by_another_key_is_found(exported: Exported) -> None:
    """Whoever has the whole server, but not the key, writes another history and signs it."""
    lines = _edit(lines_of(exported.folder, export_files.ENTRIES))
    write_lines(exported.folder, export_files.ENTRIES, lines)
    resign(exported.folder, exported.key.name, OTHER_SEED)
    with pytest.raises(SpoiledLogError, match="the key was swapped"):
        exported.verify()


async def test_a_log_rewritten_by_the_key_s_own_holder_is_found_against_a_kept_checkpoint(
    kit: AuditKit, exported: Exported
) -> None:
    lines = _edit(lines_of(exported.folder, export_files.ENTRIES))
    write_lines(exported.folder, export_files.ENTRIES, lines)
    resign(exported.folder, exported.key.name, kit.seeds[0])
    assert exported.verify(with_kept=False) == THIRD, "only somebody else's copy can tell"
    with pytest.raises(SpoiledLogError, match="rewritten"):
        exported.verify()


async def test_an_entry_that_was_changed_in_the_database_is_named(kit: AuditKit, tmp_path: Path) -> None:
    entries = tables.audit_entries
    async with kit.database.write() as tx:
        row = (await tx.execute(select(entries).where(entries.c.position == 17))).one()
        changed = {**row.entry, "actor": "somebody-else"}
        await tx.execute(update(entries).where(entries.c.position == 17).values(entry=changed, actor="somebody-else"))
    folder = await kit.export(tmp_path / "export")
    with pytest.raises(SpoiledLogError, match="entry 17 was changed"):
        verify_export(folder, await kit.key())


async def test_an_entry_that_was_deleted_from_the_database_is_named(kit: AuditKit, tmp_path: Path) -> None:
    async with kit.database.write() as tx:
        await tx.execute(delete(tables.audit_entries).where(tables.audit_entries.c.position == 17))
    folder = await kit.export(tmp_path / "export")
    with pytest.raises(SpoiledLogError, match="entry 17 is missing"):
        verify_export(folder, await kit.key())


async def test_a_database_that_was_rolled_back_is_found_against_a_kept_checkpoint(
    database: Database, kit: AuditKit, tmp_path: Path
) -> None:
    """The log of an earlier moment goes on, and everything in it is true but for what it leaves out."""
    kept, key = await kit.proofs.newest(), await kit.key()
    entries, checkpoints, tiles = tables.audit_entries, tables.audit_checkpoints, tables.audit_tiles
    async with database.write() as tx:
        tile = (await tx.execute(select(tiles.c.hashes).where(tiles.c.level == 0))).scalar_one()
        await tx.execute(update(tiles).where(tiles.c.level == 0).values(hashes=tile[: 32 * SECOND]))
        await tx.execute(delete(entries).where(entries.c.position >= SECOND))
        await tx.execute(delete(checkpoints).where(checkpoints.c.size > SECOND))
    await kit.act(THIRD - SECOND + 5)
    await kit.sign()
    folder = await kit.export(tmp_path / "export")
    assert verify_export(folder, key).size > THIRD
    with pytest.raises(SpoiledLogError, match="rewritten"):
        verify_export(folder, key, [kept])


@pytest.mark.sqlite
async def test_a_copy_of_the_database_s_file_put_back_is_found(
    database: Database, database_url: str, kit: AuditKit, tmp_path: Path
) -> None:
    """The same by the file, as whoever has the machine would do it."""
    file = Path(database_url.partition(":///")[2])
    copy = tmp_path / "yesterday.sqlite3"
    with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    await kit.act(20)
    kept, key = await kit.sign(), await kit.key()
    await database.close()
    for leftover in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        leftover.unlink(missing_ok=True)
    shutil.copy(copy, file)
    folder = await kit.export(tmp_path / "export")
    with pytest.raises(SpoiledLogError, match="rolled back or cut off"):
        verify_export(folder, key, [kept])
