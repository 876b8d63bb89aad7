"""The parts that a lead's data is made of, each from the record that holds it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.leads.candidates import PreparedCandidates
from rtcc_bridge.leads.lead import Lead, LeadApproval, LeadResult, Outcome, ReviewState
from rtcc_bridge.matching.quality_bands import band_of
from rtcc_bridge.matching.types import Estimate
from rtcc_bridge.publishing.outbox import Latency, LatencyMetric
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.probes import ProbeRecord

GALLERY_REMOVAL: Final = "gallery_removal"
"""The cause, in the audit log alone, of withdrawing a lead since a person on it was removed from the gallery (P25)."""

BY_A_PERSON: Final = "by_a_person"
"""The cause, in the audit log alone, of withdrawing a lead since somebody has said why it should be (P19)."""

_NEUTRAL_CAUSE: Final = "no_longer_supported"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFacts:
    """How a candidate list came about. The threshold is not published: it is a score.

    estimated_fpir: of this threshold, for all probes. estimated_fpir_by_band: for probes of one quality band, by its
    name, as far as the pack's calibration knows.
    """

    gallery: str
    gallery_version: int
    gallery_size: int
    model_pack: str
    model_hash: str
    list_length: int
    threshold: float
    estimated_fpir: Estimate
    estimated_fpir_by_band: Mapping[str, Estimate] = field(default_factory=dict)

    def of_probe(self, unified_score: int) -> "SearchFacts":
        """With the estimate for probes of such quality, where there is one."""
        estimate = self.estimated_fpir_by_band.get(band_of(unified_score), self.estimated_fpir)
        return replace(self, estimated_fpir=estimate)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """What a search returned. quality: that of the chosen face as `ProbeRecord.faces` holds it."""

    candidates: PreparedCandidates
    facts: SearchFacts
    quality: Mapping[str, Any]


def published_cause(cause: str) -> str:
    """The cause as every consumer may read it: that somebody was expunged is told to nobody.

    It could be told if a person's withdrawal had a cause of its own, so that has the same one.
    """
    return _NEUTRAL_CAUSE if cause in {GALLERY_REMOVAL, BY_A_PERSON} else cause


def lead_of(record: LeadRecord) -> Lead:
    """The lead as its rules see it."""
    approval = record.data["approval"]
    return Lead(
        lead_id=record.lead_id,
        result=LeadResult(record.result),
        review_state=ReviewState(record.review_state),
        approval=LeadApproval.NOT_NEEDED if approval is None else LeadApproval(approval["state"]),
        acknowledged_by=record.acknowledged_by,
        outcome=Outcome(record.data["corroboration"]["state"]),
    )


def approval_part(probe: ProbeRecord) -> dict[str, Any]:
    """What the search rests on. Raises ConflictError when it rests on nothing."""
    if probe.authority_at is not None and probe.approval == LeadApproval.GRANTED.value:
        return {"state": "granted"}
    if probe.authority_at is not None and probe.approval == LeadApproval.PENDING.value:
        return {"state": "pending", "approveBy": probe.approve_by}
    raise ConflictError(f"Probe {probe.probe_id} has no authority for a search (approval: {probe.approval}).")


def search_part(facts: SearchFacts) -> dict[str, Any]:
    """How the candidate list came about, without the threshold."""
    estimate = facts.estimated_fpir
    return {
        "gallery": facts.gallery,
        "galleryVersion": facts.gallery_version,
        "gallerySize": facts.gallery_size,
        "modelPack": facts.model_pack,
        "modelHash": facts.model_hash,
        "listLength": facts.list_length,
        "estimatedFpir": {"value": estimate.value, "low": estimate.low, "high": estimate.high},
    }


def quality_part(quality: Mapping[str, Any]) -> dict[str, Any]:
    """What of a face's quality, as `ProbeRecord.faces` holds it, is published."""
    return {"unifiedScore": quality.get("unifiedScore"), "sentences": list(quality.get("sentences", ()))}


def latency_of(probe: ProbeRecord) -> Latency | None:
    """From authority and chosen face to the feed; a picture that was never to be searched had no authority."""
    if probe.authority_at is None:
        return None
    return Latency(LatencyMetric.PROBE_TO_CANDIDATES, probe.lane, probe.authority_at)
