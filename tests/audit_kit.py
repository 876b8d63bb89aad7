"""An audit log to try things on: acts, the sequencer that places and signs them, and exports to spoil."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from rtcc_bridge.audit import export_files
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.audit.export import AuditExport
from rtcc_bridge.audit.note import Checkpoint, NoteSigner, SignedCheckpoint, VerifierKey, signed
from rtcc_bridge.audit.proofs import ProofReader, read_state
from rtcc_bridge.audit.sequencer import Sequencer
from rtcc_bridge.audit.signing_key import SigningKeys
from rtcc_bridge.audit.tree import GrowingTree, leaf_hash
from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.topic_settings import TopicSettings
from tests.doubles import ManualClock

SEED = b"\x07" * 32
OTHER_SEED = b"\x08" * 32
SETTINGS = AuditSettings(origin="city.example/audit", checkpoint_entries=10, checkpoint_seconds=60)
TOPIC = TopicSettings().audit_checkpoints


def no_progress(_what: str, _done: int, _total: int) -> None:
    """For who does not want to know."""


@dataclass
class AuditKit:
    """The log of one database."""

    database: Database
    clock: ManualClock
    metrics: Metrics
    seeds: tuple[bytes, ...] = (SEED,)
    settings: AuditSettings = SETTINGS
    acts: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.audit = AuditLog(self.clock)

    @property
    def sequencer(self) -> Sequencer:
        """A new process each time: nothing is carried over in memory."""
        keys = SigningKeys(self.seeds) if self.seeds else None
        return Sequencer(
            self.database, self.audit, Outbox(self.clock), keys, self.settings, TOPIC, self.metrics, self.clock
        )

    @property
    def proofs(self) -> ProofReader:
        return ProofReader(self.database)

    async def act(self, count: int = 1, subject: str = "thing") -> list[str]:
        """So many acts, in one transaction; returns their leaf hashes."""
        async with self.database.write() as tx:
            return [await self._enter(tx, subject) for _ in range(count)]

    async def _enter(self, tx: Transaction, subject: str) -> str:
        number, self.acts = self.acts, self.acts + 1
        self.clock.advance(0.001)
        return await self.audit.append(
            tx,
            actor="analyst",
            action="thing.done",
            subject=subject,
            outcome="done",
            authority={"purpose": "violent_offense"},
            details={"number": number},
        )

    async def sign(self) -> SignedCheckpoint:
        """Places everything and signs it."""
        await self.sequencer.sequence_all()
        newest = await self.sequencer.sign()
        assert newest is not None
        return newest

    async def key(self) -> VerifierKey:
        """The public key, as an auditor was given it."""
        return VerifierKey.read((await read_state(self.database)).public_key)

    async def export(self, folder: Path) -> Path:
        await AuditExport(self.database, self.audit).run(folder, "auditor", no_progress)
        return folder


def lines_of(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text(encoding="utf-8").splitlines()


def write_lines(folder: Path, name: str, lines: Sequence[str]) -> None:
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def rehash(folder: Path) -> None:
    """What whoever alters entries does as well: makes the hashes fit."""
    write_lines(
        folder, export_files.LEAVES, [leaf_hash(line.encode()).hex() for line in lines_of(folder, export_files.ENTRIES)]
    )


def resign(folder: Path, name: str, seed: bytes) -> None:
    """What whoever rewrites a log does: hashes that fit, and one checkpoint of this name and key over all of it."""
    rehash(folder)
    leaves = [bytes.fromhex(line) for line in lines_of(folder, export_files.LEAVES)]
    tree = GrowingTree()
    for leaf in leaves:
        tree.append(leaf)
    note = signed(Checkpoint(name, len(leaves), tree.root()), [NoteSigner(name, seed)])
    write_lines(folder, export_files.CHECKPOINTS, [json.dumps({"note": note})])


def notes_of(folder: Path) -> list[SignedCheckpoint]:
    return [SignedCheckpoint.read(json.loads(line)["note"]) for line in lines_of(folder, export_files.CHECKPOINTS)]


@asynccontextmanager
async def full(database: Database) -> AsyncIterator[None]:
    """The log's table takes no row, as one on a volume that is full. (SQLite has one file: a trigger says the same.)"""
    if database.is_sqlite:
        begin = [
            "CREATE TRIGGER audit_full BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        ]
        end = ["DROP TRIGGER audit_full"]
    else:
        refuse = "BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END"
        begin = [
            f"CREATE FUNCTION audit_full() RETURNS trigger LANGUAGE plpgsql AS $$ {refuse} $$",
            "CREATE TRIGGER audit_full BEFORE INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION audit_full()",
        ]
        end = ["DROP TRIGGER audit_full ON audit_entries", "DROP FUNCTION audit_full()"]
    await _run(database, begin)
    try:
        yield
    finally:
        await _run(database, end)


@asynccontextmanager
async def locked(database: Database) -> AsyncIterator[None]:
    """Somebody else holds the log's table: it is read, and takes nothing."""
    async with database.engine.connect() as other:
        await other.execute(text("LOCK TABLE audit_entries IN EXCLUSIVE MODE"))
        try:
            yield
        finally:
            await other.rollback()


async def _run(database: Database, statements: list[str]) -> None:
    async with database.write() as tx:
        for statement in statements:
            await tx.exec_driver_sql(statement)
