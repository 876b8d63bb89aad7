"""Incidents: the newest state that dispatch reported of each."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, and_, case, func, or_, select, true

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_all, replace_all
from rtcc_bridge.storage.slices import VALUES_AT_ONCE, padded, slices
from rtcc_bridge.storage.tables import incidents, threat_incidents, threats

LONGEST_MERGE_CHAIN: Final = 32
"""Merges are followed no further than this, so that no data can make a query run for ever."""
NO_PRIORITY: Final = 99
"""Where an incident without a priority stands: after dispatch's own scale, 0 to 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardIncident:
    """What of an incident's row a board shows.

    merged_into: set if and only if the status is `merged`.
    last_update_at: the sender's time of the newest event.
    data: the newest value of each field by its name on the wire, unknown fields too. May hold notes: never on a feed.
    """

    incident_id: str
    incident_type: str
    status: str
    priority: int | None
    merged_into: str | None
    exercise: bool
    opened_at: datetime | None
    last_update_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord(BoardIncident):
    """One row of `incidents`, whole.

    versions: for each field of `data` the version that wrote it, as JSON [time, rank, event].
    refused_type: the absolutely refused type (P02) that any event ever named; no later event takes it away.
    traceparent: the place in its trace of the newest event that told of it.
    """

    agency_id: str | None
    case_number: str | None
    versions: Mapping[str, Sequence[Any]]
    created_at: datetime
    updated_at: datetime
    refused_type: str | None = None
    traceparent: str | None = None


_BOARD_COLUMNS: Final = [incidents.c[field.name] for field in fields(BoardIncident)]
"""Half of a row is who wrote what when: for five hundred cards reading that would take a third of the page's time."""


async def get(tx: Transaction, incident_id: str, *, to_change: bool = False) -> IncidentRecord | None:
    """The incident as it is stored; `to_change` keeps others from changing it until the transaction ends."""
    query = select(incidents).where(incidents.c.incident_id == incident_id)
    row = (await tx.execute(query.with_for_update() if to_change else query)).mappings().one_or_none()
    return None if row is None else _record(row)


async def get_all(tx: Transaction, incident_ids: Collection[str]) -> list[IncidentRecord]:
    """Those of these incidents that are stored."""
    return await _get_all(tx, incident_ids, to_change=False)


async def lock_all(tx: Transaction, incident_ids: Collection[str]) -> list[IncidentRecord]:
    """Those of these incidents that are stored and those that they are merged into, kept from being changed.

    What becomes of an incident hangs on the one that it ends in: whoever merges it, and whoever ends that one, come one
    after the other, and the second sees what the first did. They are locked in the order of their ids, so that two
    transactions do not wait for each other's; take all that the transaction changes at once, and before probes and
    leads.
    """
    wanted = set(incident_ids)
    for _ in range(LONGEST_MERGE_CHAIN):
        wanted |= await _followed(tx, wanted)
        found = await _get_all(tx, wanted, to_change=True)
        if {record.merged_into for record in found if record.merged_into is not None} <= wanted:
            break  # else one was merged further while its lock was waited for
    return found


async def resolve(tx: Transaction, incident_id: str) -> IncidentRecord | None:
    """The incident that this one is part of by now: merges are followed to their end, as far as it is known."""
    found = await get(tx, incident_id)
    for _ in range(LONGEST_MERGE_CHAIN):
        target = None if found is None or found.merged_into is None else await get(tx, found.merged_into)
        if target is None:
            break
        found = target
    return found


async def hold(tx: Transaction, incident_id: str) -> None:
    """Keeps the incident, and the one that it is part of, from being changed until the transaction ends.

    Take it before anything else is locked: what is added to the incident then comes before a change, which sees it, or
    after it. (SQLite has one writer at a time.)
    """
    held: set[str] = set()
    for _ in range(LONGEST_MERGE_CHAIN):
        found = await resolve(tx, incident_id)
        wanted = {incident_id} if found is None else {incident_id, found.incident_id}
        if wanted <= held:
            return
        query = select(incidents.c.incident_id).where(incidents.c.incident_id.in_(wanted))
        await tx.execute(query.order_by(incidents.c.incident_id).with_for_update(read=True))
        held |= wanted


def way(incident_id: str, merged_into: Callable[[str], str | None]) -> set[str]:
    """The incident, the one that it was merged into, and so on. merged_into: of one incident, as far as it is known."""
    names: set[str] = set()
    following: str | None = incident_id
    while following is not None and following not in names:
        names.add(following)
        following = merged_into(following)
    return names


async def add_all(tx: Transaction, records: Collection[IncidentRecord]) -> None:
    """Adds incidents that were not there when they were read.

    Raises TransientError when another transaction created one meanwhile: the same work then finds it.
    """
    await insert_all(tx, incidents, _rows(records))


async def change_all(tx: Transaction, records: Collection[IncidentRecord]) -> None:
    """Writes the new states of incidents that were locked when they were read."""
    await replace_all(tx, incidents, _rows(records))


async def upsert(tx: Transaction, before: IncidentRecord | None, record: IncidentRecord) -> None:
    """As `add_all` or, when the incident was there before, `change_all`, for one."""
    if before is None:
        await add_all(tx, (record,))
    else:
        await change_all(tx, (record,))


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFilter:
    """Which open incidents a board asks for: of that type, at least that urgent (0 is the most), exercises or not.

    Whatever it says, an incident under an imminent threat is among them: nobody can filter one away.
    """

    incident_type: str | None = None
    lowest_priority: int | None = None
    exercises: bool = True

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.incident_type is not None:
            found.append(incidents.c.incident_type == self.incident_type)
        if self.lowest_priority is not None:
            found.append(incidents.c.priority <= self.lowest_priority)
        if not self.exercises:
            found.append(incidents.c.exercise.is_(False))
        return found


NO_FILTER: Final = BoardFilter()


async def list_open(
    tx: Transaction, limit: int, now: datetime, offset: int = 0, only: BoardFilter = NO_FILTER
) -> list[BoardIncident]:
    """Open incidents after the first `offset`: those under an imminent threat first, then those under another one.

    A threat of an incident counts for the one that it was merged into. Among equals the more urgent priority comes
    first, those without one last; then the newest.
    """
    imminent, other = await _threatened(tx, now)
    rank = case(
        (incidents.c.incident_id.in_(padded(imminent)), 0), (incidents.c.incident_id.in_(padded(other)), 1), else_=2
    )
    order = (
        rank,
        func.coalesce(incidents.c.priority, NO_PRIORITY),
        func.coalesce(incidents.c.opened_at, incidents.c.last_update_at).desc(),
        incidents.c.incident_id,
    )
    # The names alone are put in order: with all that is known of each, ten thousand incidents would be sorted whole.
    names = select(incidents.c.incident_id).where(incidents.c.status == "open", _passes(only, imminent))
    page = names.order_by(*order).limit(limit).offset(offset).subquery()
    query = select(*_BOARD_COLUMNS).join(page, page.c.incident_id == incidents.c.incident_id).order_by(*order)
    return [BoardIncident(**row) for row in (await tx.execute(query)).mappings()]


async def open_among(
    tx: Transaction, incident_ids: Collection[str], now: datetime, only: BoardFilter = NO_FILTER
) -> list[BoardIncident]:
    """Those of these incidents that `list_open` would list on one of its pages, in no order."""
    imminent = set() if only == NO_FILTER else (await _threatened(tx, now))[0]
    found: list[BoardIncident] = []
    for part in slices(sorted(incident_ids)):
        query = select(*_BOARD_COLUMNS).where(incidents.c.status == "open", incidents.c.incident_id.in_(part))
        rows = await tx.execute(query.where(_passes(only, imminent)))
        found += [BoardIncident(**row) for row in rows.mappings()]
    return found


async def count_open(tx: Transaction, now: datetime, only: BoardFilter) -> int:
    """How many `list_open` lists on all its pages together."""
    imminent = set() if only == NO_FILTER else (await _threatened(tx, now))[0]
    query = select(func.count()).select_from(incidents).where(incidents.c.status == "open", _passes(only, imminent))
    return int((await tx.execute(query)).scalar_one())


async def count(tx: Transaction, status: str | None = None) -> int:
    """How many incidents there are; of that status only, when one is named."""
    query = select(func.count()).select_from(incidents)
    if status is not None:
        query = query.where(incidents.c.status == status)
    return int((await tx.execute(query)).scalar_one())


def _passes(only: BoardFilter, imminent: Set[str]) -> ColumnElement[bool]:
    conditions = only.conditions
    if not conditions:
        return true()
    return or_(incidents.c.incident_id.in_(padded(imminent)), and_(*conditions))


async def merged_into(tx: Transaction, incident_ids: Collection[str]) -> dict[str, str]:
    """Every incident that was merged into one of these, directly or through others, with the first of these it met."""
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


async def _threatened(tx: Transaction, now: datetime) -> tuple[set[str], set[str]]:
    """The incidents under an imminent threat that is in force, and those under another one, merges followed.

    The latest threats count, should there ever be more in force than fit into one question.
    """
    link, in_force = threat_incidents.c.identifier == threats.c.identifier, threats.c.expires_at > now
    query = select(threat_incidents.c.incident_id, threats.c.imminent).join(threats, link)
    query = query.where(threats.c.state == "active", in_force).order_by(
        threats.c.imminent.desc(), threats.c.sent_at.desc()
    )
    found: tuple[set[str], set[str]] = (set(), set())
    for incident_id, imminent in await tx.execute(query.limit(VALUES_AT_ONCE)):
        found[0 if imminent else 1].add(incident_id)
    for incident_ids in found:
        incident_ids.update(await _followed(tx, incident_ids))
    return found


async def _get_all(tx: Transaction, incident_ids: Collection[str], *, to_change: bool) -> list[IncidentRecord]:
    found: list[IncidentRecord] = []
    for part in slices(sorted(incident_ids)):
        query = select(incidents).where(incidents.c.incident_id.in_(part)).order_by(incidents.c.incident_id)
        rows = await tx.execute(query.with_for_update() if to_change else query)
        found += map(_record, rows.mappings())
    return found


async def _followed(tx: Transaction, incident_ids: Collection[str]) -> set[str]:
    """Those that these incidents are merged into, directly or through others."""
    found: set[str] = set()
    frontier = set(incident_ids)
    for _ in range(LONGEST_MERGE_CHAIN):
        targets: set[str] = set()
        for part in slices(frontier):
            query = select(incidents.c.merged_into).where(incidents.c.incident_id.in_(part))
            targets |= set((await tx.execute(query.where(incidents.c.merged_into.is_not(None)))).scalars())
        frontier = targets - found
        if not frontier:
            break
        found |= frontier
    return found


def _record(row: RowMapping) -> IncidentRecord:
    return IncidentRecord(**row)


def _rows(records: Collection[IncidentRecord]) -> list[dict[str, Any]]:
    """In the order of their ids."""
    ordered = sorted(records, key=lambda record: record.incident_id)
    return [{field.name: getattr(record, field.name) for field in fields(record)} for record in ordered]
