"""One approval for several stills of one unknown person (P01): which approval covers a further still."""

from datetime import datetime
from typing import Final

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.authority_token import TokenVerifier
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.policy.rules import SearchGrounds
from rtcc_bridge.probes.search_token import require_kept_authority
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.storage import probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.probes import ProbeRecord

_STANDING: Final = frozenset({ProbeState.AUTHORIZED, ProbeState.SEARCHED, ProbeState.UNREADABLE})
"""With its approval granted, a probe in one of these states was not withdrawn."""


async def require_covering(
    tx: Transaction, named_id: str, further: SearchGrounds, policy: Policy, verifier: TokenVerifier, now: datetime
) -> ProbeRecord:
    """The probe that was approved, when its approval covers a still with these grounds as well.

    named_id: that probe, or another one that it covers. Raises PolicyRefusalError (P01; P30 when nobody who may has
    approved it), NotFoundError.
    """
    first = await _approved(tx, named_id)
    if first is None:
        raise NotFoundError("There is no such probe to add a still to.")
    stands = first.state in _STANDING and first.approval == Approval.GRANTED
    approved_at = first.approved_at if stands else None
    stills = 1 + len(await probes.covered_by(tx, first.probe_id))
    rules.require_covered(policy, approved_at, grounds_of(first), further, stills, now)
    require_kept_authority(first, verifier)
    return first


async def still_covering(
    tx: Transaction, probe: ProbeRecord, policy: Policy, verifier: TokenVerifier, now: datetime
) -> ProbeRecord | None:
    """The probe whose approval covers this one, read again when its face is chosen; None when none does any more.

    Raises PolicyRefusalError (P30).
    """
    if probe.same_person_as is None:
        return None
    first = await probes.find(tx, probe.same_person_as)
    stands = first is not None and first.state in _STANDING and first.approval == Approval.GRANTED
    if first is None or not stands or first.approved_at is None or grounds_of(first) != grounds_of(probe):
        return None
    require_kept_authority(first, verifier)
    return first if rules.approval_holds(policy, first.approved_at, now) else None


def grounds_of(probe: ProbeRecord) -> SearchGrounds:
    """What the probe is searched on."""
    return SearchGrounds(
        incident_id=probe.incident_id,
        case_number=probe.case_number,
        purpose=probe.purpose,
        legal_basis=probe.legal_basis,
        requestor=probe.requestor,
        analyst=probe.analyst,
    )


async def _approved(tx: Transaction, named_id: str) -> ProbeRecord | None:
    named = await probes.find(tx, named_id)
    if named is None or named.same_person_as is None:
        return named
    return await probes.find(tx, named.same_person_as)
