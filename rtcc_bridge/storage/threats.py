"""Threat messages, the incidents they belong to, and which message speaks about which."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, Table, delete, insert, select

from rtcc_bridge.storage import locks
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.incidents import merged_into, way
from rtcc_bridge.storage.inserts import insert_all, replace_all
from rtcc_bridge.storage.locks import Work
from rtcc_bridge.storage.slices import padded, slices
from rtcc_bridge.storage.tables import threat_incidents, threat_references, threats

LARGEST_THREAD: Final = 500
"""Messages of one thread, also those that are only spoken about: more would be a sender gone wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreatRecord:
    """One row of `threats`: one message of a sender.

    incident_id: the first incident that it belongs to; the `ThreadMessage` knows them all.
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
    """A message, the earlier ones that it speaks about, and the incidents that it belongs to."""

    record: ThreatRecord
    references: frozenset[str]
    incident_ids: frozenset[str]


async def wait_for_turn(tx: Transaction) -> None:
    """Lets one transaction at a time change threats.

    What state a message has hangs on its whole thread, and a message that is just being added cannot be locked by
    another that speaks about the same one. Threats are few.
    """
    await locks.wait_for_turn(tx, Work.THREATS)


async def add_all(tx: Transaction, messages: Collection[ThreadMessage]) -> None:
    """Adds messages that were not there when they were read, with what they name.

    Raises TransientError when another transaction created one meanwhile.
    """
    await insert_all(tx, threats, _rows(messages))
    await _link(tx, messages)


async def change_all(tx: Transaction, messages: Collection[ThreadMessage]) -> None:
    """Writes messages over those with the same identifiers, with what they name by now."""
    await replace_all(tx, threats, _rows(messages))
    for identifiers in slices(message.record.identifier for message in messages):
        for table in (threat_incidents, threat_references):
            await tx.execute(delete(table).where(table.c.identifier.in_(identifiers)))
    await _link(tx, messages)


async def names_of_threads(tx: Transaction, starts: Sequence[Collection[str]], most: int) -> list[set[str] | None]:
    """For each of these: the messages connected with them by speaking about each other, and all they speak about.

    None where they are more than `most`: those are not followed any further.
    """
    found = [set(names) if len(names) <= most else None for names in starts]
    frontiers = [set(names or ()) for names in found]
    while any(frontiers):
        neighbours = await _neighbours(tx, set().union(*frontiers))
        for place, known in enumerate(found):
            if known is not None:
                frontiers[place] = set().union(*(neighbours[name] for name in frontiers[place])) - known
                known.update(frontiers[place])
                if len(known) > most:
                    found[place], frontiers[place] = None, set()
    return found


async def get_all(tx: Transaction, identifiers: Collection[str]) -> list[ThreadMessage]:
    """Those of these messages that are stored, in no particular order."""
    records: list[ThreatRecord] = []
    named: dict[Table, defaultdict[str, set[str]]] = {}
    for part in slices(identifiers):
        records += map(_record, (await tx.execute(select(threats).where(threats.c.identifier.in_(part)))).mappings())
    for table in (threat_incidents, threat_references):
        named[table] = defaultdict(set)
        for part in slices(record.identifier for record in records):
            for identifier, name in await tx.execute(select(table).where(table.c.identifier.in_(part))):
                named[table][identifier].add(name)
    return [
        ThreadMessage(
            record,
            references=frozenset(named[threat_references][record.identifier]),
            incident_ids=frozenset(named[threat_incidents][record.identifier]),
        )
        for record in records
    ]


async def of_incidents(
    tx: Transaction, incident_ids: Collection[str], merged: Mapping[str, str] | None = None
) -> dict[str, list[ThreatRecord]]:
    """For each of these incidents its active threats, those of incidents that were merged into it too.

    The newest comes first. Expired ones are among them: whoever reads them judges that by the clock.
    merged: what `merged_into` says of these incidents, where that is known already.
    """
    if merged is None:
        merged = await merged_into(tx, incident_ids)
    found: dict[str, dict[str, ThreatRecord]] = {incident_id: {} for incident_id in incident_ids}
    for linked in slices({*incident_ids, *merged}):
        query = (
            select(threats, threat_incidents.c.incident_id.label("linked"))
            .join(threat_incidents, threat_incidents.c.identifier == threats.c.identifier)
            .where(threat_incidents.c.incident_id.in_(linked), threats.c.state == "active")
        )
        for row in (await tx.execute(query)).mappings():
            record = ThreatRecord(**{name: value for name, value in row.items() if name != "linked"})
            for incident_id in way(row["linked"], merged.get):
                if incident_id in found:
                    found[incident_id][record.identifier] = record
    return {incident_id: _newest_first(those.values()) for incident_id, those in found.items()}


async def of_incident(tx: Transaction, incident_id: str) -> list[ThreatRecord]:
    """As `of_incidents`, for one."""
    return (await of_incidents(tx, (incident_id,)))[incident_id]


async def imminent_senders(tx: Transaction, incident_ids: Collection[str], at: datetime) -> set[str]:
    """Who had sent an alert about one of these incidents that was imminent (P14) and had not expired at that moment.

    What became of the alert afterwards counts for nothing, and neither does an exercise.
    """
    belongs = threats.c.identifier == threat_incidents.c.identifier
    query = select(threats.c.sender).join_from(threats, threat_incidents, belongs)
    query = query.where(threat_incidents.c.incident_id.in_(padded(incident_ids)) & threats.c.imminent)
    query = query.where(~threats.c.exercise & (threats.c.sent_at <= at) & (threats.c.expires_at > at))
    return set((await tx.execute(query.distinct())).scalars())


async def _neighbours(tx: Transaction, names: Collection[str]) -> defaultdict[str, set[str]]:
    """For each of these names: what it speaks about, and what speaks about it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    identifier, referenced = threat_references.c.identifier, threat_references.c.referenced
    for part in slices(names):
        for speaker, name in await tx.execute(
            select(identifier, referenced).where(identifier.in_(part) | referenced.in_(part))
        ):
            found[speaker].add(name)
            found[name].add(speaker)
    return found


async def _link(tx: Transaction, messages: Collection[ThreadMessage]) -> None:
    """Writes what the messages name."""
    by_identifier = sorted(messages, key=lambda message: message.record.identifier)
    links = [(each.record.identifier, name) for each in by_identifier for name in sorted(each.incident_ids)]
    earlier = [(each.record.identifier, name) for each in by_identifier for name in sorted(each.references)]
    if links:
        await tx.execute(insert(threat_incidents), [{"identifier": one, "incident_id": name} for one, name in links])
    if earlier:
        await tx.execute(insert(threat_references), [{"identifier": one, "referenced": name} for one, name in earlier])


def _newest_first(records: Iterable[ThreatRecord]) -> list[ThreatRecord]:
    by_name = sorted(records, key=lambda record: record.identifier)
    return sorted(by_name, key=lambda record: record.sent_at, reverse=True)


def _record(row: RowMapping) -> ThreatRecord:
    return ThreatRecord(**row)


def _rows(messages: Iterable[ThreadMessage]) -> list[dict[str, Any]]:
    """In the order of their identifiers."""
    records = sorted((message.record for message in messages), key=lambda record: record.identifier)
    return [{field.name: getattr(record, field.name) for field in fields(record)} for record in records]
