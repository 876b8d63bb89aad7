"""What several pages show beside their own matter: incidents, earlier searches, shared approvals, own leads."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass

from rtcc_bridge.incidents import board
from rtcc_bridge.leads.earlier import EarlierSearch
from rtcc_bridge.leads.examiners import decides_and_never_examines
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.probes.state import Approval
from rtcc_bridge.storage import incidents, leads, probes
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.web.cards import IncidentCard, LeadCard, incident_card, lead_card
from rtcc_bridge.web.services import WebServices
from rtcc_bridge.web.views import incident_view, lead_view


async def named_incidents(
    services: WebServices, wanted: Set[str], known: Mapping[str, IncidentCard]
) -> Mapping[str, IncidentCard]:
    """The incidents that are spoken of; those that are closed by now are not among the open ones that are known."""
    found = dict(known)
    now = services.clock.now()
    async with services.database.read() as tx:
        for record in await incidents.get_all(tx, wanted - known.keys()):
            found[record.incident_id] = incident_card(incident_view(board.floor_view(record, (), now)))
    return found


async def earlier_searches(
    services: WebServices, probe_id: str, account: Account
) -> Sequence[tuple[EarlierSearch, LeadCard | None]]:
    """What came of the same picture before, for whoever decides on the search and will not examine it (P12)."""
    if not decides_and_never_examines(account):
        return ()
    found = await services.life.earlier.of_probe(probe_id, account)
    return [(one, None if one.lead is None else lead_card(lead_view(one.lead), {})) for one in found]


@dataclass(frozen=True, slots=True)
class SharedApproval:
    """How a still and others of the same person stand to one approval (P01).

    first: the still whose approval this one was attached under; None for one that was attached by itself. is_covered:
    whether the search of this one is made on it. further: the stills that were attached under this one's approval.
    """

    first: ProbeRecord | None
    is_covered: bool
    further: Sequence[ProbeRecord]


async def shared_approval(services: WebServices, record: ProbeRecord) -> SharedApproval:
    async with services.database.read() as tx:
        first = None if record.same_person_as is None else await probes.find(tx, record.same_person_as)
        further = await probes.covered_by(tx, record.probe_id)
    is_granted = first is not None and record.approval == Approval.GRANTED
    is_covered = is_granted and first is not None and record.approved_at == first.approved_at
    return SharedApproval(first, is_covered, further)


async def taken_by(services: WebServices, lead_ids: Collection[str], account: Account) -> Set[str]:
    """Those of these leads that the account has acknowledged."""
    async with services.database.read() as tx:
        takers = await leads.acknowledgers(tx, lead_ids)
    return {lead_id for lead_id, name in takers.items() if same_person(name, account.name)}
