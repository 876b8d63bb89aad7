"""What is asked of a lead at the moment somebody uses it, whether or not a sweep has come to it yet.

The reconciler withdraws and expires what is over, seconds after it is. It runs in one role of the program: while that
is down, no lead may live on for it.
"""

from datetime import datetime

from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.lead import LeadApproval, Outcome
from rtcc_bridge.leads.parts import lead_of
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes import authority
from rtcc_bridge.storage import probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.probes import ProbeRecord


def require_in_time(lead: LeadRecord, now: datetime) -> None:
    """Of a lead that lives by its state: that its time is not over, nor that of an approval that may follow.

    One that has ended is left to the table of transitions. Raises PolicyRefusalError (P14, P18).
    """
    facts = lead_of(lead)
    if not facts.is_live:
        return
    if facts.approval is LeadApproval.PENDING and now >= datetime.fromisoformat(lead.data["approval"]["approveBy"]):
        raise PolicyRefusalError(
            "P14",
            "The supervisor's approval did not come in time, so this lead is withdrawn: attach the still again and "
            "have the search approved.",
        )
    if facts.outcome is Outcome.NONE and now >= lead.expires_at:
        raise PolicyRefusalError(
            "P18",
            "The time of this lead is over without an outcome, so it may not be used any more: where the case still "
            "needs it, attach the still again.",
        )


async def search_of(tx: Transaction, lead: LeadRecord) -> ProbeRecord:
    """Raises NotFoundError."""
    probe = await probes.find(tx, lead.probe_id)
    if probe is None:
        raise NotFoundError("The search of this lead is kept no longer.")
    return probe


async def require_still_grounded(tx: Transaction, lead: LeadRecord, policy: Policy, now: datetime) -> ProbeRecord:
    """The search of the lead, which its incident permits as it stands now, with all that dispatch has said since.

    Raises PolicyRefusalError (P01, P02, P07, P08, P09), NotFoundError, ConflictError (merged into what is not known
    yet).
    """
    probe = await search_of(tx, lead)
    authority.require_still_permitted(policy, probe, await authority.authority_of(tx, probe.incident_id, policy, now))
    return probe


async def require_not_ended(tx: Transaction, lead: LeadRecord, policy: Policy, now: datetime) -> ProbeRecord:
    """The search of the lead, whose incident has not become what the next sweep withdraws the lead for.

    Raises PolicyRefusalError (P01, P02, P07, P08), NotFoundError, ConflictError (as above).
    """
    probe = await search_of(tx, lead)
    authority.require_not_ended(probe, await authority.authority_of(tx, probe.incident_id, policy, now))
    return probe


async def require_usable(tx: Transaction, lead: LeadRecord, policy: Policy, now: datetime) -> None:
    """Of a lead that lives by its state: that its time is not over, nor its incident what it is withdrawn for.

    Of one that has ended its examiners keep what they have noted. Raises PolicyRefusalError (P01, P02, P07, P08, P14,
    P18), NotFoundError, ConflictError (merged into what is not known yet).
    """
    require_in_time(lead, now)
    if lead_of(lead).is_live:
        await require_not_ended(tx, lead, policy, now)


def require_no_say_in(account: Account, probe: ProbeRecord) -> None:
    """P11: whoever asked for the search, or approved it, does not examine what it found. Raises PolicyRefusalError.

    Its analyst may: the peer who reviews it is somebody else.
    """
    for name, part in ((probe.requestor, "requestor"), (probe.approved_by, "approver")):
        if name is not None and same_person(account.name, name):
            raise PolicyRefusalError("P11", f"You are the {part} of this search: another analyst has to examine it.")
