"""Clips that analysts have sent, and that wait for a frame to be chosen. What is left of an ended one names nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, insert, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import clips

_COLUMNS: Final = [column for column in clips.c if column is not clips.c.seen_at]
"""What this program knows of a clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord:
    """One row of `clips`. form: what was stated beside it, as `probes.clips` writes it; none once it has ended.

    facts: {container, codec, width, height, rotation, pixelAspect: [across, down], damaged}. frames: [[number,
    milliseconds, sharpness], ...] of those that can be chosen. ended_at, outcome: chosen or expired; the sealed
    clip is gone since. probe_id: of the newest still that was cut out of it.
    """

    clip_id: str
    incident_id: str
    analyst: str
    purpose: str
    lane: str
    form: Mapping[str, Any] | None
    clip_object: str | None
    clip_sha256: str
    size_bytes: int
    facts: Mapping[str, Any]
    frames: Sequence[Sequence[int]] | None
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    probe_id: str | None = None


async def add(tx: Transaction, record: ClipRecord) -> None:
    await tx.execute(insert(clips).values(asdict(record)))


async def find(tx: Transaction, clip_id: str, *, lock: bool = False) -> ClipRecord | None:
    """With `lock` nobody else changes it until the transaction ends."""
    query = select(*_COLUMNS).where(clips.c.clip_id == clip_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else ClipRecord(**row)


async def count_open(tx: Transaction, analyst: str) -> int:
    """How many clips of this analyst are still kept."""
    query = select(func.count()).where((clips.c.analyst == analyst) & clips.c.ended_at.is_(None))
    return int((await tx.execute(query)).scalar_one())


async def open_of_incident(tx: Transaction, incident_id: str, analyst: str) -> Sequence[ClipRecord]:
    """Those of this analyst that are still kept, the oldest first."""
    mine = (clips.c.incident_id == incident_id) & (clips.c.analyst == analyst) & clips.c.ended_at.is_(None)
    query = select(*_COLUMNS).where(mine).order_by(clips.c.created_at, clips.c.clip_id)
    return [ClipRecord(**row) for row in (await tx.execute(query)).mappings()]


async def overdue(tx: Transaction, *, now: datetime, limit: int) -> Sequence[str]:
    """Clips that are kept although their time is over, by id; the oldest first."""
    query = select(clips.c.clip_id).where(clips.c.ended_at.is_(None) & (clips.c.expires_at <= now))
    return list((await tx.execute(query.order_by(clips.c.expires_at, clips.c.clip_id).limit(limit))).scalars())


async def note_still(tx: Transaction, clip_id: str, probe_id: str) -> None:
    """A still was cut out of it."""
    await _set(tx, clip_id, probe_id=probe_id)


async def end(tx: Transaction, clip_id: str, *, outcome: str, at: datetime) -> None:
    """Of a clip that was found with `lock`: takes out what was stated beside it, and its frames."""
    await _set(tx, clip_id, form=None, clip_object=None, frames=None, outcome=outcome, ended_at=at)


async def _set(tx: Transaction, clip_id: str, **values: Any) -> None:
    await tx.execute(update(clips).where(clips.c.clip_id == clip_id).values(values))
