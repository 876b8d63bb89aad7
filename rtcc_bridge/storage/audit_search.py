"""Entries of the audit log, found by who acted, what was done, on what and when; the newest first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import literal_column, select

from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import audit_entries

RELOAD: Final = "policy.reload"

_ENTRY = audit_entries.c


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryQuery:
    """What is looked for, from `since` on and before `before`. What is left empty is not asked about.

    kind: the word with which the action begins, up to its dot. actions, actors and subjects: any of these.
    """

    since: datetime
    before: datetime
    kind: str = ""
    actions: Collection[str] = ()
    actors: Collection[str] = ()
    subjects: Collection[str] = ()
    outcome: str = ""


class EntryPlace(NamedTuple):
    """Where a page ended: the next one begins behind it."""

    at: datetime
    entry_id: str


async def newest(
    tx: Transaction, query: EntryQuery, behind: EntryPlace | None, limit: int
) -> Sequence[AuditEntryRecord]:
    """At most so many. Reads the entries of that time until it has them, or those of the subjects that are named."""
    wanted = (_ENTRY.at >= query.since) & (_ENTRY.at < query.before)
    if query.kind:
        wanted &= _ENTRY.action.startswith(f"{query.kind}.", autoescape=True)
    named = ((_ENTRY.action, query.actions), (_ENTRY.actor, query.actors), (_ENTRY.subject, query.subjects))
    for column, values in named:
        if values:
            wanted &= column.in_(padded(sorted(values)))
    if query.outcome:
        wanted &= _ENTRY.outcome == query.outcome
    if behind is not None:
        at_once = (_ENTRY.at == behind.at) & (_ENTRY.entry_id < behind.entry_id)
        wanted &= (_ENTRY.at < behind.at) | at_once
    rows = await tx.execute(
        select(audit_entries).where(wanted).order_by(_ENTRY.at.desc(), _ENTRY.entry_id.desc()).limit(limit)
    )
    return [AuditEntryRecord(**row._mapping) for row in rows]


async def newest_policies(
    tx: Transaction, since: datetime, before: datetime, outcome: str, limit: int
) -> Sequence[AuditEntryRecord]:
    """At most so many times that the policy was read again and this came of it, by an index of nothing else."""
    # In the statement itself: of a parameter no database knows that the index holds all that has it.
    is_reload = _ENTRY.action == literal_column(f"'{RELOAD}'")
    wanted = is_reload & (_ENTRY.at >= since) & (_ENTRY.at < before) & (_ENTRY.outcome == outcome)
    newest_first = (_ENTRY.at.desc(), _ENTRY.entry_id.desc())
    rows = await tx.execute(select(audit_entries).where(wanted).order_by(*newest_first).limit(limit))
    return [AuditEntryRecord(**row._mapping) for row in rows]


async def place_of(tx: Transaction, entry_id: str) -> EntryPlace | None:
    """Where a page ends whose last entry is this one; None for an entry that there is not."""
    record = await find(tx, entry_id)
    return None if record is None else EntryPlace(record.at, record.entry_id)


async def find(tx: Transaction, entry_id: str) -> AuditEntryRecord | None:
    row = (await tx.execute(select(audit_entries).where(_ENTRY.entry_id == entry_id))).one_or_none()
    return None if row is None else AuditEntryRecord(**row._mapping)
