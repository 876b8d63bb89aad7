"""What a discovery packet says of one lead, as JSON: all of it. The page and the text are made of the same. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.leads.comparison import Opinion, verdicts
from rtcc_bridge.leads.ledger import Receiver, ReceiverKind
from rtcc_bridge.leads.opinions import aids_of, commitment
from rtcc_bridge.leads.release import LIMITS
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS
from rtcc_bridge.reports.whole_lead import ConsideredCandidate, WholeLead
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.examinations import ExaminationRecord

SCORE: Final = (
    "A similarity score is a number between two pictures under one model. It is no probability that they show the same "
    "person, and scores of different models cannot be compared."
)


def lead_facts(whole: WholeLead) -> dict[str, Any]:
    """Everything but the files that lie beside it."""
    probe, lead = whole.probe, whole.lead
    return {
        **LEAD_CONSTANTS,
        "limits": [*LIMITS, SCORE],
        "leadId": lead.lead_id,
        "result": lead.result,
        "reviewState": lead.review_state,
        "exercise": lead.exercise,
        "createdAt": rfc3339(lead.created_at),
        "policyHash": lead.data["policyHash"],
        "request": {
            "probeId": probe.probe_id,
            "incidentId": probe.incident_id,
            "caseNumber": probe.case_number,
            "purpose": probe.purpose,
            "legalBasis": probe.legal_basis,
            "warrantOrExigency": probe.warrant_or_exigency,
            "analyst": probe.analyst,
            "requestor": probe.requestor,
            "lane": probe.lane,
            "attachedAt": rfc3339(probe.created_at),
            "samePersonAs": probe.same_person_as,
        },
        "approval": {
            "state": probe.approval,
            "by": probe.approved_by,
            "at": _moment(probe.approved_at),
            "deferredUntil": _moment(probe.approve_by),
        },
        "still": {
            "originalSha256": probe.original_sha256,
            "cutFrom": None if probe.cut_from is None else dict(probe.cut_from),
            "width": probe.image_width,
            "height": probe.image_height,
            "edits": list(probe.edits or ()),
            "faces": [_face(face) for face in probe.faces or ()],
            "chosenFace": probe.chosen_face,
            "chosenAt": _moment(probe.chosen_at),
        },
        "search": lead.data.get("search"),
        "candidates": [_candidate(one) for one in whole.candidates],
        "examinations": [_examination(one, whole) for one in whole.examinations],
        "release": _release(whole),
        "receiversOutside": [_handed(one) for one in whole.receivers if one.kind is not ReceiverKind.ACCOUNT],
        "outcomes": [
            {
                "outcome": one.outcome,
                "evidence": list(one.evidence),
                "investigator": one.investigator,
                "reportedBy": one.reported_by,
                "reportedAt": rfc3339(one.reported_at),
            }
            for one in whole.outcomes
        ],
        "withdrawal": lead.data.get("withdrawal"),
        "timeline": [_step(one) for one in whole.entries],
    }


def _face(face: Mapping[str, Any]) -> dict[str, Any]:
    """Without its landmarks: those of a bystander would say more than where the mask is."""
    return {name: face[name] for name in ("number", "box", "detectionScore", "quality")}


def _candidate(one: ConsideredCandidate) -> dict[str, Any]:
    return {
        "number": one.number,
        "rank": one.number,
        "similarityScore": one.similarity_score,
        "picturesCompared": len(one.image_ids),
        "released": one.released,
        "removedFromGallerySince": one.removed,
        "person": one.person,
        "pictures": [picture_name(one, place) for place in range(1, len(one.pictures) + 1)],
        "picturesTakenOn": {
            picture_name(one, place): picture.taken_on for place, picture in enumerate(one.pictures, start=1)
        },
    }


def picture_name(one: ConsideredCandidate, place: int) -> str:
    """Within the lead's folder."""
    return f"pictures/candidate-{one.number}-{place}.jpg"


def opinion_name(round_: int) -> str:
    return f"opinions/round-{round_}.json"


def _examination(one: ExaminationRecord, whole: WholeLead) -> dict[str, Any]:
    """Who concluded what on whom, by the candidates' numbers. The opinion itself lies beside it as it was filed."""
    record = whole.opinions.get(one.round)
    filed = None if record is None else Opinion.model_validate(dict(record.opinion))
    given = {} if filed is None else verdicts(filed)
    compared = {} if filed is None else {form.candidate_ref: form for form in filed.compared}
    used = () if record is None else aids_of(record)
    numbers = {candidate.candidate_ref: candidate.number for candidate in whole.candidates}
    conclusions = []
    for own, ref in one.candidates:
        if own not in given:
            continue
        form = compared.get(own)
        conclusions.append(
            {
                "candidate": numbers.get(ref),
                "conclusion": given[own].value,
                "atFirstSight": form is None,
                "findings": [] if form is None else [part.model_dump(mode="json") for part in form.findings],
                "note": "" if form is None else form.note,
                "aids": [use.aid.value for use in used if use.candidate_ref == own],
            }
        )
    return {
        "round": one.round,
        "part": {1: "first examiner", 2: "blind peer reviewer"}.get(one.round, "blind third examiner"),
        "examiner": one.examiner,
        "takenAt": _moment(one.taken_at),
        "concludedAt": _moment(one.filed_at),
        "conclusions": conclusions,
        "file": None if record is None or record.nonce is None else opinion_name(one.round),
        "sha256": None if filed is None or record is None or record.nonce is None else commitment(filed, record.nonce),
    }


def _release(whole: WholeLead) -> dict[str, Any] | None:
    release = whole.release
    if release is None:
        return None
    numbers = {candidate.candidate_ref: candidate.number for candidate in whole.candidates}

    def by_number(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{"candidate": numbers.get(row["candidateRef"]), "conclusion": row["conclusion"]} for row in rows]

    return {
        "releasedAt": rfc3339(release.released_at),
        "releasedBy": release.released_by,
        "requestor": release.requestor,
        "candidates": by_number(release.findings["candidates"]),
        "dissent": by_number(release.findings["dissent"]),
        "receivers": [
            {
                "account": one.account,
                "receivedAt": rfc3339(one.received_at),
                "knowsOfWithdrawalSince": _moment(one.withdrawal_acknowledged_at),
            }
            for one in whole.receivers
            if one.kind is ReceiverKind.ACCOUNT
        ],
    }


def _handed(one: Receiver) -> dict[str, Any]:
    """Somebody outside who has had the lead; the last one is whom this packet is made for."""
    return {
        "kind": one.kind.value,
        "office": one.office,
        "name": one.name,
        "handedOverBy": one.handed_over_by,
        "receivedAt": rfc3339(one.received_at),
        "knowsOfWithdrawalSince": _moment(one.told_at),
        "toldHow": one.told_how,
    }


def _step(entry: AuditEntryRecord) -> dict[str, Any]:
    details = entry.entry["details"]
    return {
        "at": rfc3339(entry.at),
        "account": entry.actor,
        "action": entry.action,
        "outcome": entry.outcome,
        "of": entry.subject,
        "reason": details.get("reason"),
        "auditLeaf": entry.leaf_hash,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
