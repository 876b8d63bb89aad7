"""Whether a probe may be searched at this moment: asked before the work and again where it is recorded."""

from datetime import datetime

from rtcc_bridge.policy import rules
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes.authority import authority_of, require_open_case, require_still_permitted
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.probes import ProbeRecord


async def reason_to_drop(tx: Transaction, probe: ProbeRecord, policy: Policy, now: datetime) -> str | None:
    """Why a request for this probe is dropped, None when it may be searched.

    Raises PolicyRefusalError when what was permitted is so no longer, and never will be: the probe has to be withdrawn.
    """
    if probe.state != ProbeState.AUTHORIZED:
        return f"the probe is {probe.state}"
    authority = await authority_of(tx, probe.attached_to, policy, now)
    require_still_permitted(policy, probe, authority)
    await require_open_case(tx, probe.case_number)
    if is_overdue(probe, now):
        return "the approval did not come in time"
    return reason_to_suspend(probe, policy, now, imminent_threat=authority.imminent_threat)


def reason_to_suspend(probe: ProbeRecord, policy: Policy, now: datetime, *, imminent_threat: bool) -> str | None:
    """Why a probe with authority needs an approval (again) before it may be searched; None when its authority holds."""
    if probe.approval == Approval.GRANTED:
        if probe.approved_at is None or not rules.approval_holds(policy, probe.approved_at, now):
            return "the approval is too old, or of a time to come: compare the clocks"
        return None
    if probe.approval != Approval.PENDING or probe.approve_by is None:
        return "nobody has approved the search"
    return None if imminent_threat else "the threat that deferred the approval has ended"


def is_overdue(probe: ProbeRecord, now: datetime) -> bool:
    """Whether an approval was deferred and has not come by its time (P14)."""
    deferred = probe.state in {ProbeState.AUTHORIZED, ProbeState.SEARCHED} and probe.approval == Approval.PENDING
    return deferred and probe.approve_by is not None and now >= probe.approve_by
