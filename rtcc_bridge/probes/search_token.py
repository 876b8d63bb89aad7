"""The authority token of a probe's search request, made from the probe's row and held against it again (P30)."""

from datetime import datetime, timedelta
from typing import Any, Final

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy.authority_token import SearchAuthority, TokenSigner, TokenVerifier, grounds_digest
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes.state import Approval
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.topic_settings import TopicSettings

ACTUAL: Final = "actual"
TRAINING: Final = "training"


def token_for(probe: ProbeRecord, signer: TokenSigner, policy: Policy, now: datetime) -> dict[str, Any]:
    """The token of a request for this probe, which has authority."""
    return signer.sign(_authority(probe, probe.approval), now=now, until=_until(probe, policy))


def require_lane_of_topic(authority: SearchAuthority, topic: str, topics: TopicSettings) -> None:
    """A routine request is not put before the imminent ones by being written to their topic (P14)."""
    if (authority.lane == Lane.IMMINENT) != (topic == topics.probes_imminent):
        raise PolicyRefusalError("P30", "The request's authority token is of another lane than its topic.")


def require_kept_authority(probe: ProbeRecord, verifier: TokenVerifier) -> None:
    """Whoever asks for a search again, or rests another one on it, asks for the proof that was kept with the authority.

    Else whoever can write to the database would have a request signed by writing that a search was approved. With an
    approval that came later its own proof is kept. Raises PolicyRefusalError (P30).
    """
    _require_same(probe, verifier.verify_kept(probe.authority_token), probe.approval)


def require_token_of(probe: ProbeRecord, authority: SearchAuthority, verifier: TokenVerifier) -> None:
    """The row still is what the token was made for: the request is not replayed, and nobody has changed the row since.

    An approval that was pending when the request was made may have come meanwhile; that takes nothing from it, where
    the proof of it was kept. Raises PolicyRefusalError (P30).
    """
    if (authority.approval, probe.approval) == (Approval.PENDING, Approval.GRANTED):
        require_kept_authority(probe, verifier)
        _require_same(probe, authority, Approval.PENDING)
    else:
        _require_same(probe, authority, probe.approval)


def _require_same(probe: ProbeRecord, authority: SearchAuthority, approval: str) -> None:
    if _authority(probe, approval) != authority:
        raise PolicyRefusalError(
            "P30", "The request's authority token was made for another search than the one that is recorded."
        )


def _authority(probe: ProbeRecord, approval: str) -> SearchAuthority:
    return SearchAuthority(
        probe_id=probe.probe_id,
        lane=probe.lane,
        gallery_kind=TRAINING if probe.exercise else ACTUAL,
        purpose=probe.purpose,
        approval=approval,
        policy_hash=probe.policy_hash,
        grounds=grounds_digest(probe.crop_object or "", _grounds(probe, approval)),
    )


def _grounds(probe: ProbeRecord, approval: str) -> dict[str, Any]:
    """Who asked, for what, on whose word, and for which face.

    Of incidents the one that the still was attached to, and not the one that it belongs to by now: a probe follows
    merges (P08). Proofs from before that was kept do without.
    """
    if approval == Approval.GRANTED:
        allowed = {"by": probe.approved_by, "at": _moment(probe.approved_at)}
    else:
        allowed = {"approveBy": _moment(probe.approve_by)}
    return {
        "analyst": probe.analyst,
        "requestor": probe.requestor,
        "caseNumber": probe.case_number,
        "legalBasis": probe.legal_basis,
        "allowed": allowed,
        "originalSha256": probe.original_sha256,
        "chosenFace": probe.chosen_face,
        "edits": list(probe.edits or ()),
        "cropSize": [probe.crop_width, probe.crop_height],
        "cropLandmarks": [list(point) for point in probe.crop_landmarks or ()],
        **({} if probe.named_incident_id is None else {"incidentId": probe.named_incident_id}),
    }


def _until(probe: ProbeRecord, policy: Policy) -> datetime | None:
    """When the authority itself ends: after the approval's hours (P01), or where it did not follow in time (P14)."""
    if probe.approval == Approval.GRANTED and probe.approved_at is not None:
        return probe.approved_at + timedelta(hours=policy.approval.valid_hours)
    return probe.approve_by


def _moment(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
