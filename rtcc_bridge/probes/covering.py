"""One approval for several stills of one unknown person (P01): which approval covers a further still."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import same_person
from rtcc_bridge.policy.authority_token import TokenVerifier
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.policy.rules import SearchGrounds
from rtcc_bridge.probes.search_token import require_kept_authority
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.storage import incidents, probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.probes import ProbeRecord

_STANDING: Final = frozenset({ProbeState.AUTHORIZED, ProbeState.SEARCHED, ProbeState.UNREADABLE})
"""With its approval granted, a probe in one of these states was not withdrawn."""


@dataclass(frozen=True, slots=True)
class OpenApproval:
    """An approval that further stills can be added to. probe: the approved one. stills: how many it covers, with that
    one. until: when it ends."""

    probe: ProbeRecord
    stills: int
    until: datetime


async def open_approvals(
    tx: Transaction, incident_id: str, analyst: str, policy: Policy, verifier: TokenVerifier, now: datetime
) -> Sequence[OpenApproval]:
    """The incident's approvals that would cover a further still of the analyst of this name, on the approved search's
    own grounds; the oldest still first. incident_id: of an incident that goes on.

    This only spares a person the attempt: each is asked about again when the still comes.
    """
    found = []
    for probe in await probes.of_incidents(tx, {incident_id}, _STANDING):
        is_first = probe.approval == Approval.GRANTED and probe.same_person_as is None
        if not is_first or probe.approved_at is None or not same_person(probe.analyst, analyst):
            continue
        further = replace(await _grounds_of(tx, probe), incident_id=incident_id)
        try:
            await require_covering(tx, probe.probe_id, further, policy, verifier, now)
        except PolicyRefusalError:
            continue
        stills = 1 + len(await probes.covered_by(tx, probe.probe_id))
        found.append(OpenApproval(probe, stills, rules.approval_end(policy, probe.approved_at)))
    return found


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
    rules.require_covered(policy, approved_at, await _grounds_of(tx, first), further, stills, now)
    require_kept_authority(first, verifier)
    return first


async def require_other_picture(tx: Transaction, first_id: str, sha256: str) -> None:
    """Asks, once the still has arrived, whether its bytes are those of one under the approval already.

    first_id: the probe that was approved. It is held, so that of the same still sent twice at once one is refused.
    Raises PolicyRefusalError (P01).
    """
    first = await probes.find(tx, first_id, lock=True)
    stills = (first, *await probes.covered_by(tx, first_id))
    rules.require_other_picture(is_known=any(still and still.original_sha256 == sha256 for still in stills))


async def still_covering(
    tx: Transaction, probe: ProbeRecord, crop_sha256: str, policy: Policy, verifier: TokenVerifier, now: datetime
) -> ProbeRecord | None:
    """The probe whose approval covers this one, read again when its face is chosen; None when none does any more.

    crop_sha256: of the chosen face's pixels, by which a copy of a picture under the approval is known: it waits for a
    supervisor, who sees what came of the picture before (P12). The approved probe is held. Raises PolicyRefusalError
    (P30).
    """
    if probe.same_person_as is None:
        return None
    first = await probes.find(tx, probe.same_person_as, lock=True)
    stands = first is not None and first.state in _STANDING and first.approval == Approval.GRANTED
    if first is None or not stands or first.approved_at is None:
        return None
    if await _grounds_of(tx, first) != await _grounds_of(tx, probe):
        return None
    require_kept_authority(first, verifier)
    searched = (first, *(still for still in await probes.covered_by(tx, first.probe_id) if still.chosen_at is not None))
    if any(_is_same_picture(still, probe, crop_sha256) for still in searched if still.probe_id != probe.probe_id):
        return None
    return first if rules.approval_holds(policy, first.approved_at, now) else None


async def _grounds_of(tx: Transaction, probe: ProbeRecord) -> SearchGrounds:
    """What the probe is searched on, by the incident that the one it was attached to is part of."""
    incident = await incidents.resolve(tx, probe.attached_to)
    return SearchGrounds(
        incident_id=probe.attached_to if incident is None else incident.incident_id,
        case_number=probe.case_number,
        purpose=probe.purpose,
        legal_basis=probe.legal_basis,
        requestor=probe.requestor,
        analyst=probe.analyst,
    )


def _is_same_picture(known: ProbeRecord, probe: ProbeRecord, crop_sha256: str) -> bool:
    """As `storage.probes.is_same_picture`, for a probe whose face is being chosen."""
    return known.original_sha256 == probe.original_sha256 or known.crop_sha256 == crop_sha256


async def _approved(tx: Transaction, named_id: str) -> ProbeRecord | None:
    named = await probes.find(tx, named_id)
    if named is None or named.same_person_as is None:
        return named
    return await probes.find(tx, named.same_person_as)
