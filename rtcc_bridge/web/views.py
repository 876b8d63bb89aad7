"""The documents that the API answers with."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import AwareDatetime, Field

from rtcc_bridge.leads.events import LeadData, for_the_floor
from rtcc_bridge.matching.edits import MOST_EDITS
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.web.operations import WireModel


class Place(WireModel):
    """Where an incident is."""

    text: str | None


class ThreatView(WireModel):
    """A threat in force."""

    identifier: str
    event: str | None
    severity: str | None
    urgency: str | None
    headline: str | None
    expires: AwareDatetime | None = Field(description="The threat ends by itself then.")
    imminent: bool


class IncidentView(WireModel):
    """What the floor sees of an incident: no notes, no case number (P16)."""

    incident_id: str
    incident_type: str = Field(description="APCO common incident type code.")
    status: str
    priority: int | None = Field(description="As dispatch gave it, 0 to 10.")
    exercise: bool
    opened_at: AwareDatetime | None
    last_update_time_stamp: AwareDatetime
    merged_into: str | None
    location: Place
    threats: tuple[ThreatView, ...]
    imminent: bool


class IncidentList(WireModel):
    """Open incidents, those under threat first."""

    items: tuple[IncidentView, ...]
    total: int = Field(description="How many incidents are open.")
    offset: int
    feed_position: int = Field(description="Follow the feed after this place to miss nothing.")


class LeadView(WireModel):
    """A lead: what was published last, and where it stands in time."""

    lane: str = Field(description="imminent or routine.")
    exercise: bool
    created_at: AwareDatetime
    updated_at: AwareDatetime
    data: LeadData = Field(description="The data of the lead's newest event.")


class LeadList(WireModel):
    """The newest leads first."""

    items: tuple[LeadView, ...]
    feed_position: int = Field(description="Follow the feed after this place to miss nothing.")


class BoxView(WireModel):
    """A rectangle in pixels of the upright picture; it may reach over the edge."""

    left: float
    top: float
    right: float
    bottom: float


class QualityView(WireModel):
    """The quality of a face."""

    unified_score: int = Field(ge=0, le=100, description="0 (useless) to 100 (studio portrait).")
    verdict: str = Field(description="accepted, warned or refused.")
    sentences: tuple[str, ...] = Field(description="What limits it, in plain words.")


class FaceView(WireModel):
    """A face that was found, numbered from 1 from left to right."""

    number: int
    box: BoxView
    quality: QualityView


class ApprovalView(WireModel):
    """The supervisor's decision."""

    state: str = Field(description="none, pending, granted, refused or lapsed.")
    approve_by: AwareDatetime | None = Field(description="Set when the approval may follow the search (P14).")
    approved_by: str | None
    approved_at: AwareDatetime | None
    covers: tuple[str, ...] = Field(description="Further stills of the same person that it covers (P01): their probes.")


class ProbeView(WireModel):
    """A still that was attached. For those who work on it."""

    probe_id: str
    incident_id: str
    state: str = Field(
        description="faces_found, awaiting_approval, authorized, searched, rejected_quality, unreadable, refused or "
        "withdrawn."
    )
    state_reason: str | None
    lane: str
    exercise: bool
    purpose: str
    legal_basis: str
    warrant_or_exigency: str | None = Field(description="What the jurisdiction asks for (P09).")
    case_number: str
    requestor: str
    analyst: str
    image_width: int | None
    image_height: int | None
    faces: tuple[FaceView, ...]
    chosen_face: int | None
    edits: tuple[dict[str, Any], ...] = Field(
        description="The steps that lead from the original to what the faces were found in (P05); see `editStill`."
    )
    cut_from: dict[str, Any] | None = Field(
        description="Which frame of which clip the still was: {clipId, clipSha256, container, codec, frame, "
        "milliseconds, rotation, pixelAspect}; see `getClip`. null for a picture that was attached as one."
    )
    same_person_as: str | None = Field(description="The probe whose approval covers this still too (P01).")
    approval: ApprovalView
    created_at: AwareDatetime
    updated_at: AwareDatetime
    lead: LeadView | None = Field(description="What came of it.")


class ProbeStanding(WireModel):
    """How far a probe is."""

    state: str = Field(description="See getProbe.")
    approval: str = Field(description="none, pending, granted, refused or lapsed.")


class WaitingProbe(WireModel):
    """A search that waits for a supervisor."""

    probe_id: str
    incident_id: str
    purpose: str
    lane: str
    analyst: str
    approve_by: AwareDatetime | None = Field(description="Set when the search ran already under P14.")
    created_at: AwareDatetime
    earlier_searches: int = Field(description="How often the same picture was searched before (P12).")


class WaitingProbes(WireModel):
    """The supervisor's queue, the oldest first."""

    items: tuple[WaitingProbe, ...]


class FaceChoiceRequest(WireModel):
    """The face that is searched."""

    number: int = Field(ge=1, le=10_000)


class EditsRequest(WireModel):
    """All steps in their order; they take the place of the earlier ones. None at all brings the original back."""

    steps: tuple[dict[str, Any], ...] = Field(
        max_length=MOST_EDITS,
        description="Each step is one of {do: crop, left, top, right, bottom} (pixels of the picture as the steps "
        "before left it), {do: rotate, degrees} (clockwise, -180 to 180), {do: brightness, percent} (-100 to 100), "
        "{do: contrast, percent} (10 to 400; 100 changes nothing).",
    )


class RefusalRequest(WireModel):
    """Why the search is refused."""

    reason: str = Field(min_length=1, max_length=1024)


def incident_view(view: Mapping[str, Any]) -> IncidentView:
    return IncidentView.model_validate(dict(view))


def lead_view(record: LeadRecord) -> LeadView:
    return LeadView(
        lane=record.lane,
        exercise=record.exercise,
        created_at=record.created_at,
        updated_at=record.updated_at,
        data=LeadData.model_validate(for_the_floor(record.data)),
    )


def probe_view(record: ProbeRecord, lead: LeadRecord | None, covered: Sequence[str]) -> ProbeView:
    """covered: the probes that the approval of this one covers as well."""
    return ProbeView(
        probe_id=record.probe_id,
        incident_id=record.incident_id,
        state=record.state,
        state_reason=record.state_reason,
        lane=record.lane,
        exercise=record.exercise,
        purpose=record.purpose,
        legal_basis=record.legal_basis,
        warrant_or_exigency=record.warrant_or_exigency,
        case_number=record.case_number,
        requestor=record.requestor,
        analyst=record.analyst,
        image_width=record.image_width,
        image_height=record.image_height,
        faces=tuple(_face_view(face) for face in record.faces or ()),
        chosen_face=record.chosen_face,
        edits=tuple(dict(step) for step in record.edits or ()),
        cut_from=None if record.cut_from is None else dict(record.cut_from),
        same_person_as=record.same_person_as,
        approval=ApprovalView(
            state=record.approval,
            approve_by=record.approve_by,
            approved_by=record.approved_by,
            approved_at=record.approved_at,
            covers=tuple(covered),
        ),
        created_at=record.created_at,
        updated_at=record.updated_at,
        lead=None if lead is None else lead_view(lead),
    )


def waiting_probe(record: ProbeRecord, earlier_searches: int) -> WaitingProbe:
    return WaitingProbe(
        probe_id=record.probe_id,
        incident_id=record.incident_id,
        purpose=record.purpose,
        lane=record.lane,
        analyst=record.analyst,
        approve_by=record.approve_by,
        created_at=record.chosen_at or record.created_at,
        earlier_searches=earlier_searches,
    )


def _face_view(face: Mapping[str, Any]) -> FaceView:
    quality = face["quality"]
    return FaceView(
        number=face["number"],
        box=BoxView(**face["box"]),
        quality=QualityView(
            unified_score=quality["unifiedScore"], verdict=quality["verdict"], sentences=tuple(quality["sentences"])
        ),
    )
