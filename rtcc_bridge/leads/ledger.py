"""The ledger of a lead: everybody who has had it, by whichever way, and whether they know that it has ended (P19)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rtcc_bridge.leads.lead import ENDED
from rtcc_bridge.storage import outside_receivers, releases, unacknowledged
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.outside_receivers import OutsideReceiverRecord
from rtcc_bridge.storage.releases import ReceiverRecord
from rtcc_bridge.storage.unacknowledged import SystemBehind


class ReceiverKind(StrEnum):
    """How somebody came by a lead."""

    ACCOUNT = "account"
    """Signed in here: the requestor, and every supervisor who opened the released lead. They confirm themselves."""
    PACKET = "packet"
    """Was handed a discovery packet. Whoever handed it over tells them, and says so."""
    SYSTEM = "system"
    """Reads the lead's topic, as its consumer group has committed, or may by the broker's list of rights. It knows of
    the end when it has read of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One who has had the lead.

    account: who signed in; None for everybody else. receiver_id, office, name, handed_over_by, acknowledged_by, told_at
    and told_how: as `OutsideReceiverRecord` has them; None for an account.
    """

    lead_id: str
    kind: ReceiverKind
    received_at: datetime
    withdrawal_acknowledged_at: datetime | None
    account: str | None = None
    receiver_id: str | None = None
    office: str | None = None
    name: str | None = None
    handed_over_by: str | None = None
    acknowledged_by: str | None = None
    told_at: datetime | None = None
    told_how: str | None = None


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Somebody who has had a lead that ended, and is not known to know it. ended_at: since when that is waited for."""

    receiver: Receiver
    incident_id: str
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What is waited for: people one by one, systems by how many ends of leads they have not read. Oldest first."""

    people: Sequence[Unconfirmed]
    systems: Sequence[SystemBehind]


async def everybody(tx: Transaction, lead_id: str) -> Sequence[Receiver]:
    """Who has had the lead, the first one first."""
    accounts = await releases.receivers(tx, lead_id)
    found = [*map(receiver, accounts), *map(receiver, await outside_receivers.of_lead(tx, lead_id))]
    return sorted(found, key=lambda one: one.received_at)


async def outstanding(tx: Transaction, limit: int) -> Outstanding:
    """Of every lead that has ended and was not purged: who is not known to know it. At most `limit` of each."""
    people = [
        Unconfirmed(receiver(one.receiver), one.incident_id, one.ended_at)
        for one in await unacknowledged.oldest(tx, ENDED, limit)
    ]
    return Outstanding(people, await unacknowledged.systems_behind(tx, limit))


def receiver(record: ReceiverRecord | OutsideReceiverRecord) -> Receiver:
    """As the ledger tells of the row."""
    if isinstance(record, OutsideReceiverRecord):
        return _of_outside(record)
    return Receiver(
        lead_id=record.lead_id,
        kind=ReceiverKind.ACCOUNT,
        account=record.account,
        received_at=record.received_at,
        withdrawal_acknowledged_at=record.withdrawal_acknowledged_at,
    )


def _of_outside(record: OutsideReceiverRecord) -> Receiver:
    return Receiver(
        lead_id=record.lead_id,
        kind=ReceiverKind(record.kind),
        receiver_id=record.receiver_id,
        office=record.office,
        name=record.name,
        handed_over_by=record.handed_over_by,
        received_at=record.received_at,
        withdrawal_acknowledged_at=record.withdrawal_acknowledged_at,
        acknowledged_by=record.acknowledged_by,
        told_at=record.told_at,
        told_how=record.told_how,
    )
