"""What was purged: when, why, and what was destroyed, by digest (P24)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, or_, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import purges


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeRecord:
    """One row. objects: [{object, sha256}], the digest being that of the sealed bytes, none where there were none.

    audit_leaf: of the entry that says so. bytes_gone_at: none while the sealed bytes, which nobody can read any more,
    still lie in the store.
    """

    probe_id: str
    lead_id: str | None
    outcome: str
    ended_at: datetime
    due_at: datetime
    purged_at: datetime
    objects: Sequence[Mapping[str, Any]]
    audit_leaf: str
    bytes_gone_at: datetime | None = None

    @property
    def object_keys(self) -> list[str]:
        return [one["object"] for one in self.objects]


async def add(tx: Transaction, record: PurgeRecord) -> None:
    await tx.execute(insert(purges).values(asdict(record)))


async def find(tx: Transaction, probe_or_lead_id: str) -> PurgeRecord | None:
    """By the id of the probe or of its lead."""
    about = or_(purges.c.probe_id == probe_or_lead_id, purges.c.lead_id == probe_or_lead_id)
    row = (await tx.execute(select(purges).where(about))).mappings().one_or_none()
    return None if row is None else PurgeRecord(**row)


async def newest(tx: Transaction, limit: int) -> Sequence[PurgeRecord]:
    query = select(purges).order_by(purges.c.purged_at.desc(), purges.c.probe_id).limit(limit)
    return [PurgeRecord(**row) for row in (await tx.execute(query)).mappings()]


async def with_bytes_left(tx: Transaction, limit: int) -> Sequence[PurgeRecord]:
    """Purges whose sealed bytes may still lie in the store."""
    query = select(purges).where(purges.c.bytes_gone_at.is_(None)).order_by(purges.c.probe_id).limit(limit)
    return [PurgeRecord(**row) for row in (await tx.execute(query)).mappings()]


async def bytes_gone(tx: Transaction, probe_id: str, at: datetime) -> bool:
    """Notes that they are gone; False when that was noted before."""
    where = (purges.c.probe_id == probe_id) & purges.c.bytes_gone_at.is_(None)
    return (await tx.execute(update(purges).where(where).values(bytes_gone_at=at))).rowcount == 1
