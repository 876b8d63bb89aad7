"""What a lead event says to the outside: one model per event type, with the constants of P15 as types.

A model cannot be built with another value of a constant, and `to_wire`, the only way to JSON, takes the constants
from here and validates the rest once more, so that a model that was put together past its validation leaks nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.leads.conclusions import SupportingConclusion
from rtcc_bridge.leads.evidence import MOST_ITEMS
from rtcc_bridge.policy.policy_parts import EvidenceKind
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS, NOTICE, Notice

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
OpaqueRef = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of an event: camelCase outside, nothing unknown, nothing changed after it was built."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        json_schema_serialization_defaults_required=True,
    )


class CandidateRef(Part):
    """A candidate: an opaque reference, random for this lead, and nothing else."""

    candidate_ref: OpaqueRef = Field(description="Stands for one candidate of this lead. It has no meaning elsewhere.")


class ReleasedCandidate(CandidateRef):
    """A candidate that was released to the requestor. What it says is for the lead topics; the feed never has it."""

    conclusion: SupportingConclusion = Field(description="On which the examiners agreed: the weaker one of theirs.")


class ApprovalPart(Part):
    """The supervisor's approval of the search."""

    state: Literal["granted", "pending"] = Field(
        description="`pending` only for an imminent threat, whose approval may follow."
    )
    approve_by: AwareDatetime | None = Field(
        default=None, description="While pending: without an approval by then the lead is withdrawn."
    )

    @model_validator(mode="after")
    def _deadline_while_pending(self) -> Self:
        if (self.state == "pending") != (self.approve_by is not None):
            message = "approveBy stands beside a pending approval, and only there"
            raise ValueError(message)
        return self


class EstimatedFpir(Part):
    """The chance that the search lists anybody at all when the person is not enrolled: an estimate with interval."""

    value: Fraction
    low: Fraction
    high: Fraction


class SearchPart(Part):
    """How the list came about. Figures for the list as a whole, never for a candidate."""

    gallery: str = Field(min_length=1)
    gallery_version: int = Field(ge=0)
    gallery_size: int = Field(ge=0, description="People that were compared, each by the best photo.")
    model_pack: str = Field(min_length=1)
    model_hash: Sha256
    list_length: int = Field(ge=1, description="The most persons that the list could have held.")
    estimated_fpir: EstimatedFpir


class ProbeQualityPart(Part):
    """The quality of the chosen face of the probe picture."""

    unified_score: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="0 (useless) to 100 (studio portrait); null when there is no face to judge.",
    )
    sentences: tuple[str, ...] = Field(default=(), description="What limits it, in plain words.")


class CorroborationPart(Part):
    """What independent evidence said (P18)."""

    state: Literal["none", "corroborated", "refuted", "unresolved"] = Field(
        default="none", description="As a named investigator reported it; `none`: nobody has reported yet."
    )
    evidence_kinds: tuple[EvidenceKind, ...] = Field(
        default=(), max_length=MOST_ITEMS, description="Kinds of evidence reported, each once."
    )

    @model_validator(mode="after")
    def _evidence_for_corroboration(self) -> Self:
        if self.state == "corroborated" and not self.evidence_kinds:
            message = "nothing is corroborated without evidence"
            raise ValueError(message)
        return self


class WithdrawalPart(Part):
    """Why a lead was withdrawn, as one of a closed list. The reason in words stays in the audit log.

    no_longer_supported: what the lead rested on does not stand any more; nothing further is told.
    """

    cause: Literal["authority_ended", "approval_refused", "approval_lapsed", "no_longer_supported"]


class LeadData(Part):
    """The data of a lead event. The state after the event is told in full; order events by `sequence`."""

    lead_id: OpaqueRef
    incident_id: str = Field(min_length=1, max_length=256)
    probe_id: OpaqueRef
    sequence: int = Field(ge=1, description="Per lead, from 1, without gaps.")
    result: Literal["candidates", "no_candidate", "inconclusive", "rejected_quality"]
    review_state: Literal["unreviewed", "in_review", "inconclusive", "released", "withdrawn", "expired"]
    candidate_count: int = Field(ge=0)
    candidates: tuple[CandidateRef, ...] = Field(description="In random order. An ended lead lists none.")
    approval: ApprovalPart | None = Field(description="null when nothing was searched.")
    classification: Literal["INVESTIGATIVE_LEAD_ONLY"] = "INVESTIGATIVE_LEAD_ONLY"
    positive_identification: Literal[False] = False
    probable_cause: Literal[False] = False
    corroboration_required: Literal[True] = True
    lineup_on_this_alone: Literal[False] = False
    notice: Notice = Field(default=NOTICE, description="The sentence to show to a person beside the lead.")
    corroboration: CorroborationPart = Field(default_factory=CorroborationPart)
    search: SearchPart | None = Field(description="null when nothing was searched.")
    probe_quality: ProbeQualityPart
    policy_hash: Sha256 = Field(description="SHA-256 of the policy that the lead was made under.")
    audit_leaf: Sha256 = Field(description="Leaf hash (RFC 9162) of this event's entry in the audit log.")
    expires_at: AwareDatetime = Field(description="A lead without a reported outcome expires then.")
    acknowledged_at: AwareDatetime | None = Field(default=None, description="When an analyst took the lead.")
    released_at: AwareDatetime | None = Field(default=None, description="When it was released to the requestor.")
    withdrawal: WithdrawalPart | None = Field(default=None, description="Why the lead was withdrawn.")

    @model_validator(mode="after")
    def _count_is_true(self) -> Self:
        if self.candidate_count != len(self.candidates):
            message = "candidateCount is the number of candidates"
            raise ValueError(message)
        return self


class CandidatesData(LeadData):
    """A search returned candidates."""

    result: Literal["candidates"]
    review_state: Literal["unreviewed"]
    candidate_count: int = Field(ge=1)
    candidates: tuple[CandidateRef, ...] = Field(min_length=1, description="In random order.")
    approval: ApprovalPart
    search: SearchPart


class NoCandidateData(LeadData):
    """A search returned nobody: a result like any other."""

    result: Literal["no_candidate"]
    review_state: Literal["unreviewed"]
    candidate_count: int = Field(ge=0, le=0)
    candidates: tuple[CandidateRef, ...] = Field(max_length=0)
    approval: ApprovalPart
    search: SearchPart


class RejectedQualityData(LeadData):
    """The picture was too poor to be searched, or its stored copy was damaged: a result like any other."""

    result: Literal["rejected_quality"]
    review_state: Literal["unreviewed"]
    candidate_count: int = Field(ge=0, le=0)
    candidates: tuple[CandidateRef, ...] = Field(max_length=0)
    approval: None = Field(description="Nothing was searched.")
    search: None = Field(description="Nothing was searched.")


class AcknowledgedData(LeadData):
    """An analyst has taken the lead."""

    review_state: Literal["unreviewed"]
    acknowledged_at: AwareDatetime = Field(description="When an analyst took the lead.")


class InReviewData(LeadData):
    """The peer review is open. The list is what it was: nothing of what an examiner thinks is told (P12)."""

    result: Literal["candidates"]
    review_state: Literal["in_review"]
    candidate_count: int = Field(ge=1)
    acknowledged_at: AwareDatetime = Field(description="When an analyst took the lead.")


class InconclusiveData(LeadData):
    """The examiners could not tell, or could not agree: a result like any other."""

    result: Literal["inconclusive"]
    review_state: Literal["inconclusive"]
    candidate_count: int = Field(ge=0, le=0)
    candidates: tuple[CandidateRef, ...] = Field(max_length=0)


class RequestorData(LeadData):
    """A lead that the requestor has: at most two candidates, each with the conclusion that was agreed on."""

    review_state: Literal["released"]
    candidate_count: int = Field(ge=0, le=2)
    candidates: tuple[ReleasedCandidate, ...] = Field(max_length=2, description="In random order.")
    released_at: AwareDatetime = Field(description="When it was released to the requestor.")


class ReleasedData(RequestorData):
    """The lead was released to the requestor; without a candidate it says that nobody was found."""

    result: Literal["candidates", "no_candidate"]

    @model_validator(mode="after")
    def _result_is_true(self) -> Self:
        if (self.result == "candidates") != bool(self.candidates):
            message = "the result is candidates when there are some, and only then"
            raise ValueError(message)
        return self


class CorroboratedPart(CorroborationPart):
    """Independent evidence supports the lead."""

    state: Literal["corroborated"] = "corroborated"
    evidence_kinds: tuple[EvidenceKind, ...] = Field(min_length=1, max_length=MOST_ITEMS)


class CorroboratedData(RequestorData):
    """A named investigator reported independent evidence that supports the lead."""

    result: Literal["candidates"]
    corroboration: CorroboratedPart


class RefutedPart(CorroborationPart):
    """Independent evidence speaks against the lead."""

    state: Literal["refuted"] = "refuted"


class RefutedData(RequestorData):
    """A named investigator reported that the lead was wrong."""

    result: Literal["candidates"]
    corroboration: RefutedPart


class UnresolvedPart(CorroborationPart):
    """Independent evidence settles nothing."""

    state: Literal["unresolved"] = "unresolved"


class UnresolvedData(RequestorData):
    """A named investigator reported that nothing could be settled."""

    result: Literal["candidates"]
    corroboration: UnresolvedPart


class EndedData(LeadData):
    """A lead that nobody may follow up any more; it lists no candidates."""

    candidate_count: int = Field(default=0, ge=0, le=0)
    candidates: tuple[CandidateRef, ...] = Field(default=(), max_length=0)


class WithdrawnData(EndedData):
    """The lead is withdrawn."""

    review_state: Literal["withdrawn"]
    withdrawal: WithdrawalPart


class LapsedPart(WithdrawalPart):
    """The deferred approval did not come in time."""

    cause: Literal["approval_lapsed"] = "approval_lapsed"


class ApprovalLapsedData(WithdrawnData):
    """The lead is withdrawn, since its deferred approval did not come in time (`approveBy` tells when that was)."""

    approval: ApprovalPart
    withdrawal: LapsedPart


class ExpiredData(EndedData):
    """The lead has expired without a reported outcome."""

    review_state: Literal["expired"]


class BoardUpdateData(LeadData):
    """For the floor's feed only: something of the lead changed for which the lead topic has no event type.

    Its `sequence` is that of the lead's last event.
    """


FLOOR_UPDATE: Final = "floor.lead"

EVENT_DATA: Final[Mapping[str, type[LeadData]]] = MappingProxyType(
    {
        "lead.candidates": CandidatesData,
        "lead.no_candidate": NoCandidateData,
        "lead.rejected_quality": RejectedQualityData,
        "lead.acknowledged": AcknowledgedData,
        "lead.in_review": InReviewData,
        "lead.inconclusive": InconclusiveData,
        "lead.released": ReleasedData,
        "lead.corroborated": CorroboratedData,
        "lead.refuted": RefutedData,
        "lead.unresolved": UnresolvedData,
        "lead.withdrawn": WithdrawnData,
        "lead.approval_lapsed": ApprovalLapsedData,
        "lead.expired": ExpiredData,
        FLOOR_UPDATE: BoardUpdateData,
    }
)
"""The model of each event type's data. Only these classes themselves ever become JSON, no class derived from them."""


def build(event_type: str, values: Mapping[str, Any]) -> LeadData:
    """The data of an event. Raises IntegrityError when the values do not make a valid one: that is a defect here."""
    try:
        return EVENT_DATA[event_type].model_validate(dict(values))
    except ValidationError as error:
        raise IntegrityError(f"the data of {event_type} is wrong: {_places(error)}") from error


def to_wire(event_type: str, data: LeadData) -> dict[str, Any]:
    """The data as JSON values. The constants come from the type, whatever the object holds, and all is validated.

    Raises IntegrityError when the object is not of the event type's own class or holds anything that is not valid.
    """
    if type(data) is not EVENT_DATA[event_type]:
        raise IntegrityError(f"{type(data).__name__} is not the data of {event_type}")
    values = data.model_dump(mode="json", by_alias=True, warnings="none")
    checked = build(event_type, {**values, **LEAD_CONSTANTS})
    return checked.model_dump(mode="json", by_alias=True)


def for_the_floor(data: Mapping[str, Any]) -> dict[str, Any]:
    """A lead's data as the feed and the board may show it: without the conclusions that the lead topics carry (P16)."""
    references = [{"candidateRef": candidate["candidateRef"]} for candidate in data["candidates"]]
    return {**data, "candidates": references}


def _places(error: ValidationError) -> str:
    """Where and why, without the values: they may be what must not leave."""
    details = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}" for detail in details)
