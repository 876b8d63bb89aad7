"""Valid data for each event type, and names of what no event may hold."""

from typing import Any

from rtcc_bridge.leads.events import build, to_wire

REF = "r" * 22
SEARCH = {
    "gallery": "booking",
    "galleryVersion": 7,
    "gallerySize": 100_000,
    "modelPack": "default",
    "modelHash": "0" * 64,
    "listLength": 20,
    "estimatedFpir": {"value": 0.05, "low": 0.03, "high": 0.08},
}
CANDIDATES: dict[str, Any] = {
    "leadId": "l" * 22,
    "incidentId": "INC-1",
    "probeId": "p" * 22,
    "sequence": 1,
    "result": "candidates",
    "reviewState": "unreviewed",
    "candidateCount": 1,
    "candidates": [{"candidateRef": REF}],
    "approval": {"state": "granted"},
    "search": SEARCH,
    "probeQuality": {"unifiedScore": 61, "sentences": []},
    "policyHash": "1" * 64,
    "auditLeaf": "2" * 64,
    "expiresAt": "2026-12-23T12:00:00Z",
}
NOBODY = {"candidateCount": 0, "candidates": []}
PENDING = {"state": "pending", "approveBy": "2026-11-23T13:00:00Z"}
REVIEWED: dict[str, Any] = {
    **CANDIDATES, "sequence": 3, "reviewState": "in_review", "acknowledgedAt": "2026-11-23T12:01:00Z",
}  # fmt: skip
RELEASED: dict[str, Any] = {
    **REVIEWED, "sequence": 4, "reviewState": "released", "releasedAt": "2026-11-23T12:09:00Z",
    "candidates": [{"candidateRef": REF, "conclusion": "support"}],
}  # fmt: skip
EXAMPLES: dict[str, dict[str, Any]] = {
    "lead.candidates": CANDIDATES,
    "lead.no_candidate": {**CANDIDATES, **NOBODY, "result": "no_candidate"},
    "lead.rejected_quality": {
        **CANDIDATES, **NOBODY, "result": "rejected_quality", "approval": None, "search": None,
        "probeQuality": {"unifiedScore": None, "sentences": ["no face was found"]},
    },
    "lead.acknowledged": {**CANDIDATES, "sequence": 2, "acknowledgedAt": "2026-11-23T12:01:00Z"},
    "lead.in_review": REVIEWED,
    "lead.inconclusive": {**REVIEWED, **NOBODY, "sequence": 4, "result": "inconclusive", "reviewState": "inconclusive"},
    "lead.released": RELEASED,
    "lead.corroborated": {
        **RELEASED, "sequence": 5,
        "corroboration": {"state": "corroborated", "evidenceKinds": ["dna", "phone_records"]},
    },
    "lead.refuted": {**RELEASED, "sequence": 5, "corroboration": {"state": "refuted", "evidenceKinds": ["alibi"]}},
    "lead.unresolved": {**RELEASED, "sequence": 5, "corroboration": {"state": "unresolved", "evidenceKinds": []}},
    "lead.withdrawn": {
        **CANDIDATES, **NOBODY, "sequence": 3, "reviewState": "withdrawn", "withdrawal": {"cause": "authority_ended"},
    },
    "lead.approval_lapsed": {
        **CANDIDATES, **NOBODY, "sequence": 2, "reviewState": "withdrawn", "approval": PENDING,
        "withdrawal": {"cause": "approval_lapsed"},
    },
    "lead.expired": {**CANDIDATES, **NOBODY, "sequence": 2, "reviewState": "expired"},
    "floor.lead": CANDIDATES,
}  # fmt: skip

LEAKS = ["name", "subjectId", "picture", "template", "similarityScore", "rank", "conclusion", "analyst", "caseNumber"]


def event_of(event_type: str) -> dict[str, Any]:
    """The whole event of that type, as it stands on the topic."""
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "urn:rtcc-bridge",
        "type": event_type,
        "time": "2026-11-23T12:00:00Z",
        "subject": "l" * 22,
        "partitionkey": "INC-1",
        "datacontenttype": "application/json",
        "data": to_wire(event_type, build(event_type, EXAMPLES[event_type])),
    }
