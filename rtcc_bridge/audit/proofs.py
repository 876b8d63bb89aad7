"""Proofs out of the database: that an entry is in the log, and that the log of today begins with that of yesterday."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.note import SignedCheckpoint
from rtcc_bridge.audit.receipts import ConsistencyReceipt, EntryReceipt, InclusionReceipt
from rtcc_bridge.audit.stored_hashes import hashes_of_ranges
from rtcc_bridge.audit.tree import consistency_ranges, inclusion_ranges
from rtcc_bridge.errors import ConflictError, NotFoundError
from rtcc_bridge.storage import audit_entries, audit_tree
from rtcc_bridge.storage.audit_tree import PlacedEntry
from rtcc_bridge.storage.engine import Database, Transaction


class ProofReader:
    """Reads what a proof needs: O(log n) hashes, out of a few tiles."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> SignedCheckpoint:
        """Raises NotFoundError when nothing was signed yet, UnavailableError."""
        async with self._database.read() as tx:
            return await newest_checkpoint(tx)

    async def consistency(self, older: int, newer: int) -> list[bytes]:
        """The proof that the tree over `older` leaves begins that over `newer`. Raises IntegrityError."""
        async with self._database.read() as tx:
            return await hashes_of_ranges(tx, consistency_ranges(older, newer))

    async def since(self, older: SignedCheckpoint) -> ConsistencyReceipt:
        """Raises ConflictError when the checkpoint is of another log or over more entries than this one has."""
        async with self._database.snapshot() as tx:
            newest = await newest_checkpoint(tx)
            known, ours = older.checkpoint, newest.checkpoint
            if known.origin != ours.origin:
                raise ConflictError(f"that checkpoint is of the log {known.origin}, and this one is {ours.origin}")
            if not 0 < known.size <= ours.size:
                raise ConflictError(
                    f"that checkpoint is over {known.size} entries, and this log has {ours.size}: it was rolled back"
                )
            proof = await hashes_of_ranges(tx, consistency_ranges(known.size, ours.size))
        return ConsistencyReceipt(older=older, newer=newest, proof=tuple(proof))

    async def of_leaf(self, leaf_hash: str) -> InclusionReceipt:
        """Raises NotFoundError for a hash that no entry has, or whose entry no checkpoint covers yet."""
        async with self._database.snapshot() as tx:
            record = await audit_entries.by_leaf_hash(tx, leaf_hash)
            if record is None:
                raise NotFoundError("no entry of the audit log has this leaf hash")
            found = [] if record.position is None else [PlacedEntry(record.position, record.entry)]
            return await self._receipt(tx, record.subject, found)

    async def of_subject(self, subject: str) -> InclusionReceipt:
        """Of all that was done to one thing, a lead for example. Raises NotFoundError as `of_leaf` does."""
        async with self._database.snapshot() as tx:
            return await self._receipt(tx, subject, await audit_tree.placed_with_subject(tx, subject))

    async def _receipt(self, tx: Transaction, subject: str, found: Sequence[PlacedEntry]) -> InclusionReceipt:
        newest = await newest_checkpoint(tx)
        size = newest.checkpoint.size
        covered = [one for one in found if one.position < size]
        if not covered:
            raise NotFoundError(
                f"no entry about {subject} is covered by a checkpoint: it may be minutes old, or there is none"
            )
        entries = []
        for one in covered:
            proof = await hashes_of_ranges(tx, inclusion_ranges(one.position, size))
            entries.append(EntryReceipt(one.position, canonical_json(one.entry), tuple(proof)))
        return InclusionReceipt(subject=subject, checkpoint=newest, entries=tuple(entries))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """How far the log is. acknowledged: by place, the entries that its last acknowledged checkpoint covers."""

    checkpoint: SignedCheckpoint
    public_key: str
    entries: int
    acknowledged: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        return {
            "checkpoint": self.checkpoint.note,
            "publicKey": self.public_key,
            "entries": self.entries,
            "signed": self.checkpoint.checkpoint.size,
            "acknowledged": dict(self.acknowledged),
        }


async def read_state(database: Database) -> LogState:
    """Raises NotFoundError when nothing was signed yet, UnavailableError."""
    async with database.snapshot() as tx:
        checkpoint = await newest_checkpoint(tx)
        log = await audit_tree.log(tx)
        acknowledged = await audit_tree.acknowledgements(tx)
        return LogState(
            checkpoint=checkpoint,
            public_key="" if log is None else log.public_key,
            entries=await audit_tree.size(tx),
            acknowledged={place: record.size for place, record in acknowledged.items()},
        )


async def newest_checkpoint(tx: Transaction) -> SignedCheckpoint:
    """Raises NotFoundError."""
    record = await audit_tree.newest_checkpoint(tx)
    if record is None:
        raise NotFoundError(
            "no checkpoint was signed yet: the role relay signs them with the key of audit.signing_key_file"
        )
    return SignedCheckpoint.read(record.note)
