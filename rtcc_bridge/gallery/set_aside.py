"""Why an image was not enrolled. That is a result that is reported: one bad picture stops nothing."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Reason(StrEnum):
    """A fixed word for counting; the detail beside it says what a person needs to know."""

    BAD_ROW = "bad_row"
    NO_SUBJECT = "no_subject"
    NO_PROVENANCE = "no_provenance"
    NO_LAWFUL_BASIS = "no_lawful_basis"
    NO_RETENTION = "no_retention"
    RETENTION_PASSED = "retention_passed"
    NOT_ADULT = "not_adult"
    OUTSIDE_FOLDER = "outside_folder"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    POOR_QUALITY = "poor_quality"
    MODEL_FAILED = "model_failed"
    DUPLICATE = "duplicate"
    REMOVED = "removed"
    ALREADY_ENROLLED = "already_enrolled"
    """An earlier run enrolled it: nothing is wrong, and it is counted but not reported."""

    @property
    def in_words(self) -> str:
        """For people, behind a count: "3 with no face that was found"."""
        return _IN_WORDS[self]


_IN_WORDS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.BAD_ROW: "whose row or file cannot be read as it stands",
        Reason.NO_SUBJECT: "without the reference of a person",
        Reason.NO_PROVENANCE: "without provenance",
        Reason.NO_LAWFUL_BASIS: "without lawful basis",
        Reason.NO_RETENTION: "without a retention date",
        Reason.RETENTION_PASSED: "whose retention has ended",
        Reason.NOT_ADULT: "of a person of whom nobody says that they were an adult",
        Reason.OUTSIDE_FOLDER: "outside the source's folder",
        Reason.UNREADABLE: "that cannot be read as a picture",
        Reason.TOO_LARGE: "with more bytes or pixels than are taken",
        Reason.NO_FACE: "without a face that was found",
        Reason.SEVERAL_FACES: "with more than one face",
        Reason.POOR_QUALITY: "of too poor quality",
        Reason.MODEL_FAILED: "that the model failed on",
        Reason.DUPLICATE: "whose bytes came before",
        Reason.REMOVED: "removed for ever by an expungement",
        Reason.ALREADY_ENROLLED: "enrolled already",
    }
)


class SetAsideError(Exception):
    """This image is left out. It never leaves the enrolment, which reports it and goes on."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
