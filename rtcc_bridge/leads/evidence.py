"""Independent evidence (P18): the closed list of its kinds, and what a report of an outcome has to hold. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from rtcc_bridge.errors import PolicyRefusalError

MOST_ITEMS: Final = 20


class EvidenceKind(StrEnum):
    """What can speak for or against a lead without the picture that it was made from."""

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
    """Only one that was made before the candidate was disclosed: afterwards the lead may have led the witness."""


def require_independent(kind: EvidenceKind, *, obtained_at: datetime, disclosed_at: datetime, now: datetime) -> None:
    """P18: the item exists, and owes nothing to the lead. Raises PolicyRefusalError."""
    if obtained_at > now:
        raise PolicyRefusalError("P18", "An item of evidence has a date that is still to come: correct the date.")
    if kind is EvidenceKind.WITNESS_IDENTIFICATION and obtained_at >= disclosed_at:
        raise PolicyRefusalError(
            "P18",
            "An identification by a witness that was made after the candidate was disclosed is no independent "
            "evidence: report what else there is.",
        )


def require_evidence(*, corroborated: bool, items: int) -> None:
    """P18: nothing is corroborated without at least one item. Raises PolicyRefusalError."""
    if corroborated and not items:
        raise PolicyRefusalError(
            "P18", "A lead is corroborated by independent evidence alone: give at least one item of it."
        )
