"""Incidents: the newest state that dispatch reported of each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, exists, func, select, update

from rtcc_bridge.errors import TransientError
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.slices import slices
from rtcc_bridge.storage.tables import incidents, threat_incidents, threats

LONGEST_MERGE_CHAIN: Final = 32
"""Merges are followed no further than this, so that no data can make a query run for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord:
    """One row of `incidents`.

    merged_into: set if and only if the status is `merged`.
    last_update_at: the sender's time of the newest event.
    data: the newest value of each field by its name on the wire, unknown fields too. May hold notes: never on a feed.
    versions: for each field of `data` the version that wrote it, as JSON [time, rank, event].
    refused_type: the absolutely refused type (P02) that any event ever named; no later event takes it away.
    """

    incident_id: str
    incident_type: str
    status: str
    priority: int | None
    agency_id: str | None
    case_number: str | None
    merged_into: str | None
    exercise: bool
    opened_at: datetime | None
    last_update_at: datetime
    data: Mapping[str, Any]
    versions: Mapping[str, Sequence[Any]]
    created_at: datetime
    updated_at: datetime
    refused_type: str | None = None


async def get(tx: Transaction, incident_id: str, *, to_change: bool = False) -> IncidentRecord | None:
    """The incident as it is stored; `to_change` keeps others from changing it until the transaction ends."""
    query = select(incidents).where(incidents.c.incident_id == incident_id)
    row = (await tx.execute(query.with_for_update() if to_change else query)).mappings().one_or_none()
    return None if row is None else _record(row)


async def get_all(tx: Transaction, incident_ids: Collection[str]) -> list[IncidentRecord]:
    """Those of these incidents that are stored."""
    if not incident_ids:
        return []
    query = select(incidents).where(incidents.c.incident_id.in_(incident_ids))
    return [_record(row) for row in (await tx.execute(query)).mappings()]


async def resolve(tx: Transaction, incident_id: str) -> IncidentRecord | None:
    """The incident that this one is part of by now: merges are followed to their end, as far as it is known."""
    found = await get(tx, incident_id)
    for _ in range(LONGEST_MERGE_CHAIN):
        target = None if found is None or found.merged_into is None else await get(tx, found.merged_into)
        if target is None:
            break
        found = target
    return found


async def upsert(tx: Transaction, before: IncidentRecord | None, record: IncidentRecord) -> None:
    """Writes the new state of an incident that was read with `to_change`.

    Raises TransientError when another transaction created it meanwhile: the same work then finds it.
    """
    if before is not None:
        statement = update(incidents).where(incidents.c.incident_id == record.incident_id)
        await tx.execute(statement.values(_values(record)))
    elif not await insert_if_absent(tx, incidents, _values(record)):
        raise TransientError("the incident was created by another transaction at the same moment")


async def list_open(tx: Transaction, limit: int, now: datetime, offset: int = 0) -> list[IncidentRecord]:
    """Open incidents after the first `offset`: those with a threat in force first, then the latest changed."""
    threatened = exists().where(
        threat_incidents.c.incident_id == incidents.c.incident_id,
        threats.c.identifier == threat_incidents.c.identifier,
        threats.c.state == "active",
        threats.c.expires_at > now,
    )
    query = select(incidents).where(incidents.c.status == "open")
    query = query.order_by(threatened.desc(), incidents.c.last_update_at.desc(), incidents.c.incident_id)
    return [_record(row) for row in (await tx.execute(query.limit(limit).offset(offset))).mappings()]


async def count(tx: Transaction, status: str | None = None) -> int:
    """How many incidents there are; of that status only, when one is named."""
    query = select(func.count()).select_from(incidents)
    if status is not None:
        query = query.where(incidents.c.status == status)
    return int((await tx.execute(query)).scalar_one())


async def merged_into(tx: Transaction, incident_ids: Collection[str]) -> dict[str, str]:
    """Every incident that was merged into one of these, directly or through others, with the one it ends in."""
    found: dict[str, str] = {}
    frontier = {incident_id: incident_id for incident_id in incident_ids}
    for _ in range(LONGEST_MERGE_CHAIN):
        children: dict[str, str] = {}
        for parents in slices(frontier):
            query = select(incidents.c.incident_id, incidents.c.merged_into)
            rows = await tx.execute(query.where(incidents.c.merged_into.in_(parents)))
            children |= {child: frontier[parent] for child, parent in rows if child not in found and child != parent}
        if not children:
            break
        found.update(children)
        frontier = children
    return found


def _record(row: RowMapping) -> IncidentRecord:
    return IncidentRecord(**row)


def _values(record: IncidentRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
