"""What two people attested of an incident that is a killing and was coded as a disturbance (P02)."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import func, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.tables import refusal_overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalOverride:
    """One row of `refusal_overrides`. It has effect once a second person has confirmed it."""

    incident_id: str
    attested_by: str
    attested_at: datetime
    attestation: str
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None


async def add(tx: Transaction, override: RefusalOverride) -> bool:
    """Says whether it is the first of its incident; of two at the same moment one is."""
    return await insert_if_absent(tx, refusal_overrides, asdict(override))


async def find(tx: Transaction, incident_id: str, *, lock: bool = False) -> RefusalOverride | None:
    """The attestation of this incident, or None. With `lock` nobody else changes it until the transaction ends."""
    query = select(refusal_overrides).where(refusal_overrides.c.incident_id == incident_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else RefusalOverride(**row)


async def confirm(tx: Transaction, override: RefusalOverride, confirmed_by: str, at: datetime) -> RefusalOverride:
    """Of an override that was found with `lock`."""
    values = {"confirmed_by": confirmed_by, "confirmed_at": at}
    where = refusal_overrides.c.incident_id == override.incident_id
    await tx.execute(update(refusal_overrides).where(where).values(values))
    return replace(override, confirmed_by=confirmed_by, confirmed_at=at)


async def is_confirmed(tx: Transaction, incident_id: str) -> bool:
    """Whether two people have attested to it."""
    query = select(refusal_overrides.c.confirmed_at).where(refusal_overrides.c.incident_id == incident_id)
    return (await tx.execute(query)).scalar_one_or_none() is not None


async def count_confirmed(tx: Transaction, since: datetime, before: datetime) -> int:
    """How many overrides took effect in that time: for the public report (P26)."""
    confirmed_at = refusal_overrides.c.confirmed_at
    query = select(func.count()).where((confirmed_at >= since) & (confirmed_at < before))
    return int((await tx.execute(query)).scalar_one())
