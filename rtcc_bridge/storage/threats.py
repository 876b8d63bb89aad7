"""Threat messages, the incidents they belong to, and which message speaks about which."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, delete, insert, select, update

from rtcc_bridge.errors import InvalidInputError, TransientError
from rtcc_bridge.storage import locks
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.incidents import merged_into
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.locks import Work
from rtcc_bridge.storage.slices import slices
from rtcc_bridge.storage.tables import threat_incidents, threat_references, threats

LARGEST_THREAD: Final = 500
"""Messages of one thread, also those that are only spoken about: more would be a sender gone wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreatRecord:
    """One row of `threats`: one message of a sender.

    incident_id: the first incident that it belongs to; `incidents_of` knows them all.
    state: active, superseded or cancelled. Expiry is no state: it is judged when the threat is read.
    imminent: whether the message itself says so and its sender may (P14), at the time that it came in.
    """

    identifier: str
    incident_id: str
    sender: str
    sent_at: datetime
    message_type: str
    event_id: str
    state: str
    imminent: bool
    exercise: bool
    expires_at: datetime | None
    data: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A message and the earlier ones that it speaks about."""

    record: ThreatRecord
    references: frozenset[str]


async def wait_for_turn(tx: Transaction) -> None:
    """Lets one transaction at a time change threats.

    What state a message has hangs on its whole thread, and a message that is just being added cannot be locked by
    another that speaks about the same one. Threats are few.
    """
    await locks.wait_for_turn(tx, Work.THREATS)


async def get(tx: Transaction, identifier: str) -> ThreatRecord | None:
    query = select(threats).where(threats.c.identifier == identifier)
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else _record(row)


async def upsert(
    tx: Transaction,
    before: ThreatRecord | None,
    record: ThreatRecord,
    incident_ids: Collection[str],
    references: Collection[str],
) -> None:
    """Writes the message with the incidents and the earlier messages that it names, instead of its older version.

    Raises TransientError when another transaction created it meanwhile.
    """
    if before is not None:
        where = threats.c.identifier == record.identifier
        await tx.execute(update(threats).where(where).values(_values(record)))
        for table in (threat_incidents, threat_references):
            await tx.execute(delete(table).where(table.c.identifier == record.identifier))
    elif not await insert_if_absent(tx, threats, _values(record)):
        raise TransientError("the threat was created by another transaction at the same moment")
    links = [{"identifier": record.identifier, "incident_id": incident_id} for incident_id in sorted(incident_ids)]
    earlier = [{"identifier": record.identifier, "referenced": reference} for reference in sorted(references)]
    if links:
        await tx.execute(insert(threat_incidents), links)
    if earlier:
        await tx.execute(insert(threat_references), earlier)


async def set_state(tx: Transaction, identifier: str, state: str, at: datetime) -> None:
    await tx.execute(update(threats).where(threats.c.identifier == identifier).values(state=state, updated_at=at))


async def thread(tx: Transaction, identifier: str) -> list[ThreadMessage]:
    """All messages that are connected with this one by speaking about each other, in no particular order.

    Raises InvalidInputError as `names_of_thread` does.
    """
    known = await names_of_thread(tx, (identifier,))
    rows = (await tx.execute(select(threats).where(threats.c.identifier.in_(known)))).mappings()
    links = select(threat_references.c.identifier, threat_references.c.referenced)
    references: defaultdict[str, set[str]] = defaultdict(set)
    for speaker, referenced in await tx.execute(links.where(threat_references.c.identifier.in_(known))):
        references[speaker].add(referenced)
    return [ThreadMessage(_record(row), frozenset(references[row["identifier"]])) for row in rows]


async def names_of_thread(tx: Transaction, identifiers: Collection[str]) -> set[str]:
    """The messages that are connected with these by speaking about each other, and all that they speak about.

    Raises InvalidInputError (`thread_too_large`) when they are more than `LARGEST_THREAD`; no more than that many are
    read to find it out.
    """
    known: set[str] = set()
    frontier = set(identifiers)
    while frontier:
        known |= frontier
        if len(known) > LARGEST_THREAD:
            raise InvalidInputError(f"the thread has more than {LARGEST_THREAD} messages", "thread_too_large")
        earlier = select(threat_references.c.referenced).where(threat_references.c.identifier.in_(frontier))
        later = select(threat_references.c.identifier).where(threat_references.c.referenced.in_(frontier))
        found = await tx.execute(earlier.union(later).limit(LARGEST_THREAD + 1))
        frontier = set(found.scalars()) - known
    return known


async def incidents_of(tx: Transaction, identifiers: Collection[str]) -> dict[str, list[str]]:
    """For each of these messages the incidents that it belongs to, in the order of their ids."""
    query = select(threat_incidents).where(threat_incidents.c.identifier.in_(identifiers))
    found: dict[str, list[str]] = {identifier: [] for identifier in identifiers}
    for row in await tx.execute(query.order_by(threat_incidents.c.incident_id)):
        found[row.identifier].append(row.incident_id)
    return found


async def of_incidents(
    tx: Transaction, incident_ids: Collection[str], merged: Mapping[str, str] | None = None
) -> dict[str, list[ThreatRecord]]:
    """For each of these incidents its active threats, those of incidents that were merged into it too.

    The newest comes first. Expired ones are among them: whoever reads them judges that by the clock.
    merged: what `merged_into` says of these incidents, where that is known already.
    """
    if merged is None:
        merged = await merged_into(tx, incident_ids)
    owner = {incident_id: incident_id for incident_id in incident_ids} | dict(merged)
    found: dict[str, dict[str, ThreatRecord]] = {incident_id: {} for incident_id in incident_ids}
    for linked in slices(owner):
        query = (
            select(threats, threat_incidents.c.incident_id.label("linked"))
            .join(threat_incidents, threat_incidents.c.identifier == threats.c.identifier)
            .where(threat_incidents.c.incident_id.in_(linked), threats.c.state == "active")
        )
        for row in (await tx.execute(query)).mappings():
            columns = {name: value for name, value in row.items() if name != "linked"}
            found[owner[row["linked"]]][row["identifier"]] = ThreatRecord(**columns)
    return {incident_id: _newest_first(those.values()) for incident_id, those in found.items()}


async def of_incident(tx: Transaction, incident_id: str) -> list[ThreatRecord]:
    """As `of_incidents`, for one."""
    return (await of_incidents(tx, (incident_id,)))[incident_id]


def _newest_first(records: Iterable[ThreatRecord]) -> list[ThreatRecord]:
    by_name = sorted(records, key=lambda record: record.identifier)
    return sorted(by_name, key=lambda record: record.sent_at, reverse=True)


def _record(row: RowMapping) -> ThreatRecord:
    return ThreatRecord(**row)


def _values(record: ThreatRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
