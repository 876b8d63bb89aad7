"""Who may examine a lead, and whose list it is: asked in one place, for the first examiner, the peer and the third."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.leads.lead import LeadResult, ReviewState
from rtcc_bridge.policy.accounts import Account, Role, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.state import WAITING
from rtcc_bridge.storage import examinations, incidents, leads, probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.probes import ProbeRecord


def require_examiner(account: Account, deed: Deed) -> None:
    """P10: the account may go on with an examiner's work. Raises PolicyRefusalError.

    Whoever begins it needs certificates in date as well (`rules.require_certified`); what is filed without is marked.
    """
    require_permission(account, deed)


class Examiners(Protocol):
    """Knows who could be asked to examine a lead."""

    async def everybody(self, tx: Transaction) -> Sequence[Account]:
        """All accounts whose examination would count at this moment."""
        ...

    async def may_finish(self, tx: Transaction, person: str) -> bool:
        """Whether the person still examines here; certificates may have ended since they began (P10)."""
        ...


@dataclass(frozen=True, slots=True)
class CasePeople:
    """Who has a part in a lead already (P11): its analyst, requestor and approver, and those who examine it."""

    names: tuple[str, ...]

    def have(self, account: Account) -> bool:
        return any(same_person(account.name, name) for name in self.names)


async def people_of(tx: Transaction, lead: LeadRecord, *, but_round: int) -> CasePeople:
    """but_round: whose examiner is not counted, since it is that round that somebody is wanted for."""
    probe = await probes.find(tx, lead.probe_id)
    known = [lead.acknowledged_by]
    if probe is not None:
        known += [probe.analyst, probe.requestor, probe.approved_by]
    known += [one.examiner for one in await examinations.of_lead(tx, lead.lead_id) if one.round != but_round]
    return CasePeople(tuple(name for name in known if name is not None))


def require_independent(account: Account, people: CasePeople) -> None:
    """P11: the reviewer is somebody else. Raises PolicyRefusalError."""
    if people.have(account):
        raise PolicyRefusalError(
            "P11",
            "You have a part in this lead already (as its analyst, examiner, requestor or approver): somebody else has "
            "to review it.",
        )


EXAMINED_IN: Final = (ReviewState.UNREVIEWED, ReviewState.IN_REVIEW)


def waits_for_examiners(lead: LeadRecord) -> bool:
    """Whether somebody may still be asked to examine its list."""
    return lead.result == LeadResult.CANDIDATES and lead.review_state in EXAMINED_IN


def decides_and_never_examines(account: Account) -> bool:
    """Whether a case can be told at any time: a supervisor who is an examiner too might have to examine its face."""
    return Role.SUPERVISOR in account.roles and Role.ANALYST not in account.roles


def require_never_examines(account: Account) -> None:
    """P12: what names the people on lists is made by nobody who may have to examine one. Raises PolicyRefusalError."""
    if Role.ANALYST in account.roles:
        raise PolicyRefusalError(
            "P12",
            "Whoever examines faces may be asked to review one of these blind: let somebody make this who is no "
            "analyst.",
        )


async def require_not_blind(tx: Transaction, account: Account, probe: ProbeRecord) -> None:
    """P12: what a still's case says is closed to the analysts who may still have to review a search of it blind.

    The case's own analyst, whoever took the lead, and supervisors who examine nothing themselves, see it. Raises as
    `require_case_not_blind` does.
    """
    lead = await leads.of_probe(tx, probe.probe_id)
    if not _is_own(account, probe, lead):
        await require_case_not_blind(tx, account, probe.incident_id)


async def require_case_not_blind(tx: Transaction, account: Account, incident_id: str) -> None:
    """P12: the same of an incident. Every still of it, and of its case numbers, tells the same case.

    It is closed while one of those stills is examined by others, and while its picture is, in whichever case: an
    earlier case of a face is no help for whoever looks at it now. Raises PolicyRefusalError.
    """
    if decides_and_never_examines(account):
        return
    goes_on = await incidents.resolve(tx, incident_id)  # the stills of what was merged are there
    told = {incident_id} if goes_on is None else {incident_id, goes_on.incident_id}
    stills = {probe.probe_id: probe for probe in await probes.telling_of(tx, told)}
    found = await leads.of_probes(tx, stills.keys())
    if any(waits_for_examiners(lead) and not _has_part(account, stills[key], lead) for key, lead in found.items()):
        raise PolicyRefusalError(
            "P12", "You may be asked to review a search of this case blind: it is open to you when that is done."
        )
    others = {key for key, probe in stills.items() if not _is_own(account, probe, found.get(key))}
    if any(waits_for_examiners(one) for one in await leads.of_picture(tx, others, EXAMINED_IN)):
        raise PolicyRefusalError(
            "P12", "A picture of this case is being examined in another search: it is open to you when that is done."
        )


def _is_own(account: Account, probe: ProbeRecord, lead: LeadRecord | None) -> bool:
    """Whether the account stated the case itself, or has taken its lead."""
    names = (probe.analyst, None if lead is None else lead.acknowledged_by)
    return any(name is not None and same_person(account.name, name) for name in names)


def _has_part(account: Account, probe: ProbeRecord, lead: LeadRecord) -> bool:
    """Whether P11 keeps the account from reviewing the lead anyway."""
    names = (probe.analyst, probe.requestor, probe.approved_by, lead.acknowledged_by)
    return any(name is not None and same_person(account.name, name) for name in names)


async def require_face_concluded(tx: Transaction, account: Account, probe: ProbeRecord) -> None:
    """P12: who may still have to examine a face is not told what came of it, in this search or in another.

    In another: of the same picture, or of a still that was declared to show the same unknown person. Raises
    PolicyRefusalError.
    """
    if decides_and_never_examines(account):
        return
    lead = await leads.of_probe(tx, probe.probe_id)
    is_done = probe.state not in WAITING if lead is None else not await _may_examine(tx, account, lead)
    others = await leads.of_person(tx, probe.probe_id, EXAMINED_IN)
    if not is_done or any([await _may_examine(tx, account, other) for other in others]):
        raise PolicyRefusalError(
            "P12",
            "Examine the face first: what came of it in earlier searches is open to you when you have concluded, or "
            "when nobody has to any more.",
        )


async def _may_examine(tx: Transaction, account: Account, lead: LeadRecord) -> bool:
    """Whether the account may still be asked what it thinks of this lead's face."""
    if not waits_for_examiners(lead):
        return False
    own = [
        one
        for one in await examinations.of_lead(tx, lead.lead_id)
        if one.examiner is not None and same_person(one.examiner, account.name)
    ]
    return not own or any(one.filed_at is None for one in own)


async def third_examiner(
    tx: Transaction, examiners: Examiners, people: CasePeople, asked: Sequence[str] = ()
) -> Account | None:
    """Whom the system asks when two examiners differ (P12): the one with the least before them, by lot where equal.

    asked: who had been asked and did not conclude, the last one at the end: they are asked again only where nobody else
    is left, and the last one not at all. None when nobody is left who has no part in the lead.
    """
    eligible = [account for account in await examiners.everybody(tx) if not people.have(account)]
    fresh = [account for account in eligible if account.person not in asked]
    return await _least_busy(tx, fresh or [account for account in eligible if account.person not in asked[-1:]])


async def _least_busy(tx: Transaction, accounts: Iterable[Account]) -> Account | None:
    waiting = [(await examinations.count_unfiled(tx, account.person), account) for account in accounts]
    if not waiting:
        return None
    least = min(count for count, _ in waiting)
    return secrets.choice([account for count, account in waiting if count == least])
