"""Rows of the tree over the audit log: places of entries, tiles of hashes, checkpoints and who acknowledged them.

Only who has the sole right to `Work.AUDIT_SEQUENCER` may write here. Should two processes do it all the same, one of
them commits and the other gets UnavailableError: no place is given twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent, replace_all
from rtcc_bridge.storage.slices import padded, slices
from rtcc_bridge.storage.tables import (
    audit_acknowledgements,
    audit_checkpoints,
    audit_entries,
    audit_logs,
    audit_tiles,
)


class WaitingEntry(NamedTuple):
    """A committed entry without a place, and its hash as a leaf."""

    entry_id: str
    leaf_hash: bytes
    at: datetime


class PlacedEntry(NamedTuple):
    """An entry and its place."""

    position: int
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """Which log this is. public_key: the verifier key of whoever signed last."""

    origin: str
    public_key: str
    begun_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord:
    """A signed checkpoint as a note, and the number of leaves that it covers."""

    size: int
    note: str
    signed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgementRecord:
    """The last checkpoint that a place outside has taken."""

    place: str
    size: int
    receipt: str
    acknowledged_at: datetime


async def waiting(tx: Transaction, limit: int) -> list[WaitingEntry]:
    """Committed entries without a place, the oldest first."""
    entries = audit_entries.c
    query = select(entries.entry_id, entries.leaf_hash, entries.at).where(entries.position.is_(None))
    rows = await tx.execute(query.order_by(entries.at, entries.entry_id).limit(limit))
    return [WaitingEntry(row.entry_id, bytes.fromhex(row.leaf_hash), row.at) for row in rows]


async def size(tx: Transaction) -> int:
    """How many entries have a place."""
    last = (await tx.execute(select(func.max(audit_entries.c.position)))).scalar_one()
    return 0 if last is None else int(last) + 1


async def place(tx: Transaction, entries: Sequence[WaitingEntry], first: int) -> None:
    """Gives the entries the places from `first` on, in the order that `waiting` gave them."""
    columns = audit_entries.c
    order = func.row_number().over(order_by=(columns.at, columns.entry_id)).label("place")
    chosen = columns.entry_id.in_(padded([entry.entry_id for entry in entries]))
    places = select(columns.entry_id, order).where(chosen, columns.position.is_(None)).subquery()
    statement = update(audit_entries).where(columns.entry_id == places.c.entry_id, columns.position.is_(None))
    try:
        result = await tx.execute(statement.values(position=places.c.place + (first - 1)))
    except IntegrityError as error:
        raise UnavailableError("another process gives audit entries their places at this moment") from error
    if result.rowcount != len(entries):
        raise UnavailableError("another process has given some of these audit entries their places")


async def tiles(tx: Transaction, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """The hashes of these tiles (level, number); those that are not there are left out."""
    numbers: dict[int, list[int]] = {}
    for level, number in wanted:
        numbers.setdefault(level, []).append(number)
    columns = audit_tiles.c
    found: dict[tuple[int, int], bytes] = {}
    for level, some in numbers.items():
        for piece in slices(sorted(some)):
            query = select(audit_tiles).where(columns.level == level, columns.number.in_(piece))
            found |= {(row.level, row.number): row.hashes for row in await tx.execute(query)}
    return found


async def put_tiles(tx: Transaction, changed: Iterable[tuple[tuple[int, int], bytes]]) -> None:
    """Writes these tiles (level, number), whole."""
    rows = [{"level": level, "number": number, "hashes": hashes} for (level, number), hashes in sorted(changed)]
    await replace_all(tx, audit_tiles, rows)


async def log(tx: Transaction) -> LogRecord | None:
    """Which log this is, or None before its first checkpoint."""
    row = (await tx.execute(select(audit_logs))).one_or_none()
    return None if row is None else LogRecord(**row._mapping)


async def put_log(tx: Transaction, record: LogRecord) -> None:
    await replace_all(tx, audit_logs, [asdict(record)])


async def begin_anew(tx: Transaction) -> None:
    """Ends this log where a restoration took its last entries away: the next checkpoint is that of a log of its own.

    The places stay. What was signed of the former log stays outside, where it shows how far that one went.
    """
    for table in (audit_acknowledgements, audit_checkpoints, audit_logs):
        await tx.execute(delete(table))


async def add_checkpoint(tx: Transaction, record: CheckpointRecord) -> None:
    if not await insert_if_absent(tx, audit_checkpoints, asdict(record)):
        raise UnavailableError("another process has signed a checkpoint of this size")


async def newest_checkpoint(tx: Transaction) -> CheckpointRecord | None:
    query = select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(1)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else CheckpointRecord(**row._mapping)


async def checkpoints_after(tx: Transaction, after: int, limit: int) -> list[CheckpointRecord]:
    """The checkpoints that cover more than `after` leaves, the smallest first."""
    query = select(audit_checkpoints).where(audit_checkpoints.c.size > after)
    rows = await tx.execute(query.order_by(audit_checkpoints.c.size).limit(limit))
    return [CheckpointRecord(**row._mapping) for row in rows]


async def acknowledge(tx: Transaction, record: AcknowledgementRecord) -> None:
    await replace_all(tx, audit_acknowledgements, [asdict(record)])


async def acknowledgements(tx: Transaction) -> dict[str, AcknowledgementRecord]:
    """By place."""
    rows = await tx.execute(select(audit_acknowledgements).order_by(audit_acknowledgements.c.place))
    return {row.place: AcknowledgementRecord(**row._mapping) for row in rows}


async def oldest_uncovered_at(tx: Transaction, size: int) -> datetime | None:
    """When the first entry was made that the first `size` leaves do not hold; None when they hold every entry."""
    columns = audit_entries.c
    placed = select(columns.at).where(columns.position == size).limit(1)
    waits = select(columns.at).where(columns.position.is_(None)).order_by(columns.at, columns.entry_id).limit(1)
    found = [(await tx.execute(query)).scalar_one_or_none() for query in (placed, waits)]
    return min((at for at in found if at is not None), default=None)


async def position_of(tx: Transaction, leaf_hash: str) -> int | None:
    """The place of the entry with this hash; None when there is no such entry or it waits for its place."""
    query = select(audit_entries.c.position).where(audit_entries.c.leaf_hash == leaf_hash)
    position = (await tx.execute(query)).scalar_one_or_none()
    return None if position is None else int(position)


async def entries_from(tx: Transaction, first: int, end: int, limit: int) -> list[PlacedEntry]:
    """Places and entries from `first` on and before `end`, in the order of their places."""
    columns = audit_entries.c
    query = select(columns.position, columns.entry).where(columns.position >= first, columns.position < end)
    return [
        PlacedEntry(row.position, row.entry) for row in await tx.execute(query.order_by(columns.position).limit(limit))
    ]


async def placed_with_subject(tx: Transaction, subject: str) -> list[PlacedEntry]:
    """Places and entries of what was done to one thing, in the order of their places."""
    columns = audit_entries.c
    query = select(columns.position, columns.entry).where(columns.subject == subject, columns.position.is_not(None))
    return [PlacedEntry(row.position, row.entry) for row in await tx.execute(query.order_by(columns.position))]
