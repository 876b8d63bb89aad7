"""The parts of the policy file that set limits to people, examinations and what is kept.

The bounds stand here, in code, and the file can only be stricter. Each part says which rule reads it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rtcc_bridge.policy.purposes import Purpose

Days = Annotated[int, Field(ge=1)]


class PolicyPart(BaseModel):
    """A part of the policy: strict about its keys, never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CertificateKind(StrEnum):
    """The certificates that an analyst's work needs (P10). A closed list: the file leaves none of them out."""

    FACIAL_COMPARISON = "facial_comparison_32h"
    IMPLICIT_BIAS = "implicit_bias"
    YEARLY_REFRESHER = "yearly_refresher"


MOST_CERTIFICATE_DAYS: Final[Mapping[CertificateKind, int]] = {
    CertificateKind.FACIAL_COMPARISON: 1827,  # five years
    CertificateKind.IMPLICIT_BIAS: 731,
    CertificateKind.YEARLY_REFRESHER: 366,
}


class Conclusion(StrEnum):
    """What an examiner can come to (P13), from the one end of the scale to the other."""

    STRONG_SUPPORT = "strong_support"
    SUPPORT = "support"
    LIMITED_SUPPORT = "limited_support"
    INCONCLUSIVE = "inconclusive"
    EXCLUSION = "exclusion"


ALWAYS_OPEN: Final = (Conclusion.SUPPORT, Conclusion.INCONCLUSIVE, Conclusion.EXCLUSION)
"""No scale lacks one of them: *inconclusive* and *exclusion* are as easy as support (P13)."""


class Outcome(StrEnum):
    """How the work on a still can end without a release (P24)."""

    REJECTED_QUALITY = "rejected_quality"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    NO_CANDIDATE = "no_candidate"
    INCONCLUSIVE = "inconclusive"
    EXPIRED = "expired"


class EvidenceKind(StrEnum):
    """Independent evidence that can corroborate a lead (P18).

    A closed list. An identification by a witness counts only when it was made before the candidate was disclosed; one
    that was made afterwards is no independent evidence, and no file can make it that.
    """

    DNA = "dna"
    FINGERPRINTS = "fingerprints"
    IDENTITY_DOCUMENT = "identity_document"
    OFFICIAL_RECORD = "official_record"
    PHONE_RECORDS = "phone_records"
    LOCATION_RECORDS = "location_records"
    FINANCIAL_RECORDS = "financial_records"
    DIGITAL_TRACES = "digital_traces"
    PHYSICAL_TRACE = "physical_trace"
    SEIZED_PROPERTY = "seized_property"
    VEHICLE = "vehicle"
    OTHER_RECORDING = "other_recording"
    ADMISSION = "admission"
    ALIBI = "alibi"
    WITNESS_IDENTIFICATION = "witness_identification"


class CertificateRule(PolicyPart):
    """How long one certificate holds."""

    valid_days: Days = Field(description="Days from its issue; work that is begun later is refused.")


class CandidateRule(PolicyPart):
    """How long a list of candidates can be."""

    most_listed: int = Field(
        50, ge=1, le=50, description="Most persons on a list; `matching.list_length` can be shorter, never longer."
    )


class ConclusionRule(PolicyPart):
    """The scale on which an examination ends (P13)."""

    scale: tuple[Conclusion, ...] = Field(tuple(Conclusion), description="The conclusions, from one end to the other.")

    @field_validator("scale")
    @classmethod
    def _fair(cls, scale: tuple[Conclusion, ...]) -> tuple[Conclusion, ...]:
        if not set(ALWAYS_OPEN).issubset(scale):
            message = f"every scale has {', '.join(ALWAYS_OPEN)} (P13)"
            raise ValueError(message)
        if scale != tuple(conclusion for conclusion in Conclusion if conclusion in scale):
            message = f"its order is {', '.join(Conclusion)}, each once; the first and the third may be left out"
            raise ValueError(message)
        return scale


class ReviewRule(PolicyPart):
    """What becomes of a lead between its examiners and the requestor (P12, P17, P18)."""

    third_within_hours: int = Field(
        24,
        ge=1,
        le=168,
        description="A third examiner concludes within so long, or the system asks another one (P12); where nobody can "
        "be asked for so long, the lead closes as inconclusive.",
    )
    release_at_most: Literal[1, 2] = Field(2, description="Candidates of one lead that are released (P17).")
    remind_hours_before: tuple[Annotated[int, Field(ge=1, le=720)], ...] = Field(
        (168, 24),
        max_length=5,
        description="The requestor is reminded so long before a lead without an outcome expires.",
    )

    @field_validator("remind_hours_before")
    @classmethod
    def _the_first_first(cls, hours: tuple[int, ...]) -> tuple[int, ...]:
        if list(hours) != sorted(set(hours), reverse=True):
            raise ValueError("the reminders come in their order: each number is smaller than the one before")
        return hours


class CorroborationRule(PolicyPart):
    """What makes a lead corroborated (P18)."""

    evidence_kinds: frozenset[EvidenceKind] = Field(
        default=frozenset(EvidenceKind), min_length=1, description="Kinds of independent evidence that count."
    )
    outcome_within_days: int = Field(
        30,
        ge=1,
        le=90,
        description="Days from its release in which a lead gets an outcome, or it expires and nobody may use it. "
        "`leads.expires_after_hours`, counted from the search, can be shorter.",
    )


class MisuseRule(PolicyPart):
    """From where on a pattern is a sign of misuse that the administrator is shown (P27). A person judges each."""

    window_days: int = Field(30, ge=7, le=366, description="So many days back are looked at.")
    same_still_searches: int = Field(2, ge=2, le=5, description="Searches of a still with the same bytes.")
    versions_of_a_still: int = Field(4, ge=2, le=10, description="Different edits of one still by one analyst.")
    shift_grace_minutes: int = Field(60, ge=0, le=240, description="So long before and after a shift is no sign.")
    unopened_approvals: int = Field(1, ge=1, le=5, description="Approvals of requests that were never opened.")
    lapsed_deferrals: int = Field(1, ge=1, le=5, description="An analyst's approvals that did not come in time.")
    reviews_without_disagreement: int = Field(20, ge=5, le=100, description="A reviewer's reviews, all in agreement.")
    missed_cases: int = Field(2, ge=1, le=5, description="A reviewer's wrong answers to seeded cases.")


class RetentionRule(PolicyPart):
    """How long what was searched is kept (P24)."""

    days: Mapping[Outcome, Annotated[int, Field(ge=1, le=365)]] = Field(
        default=dict.fromkeys(Outcome, 30),
        description="By outcome: picture, templates and list are purged so many days after it. Nothing was released.",
    )
    after_disposition_days: int = Field(
        365,
        ge=30,
        le=3653,
        description="What was released is held until the case's disposition is recorded, and so many days longer.",
    )

    @field_validator("days")
    @classmethod
    def _every_outcome(cls, days: Mapping[Outcome, int]) -> Mapping[Outcome, int]:
        if missing := [outcome.value for outcome in Outcome if outcome not in days]:
            message = f"every outcome has its period, and these have none: {', '.join(missing)}"
            raise ValueError(message)
        return days


class JurisdictionRule(PolicyPart):
    """What the law of the place asks for (P09)."""

    name: str = Field("not stated", min_length=1, max_length=256, description="The place whose law it is.")
    warrant_or_exigency_for: frozenset[Purpose] = Field(
        default=frozenset(),
        description="Purposes for which a search needs a warrant, or the exigency that stands in for one.",
    )


def default_certificates() -> Mapping[CertificateKind, CertificateRule]:
    return {kind: CertificateRule(valid_days=days) for kind, days in MOST_CERTIFICATE_DAYS.items()}


def all_certificates(rules: Mapping[CertificateKind, CertificateRule]) -> Mapping[CertificateKind, CertificateRule]:
    """The rules as they came. Raises ValueError when one is missing or holds longer than the code permits."""
    if missing := [kind.value for kind in CertificateKind if kind not in rules]:
        message = f"analyst work needs every certificate, and these have no validity: {', '.join(missing)} (P10)"
        raise ValueError(message)
    for kind, rule in rules.items():
        if rule.valid_days > MOST_CERTIFICATE_DAYS[kind]:
            message = f"{kind.value} holds for at most {MOST_CERTIFICATE_DAYS[kind]} days (P10)"
            raise ValueError(message)
    return rules
